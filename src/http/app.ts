import { Context, Effect, Layer } from "effect"
import { Hono } from "hono"
import type { Context as HonoContext } from "hono"
import { ApiKeys } from "../domain/access/ApiKeys.ts"
import type { Principal } from "../domain/access/ApiKeys.ts"
import { IssuedTokens } from "../domain/access/IssuedTokens.ts"
import { RateLimiter } from "../domain/access/RateLimiter.ts"
import type { Kind } from "../domain/Kind.ts"
import { Log } from "../domain/observe/Log.ts"
import { Metrics } from "../domain/observe/Metrics.ts"
import { Sessions } from "../domain/sessions/Sessions.ts"
import { HttpProblem, problemOf, rateLimited } from "./problems.ts"
import { quotaHeaders } from "./quota.ts"
import { requestId, traceparent } from "./request/headers.ts"
import type { TraceContext } from "./request/headers.ts"
import { defect, problem } from "./respond.ts"
import type { Headers, Reply } from "./respond.ts"
import type { Route } from "./route.ts"
import { withDocuments } from "./routes/documents.ts"
import { feedRoutes } from "./routes/feed.ts"
import { lookupRoutes } from "./routes/lookups.ts"
import { openRoutes } from "./routes/open.ts"
import { operatorRoutes } from "./routes/operators.ts"
import { readRoutes } from "./routes/reads.ts"
import { sessionRoutes } from "./routes/sessions.ts"
import { verificationRoutes } from "./routes/verifications.ts"
import { writeRoutes } from "./routes/writes.ts"

/** The HTTP interface. */
export class Apps extends Context.Service<Apps, {
  /** Everything, or with `OPS_PORT` everything but what is served there. */
  readonly main: Hono
  /** Null without `OPS_PORT`. */
  readonly ops: Hono | null
  /** Ends the answers that have no end of their own; a server that stops would wait for them. */
  readonly closeStreams: () => void
}>()("holdfast/http/Apps") {
  static readonly layer = (kinds: readonly Kind[], options: { readonly opsPort: boolean }) => Layer.effect(Apps, make(kinds, options))
}

const BEARER = /^bearer +(\S+) *$/i
const LOCAL = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i
const NOBODY: Principal = { id: "", scopes: new Set() }

/** `/a/:id` as an expression that whole paths match. */
const patternOf = (path: string) => new RegExp(`^${path.replace(/:[a-z]+/gi, "[^/]+")}$`)

/** The routes of all kinds, and before each of them the checks that need no body: key, scope, path, method. */
const make = (kinds: readonly Kind[], options: { readonly opsPort: boolean }) =>
  Effect.gen(function*() {
    const keys = yield* ApiKeys, tokens = yield* IssuedTokens, { take } = yield* RateLimiter, log = yield* Log, metrics = yield* Metrics

    const authenticate = async (c: HonoContext): Promise<Principal> => {
      const [, key] = BEARER.exec(String(c.req.header("authorization"))) ?? []
      // The key of a development machine is nobody's anywhere else.
      const admitted = key !== undefined && (key !== "dev" || LOCAL.test(String(c.req.header("host"))))
      const principal = admitted ? await keys.authenticate(key) ?? await tokens.authenticate(key) : null
      if (principal === null) throw new HttpProblem("unauthenticated", "A valid key is needed.", { headers: { "WWW-Authenticate": "Bearer" } })
      return principal
    }

    const answering = (pattern: string, { scopes, handle, refusedStatus }: Pick<Route, "scopes" | "handle" | "refusedStatus">) => async (c: HonoContext): Promise<Response> => {
      const began = performance.now()
      const id = requestId(c.req.header("x-request-id"))
      // Made when somebody wants it: a read that is answered from the cache does not.
      let traced: TraceContext | null = null
      const trace = () => traced ??= traceparent(c.req.header("traceparent"))
      let reply: Reply, quota: Headers | undefined
      try {
        const principal = scopes === null ? NOBODY : await authenticate(c)
        if (take !== null && scopes !== null) {
          const taken = await take(principal.id)
          quota = quotaHeaders(taken)
          if (!taken.allowed) throw rateLimited(`The key may send ${taken.limit} requests in a second.`)
        }
        const missing = scopes?.find((scope) => !principal.scopes.has(scope))
        if (missing !== undefined) throw new HttpProblem("forbidden", `The key has not the scope ${missing}.`)
        reply = await handle({ c, principal, requestId: id, trace })
      } catch (error) {
        const known = problemOf(error)
        if (known === null) log.error("A request failed by a fault of the service", { route: pattern, method: c.req.method, requestId: id, trace: trace().traceId, error })
        reply = known === null ? defect(id) : problem(known, id, refusedStatus === undefined ? {} : { "Cache-Status": refusedStatus })
      }
      metrics.request(pattern, c.req.method, reply.status, performance.now() - began)
      return new Response(reply.body as Uint8Array<ArrayBuffer>, { status: reply.status, headers: { ...reply.headers, ...quota, "X-Request-Id": id } })
    }

    const appOf = (routes: readonly Route[], withoutKey: boolean): Hono => {
      const app = new Hono()
      const serve = (route: Route) =>
        app.on(route.method, route.path, answering(route.path, withoutKey && route.openOnOpsPort ? { ...route, scopes: null } : route))
      const patterns = routes.map(({ path, method }) => ({ path, pattern: patternOf(path), method }))
      const unknown = (c: HonoContext): Promise<Response> => {
        // `/products/batch` is no product, though it looks like the path of one.
        const named = patterns.filter(({ path }) => path === c.req.path)
        const here = named.length > 0 ? named : patterns.filter(({ pattern }) => pattern.test(c.req.path))
        const methods = here.flatMap(({ method }) => method === "GET" ? ["GET", "HEAD"] : [method])
        return answering("unknown", {
          scopes: [],
          handle: () => {
            throw methods.length > 0
              ? new HttpProblem("method-not-allowed", `The path takes ${methods.join(", ")}.`, { headers: { Allow: methods.join(", ") } })
              : new HttpProblem("not-found", "There is nothing at this path.")
          }
        })(c)
      }
      app.notFound(unknown)
      const isNamed = ({ path }: Route) => !path.includes(":")
      for (const route of routes.filter(isNamed)) serve(route)
      for (const path of new Set(routes.filter(isNamed).map(({ path }) => path))) app.all(path, unknown)
      for (const route of routes.filter((route) => !isNamed(route))) serve(route)
      return app
    }

    const feed = yield* feedRoutes(kinds)
    const routes: readonly Route[] = [...yield* readRoutes(kinds), ...yield* writeRoutes(kinds), ...yield* lookupRoutes(kinds), ...feed.routes, ...sessionRoutes(yield* Sessions), ...yield* operatorRoutes(kinds), ...yield* verificationRoutes(kinds), ...yield* openRoutes]
    return Apps.of({
      main: appOf(withDocuments(options.opsPort ? routes.filter(({ ops }) => ops !== true) : routes), false),
      ops: options.opsPort ? appOf(routes.filter(({ ops }) => ops === true), true) : null,
      closeStreams: feed.close
    })
  })
