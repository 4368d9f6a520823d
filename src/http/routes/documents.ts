import { documentOf } from "../openapi/documentOf.ts"
import { documentOperation, pageOperation } from "../openapi/open.ts"
import { contentSecurityPolicy, pageOf } from "../openapi/page.ts"
import { json, PRIVATE } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"

/** The routes, and those that describe all of them: what is served and what is described is one list. */
export const withDocuments = (routes: readonly Route[]): readonly Route[] => {
  const once = <A>(make: () => A) => {
    let made: A | null = null
    return () => made ??= make()
  }
  const document = once(() => documentOf(all))
  const answer = once(() => json(200, document(), { "Cache-Control": PRIVATE }))
  const page = once(async (): Promise<Reply> => ({
    status: 200,
    headers: { "Content-Type": "text/html; charset=UTF-8", "Cache-Control": PRIVATE, "Content-Security-Policy": contentSecurityPolicy, "X-Content-Type-Options": "nosniff" },
    body: String(await pageOf(document()))
  }))
  const all: readonly Route[] = [
    ...routes,
    { method: "GET", path: "/openapi.json", scopes: null, about: documentOperation, handle: answer },
    { method: "GET", path: "/docs", scopes: null, about: pageOperation, handle: page }
  ]
  return all
}
