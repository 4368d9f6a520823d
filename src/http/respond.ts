import type { Entry } from "../domain/cache/Entry.ts"
import type { Kind } from "../domain/Kind.ts"
import type { ListPage, Source } from "../domain/Queries.ts"
import type { Synced } from "../domain/sync/WriteThrough.ts"
import { PROBLEMS } from "./problems.ts"
import type { HttpProblem } from "./problems.ts"
import { cacheStatus } from "./request/cacheStatus.ts"

export type Headers = Readonly<Record<string, string>>

/** An answer, before it is one of the framework's: that is made once, when every header is known. */
export interface Reply { readonly status: number; readonly headers: Headers; readonly body: string | Uint8Array | ReadableStream<Uint8Array> | null }

export const PRIVATE = "private, no-cache", NO_STORE = "no-store"

/** Who may keep an answer about a kind: from tier 2 up nobody. */
export const cachingOf = ({ tier }: Kind): string => tier === 1 ? PRIVATE : NO_STORE

export const json = (status: number, body: unknown, headers: Headers): Reply =>
  ({ status, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) })

/** Bytes that are JSON already. */
export const jsonBytes = (status: number, body: Uint8Array, headers: Headers): Reply =>
  ({ status, headers: { "Content-Type": "application/json", ...headers }, body })

export const noContent = (status: 204 | 304, headers: Headers): Reply => ({ status, headers, body: null })

export const problem = (fault: HttpProblem, requestId: string, headers: Headers = {}): Reply => {
  const { status, title } = PROBLEMS[fault.problem]
  return {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers, ...fault.headers, "Cache-Control": NO_STORE },
    body: JSON.stringify({
      type: `/problems/${fault.problem}`,
      title,
      status,
      detail: fault.message,
      instance: `/requests/${requestId}`,
      ...fault.errors.length > 0 ? { errors: fault.errors } : {}
    })
  }
}

/** A fault of the service: nothing of it is told. */
export const defect = (requestId: string): Reply => ({
  status: 500,
  headers: { "Content-Type": "application/problem+json", "Cache-Control": NO_STORE },
  body: JSON.stringify({ type: "about:blank", title: "Internal Server Error", status: 500, instance: `/requests/${requestId}` })
})

const REASONS = { miss: "uri-miss", stale: "stale", request: "request", bypass: "bypass" } as const

/** How a read went, as `Cache-Status`. */
export const readStatus = ({ from, stored, collapsed, databaseAway, shadow }: Source): string =>
  from === "hit"
    ? cacheStatus(databaseAway ? { is: "hit", detail: "database-unavailable" } : { is: "hit" })
    : cacheStatus({ is: "fwd", reason: REASONS[from], stored, collapsed, ...from === "bypass" ? { detail: shadow ? "shadow" : "cache-unavailable" } : {} })

export const historyStatus = cacheStatus({ is: "fwd", reason: "bypass", detail: "history" })

export const fullViewStatus = cacheStatus({ is: "fwd", reason: "bypass", detail: "full-view" })

/** Of a look-up that finds nobody: the cache was not asked. */
export const lookupStatus = cacheStatus({ is: "fwd", reason: "request" })

export const changeStatus = (synced: Synced): string =>
  cacheStatus({ is: "fwd", reason: "method", stored: synced === "stored", ...synced === "queued" ? { detail: "queued" } : {} })

export const listStatus = ({ hits, size, shadow }: ListPage): string =>
  shadow ? cacheStatus({ is: "fwd", reason: "bypass", detail: "shadow" }) : hits === size ? cacheStatus({ is: "hit" }) : cacheStatus({ is: "fwd", reason: "uri-miss", detail: `${hits}/${size}` })

export const etag = (version: number): string => `"${version}"`

/** `[…]` of entities whose bytes are passed through. */
export const listBody = (entries: readonly Entry[], nextCursor: string | null): Uint8Array => {
  const parts: Uint8Array[] = [Buffer.from(`{"items":[`)]
  entries.forEach(({ payload }, i) => {
    if (i > 0) parts.push(Buffer.from(","))
    parts.push(payload)
  })
  parts.push(Buffer.from(`],"nextCursor":${JSON.stringify(nextCursor)}}`))
  return Buffer.concat(parts)
}
