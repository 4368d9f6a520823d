import { Effect } from "effect"
import { html } from "hono/html"
import { CacheAccess } from "../../domain/cache/CacheAccess.ts"
import { Ledger } from "../../domain/ledger/Ledger.ts"
import { Replica } from "../../domain/ledger/Replica.ts"
import { Metrics } from "../../domain/observe/Metrics.ts"
import { RelayLag } from "../../domain/sync/RelayLag.ts"
import { RetryQueue } from "../../domain/sync/RetryQueue.ts"
import { healthOperation, metricsOperation, problemOperation, readyOperation } from "../openapi/open.ts"
import { HttpProblem, PROBLEMS } from "../problems.ts"
import type { ProblemType } from "../problems.ts"
import { json, NO_STORE, PRIVATE } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"

const page = (name: string, { status, title, help }: ProblemType) =>
  html`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head>
<body><h1>${title}</h1><p><code>${name}</code>, status ${status}</p><p>${help}</p></body></html>`

/** Health, metrics and the pages that explain problems. */
export const openRoutes = Effect.gen(function*() {
  const ledger = yield* Ledger, access = yield* CacheAccess, metrics = yield* Metrics, queue = yield* RetryQueue, lag = yield* RelayLag, replica = yield* Replica
  const run = Effect.runPromiseWith(yield* Effect.context<never>())

  const ready = async (): Promise<Reply> => {
    const database = await run(Effect.timeoutOption(Effect.option(ledger.snapshot), "2 seconds"))
    const isReady = database._tag === "Some" && database.value._tag === "Some"
    return json(isReady ? 200 : 503, { ready: isReady, degraded: isReady && access.state() !== "closed" }, { "Cache-Control": NO_STORE })
  }

  const measure = async (): Promise<Reply> => {
    // Gauges of the database are read when they are asked for; while it is away the others are still of use.
    await run(Effect.ignore(Effect.gen(function*() {
      const size = yield* queue.size, { events, seconds } = yield* lag.now
      metrics.queue(size.size, size.dead)
      metrics.relayLag(events, seconds)
    })))
    const behind = replica.lag()
    if (behind !== null) metrics.replicaLag(behind / 1_000)
    const { contentType, body } = await metrics.exposition()
    return { status: 200, headers: { "Content-Type": contentType, "Cache-Control": NO_STORE }, body }
  }

  return [
    { method: "GET", path: "/healthz", scopes: null, ops: true, about: healthOperation, handle: () => json(200, { status: "ok" }, { "Cache-Control": NO_STORE }) },
    { method: "GET", path: "/readyz", scopes: null, ops: true, about: readyOperation, handle: ready },
    { method: "GET", path: "/metrics", scopes: ["ops:read"], ops: true, openOnOpsPort: true, about: metricsOperation, handle: measure },
    {
      method: "GET",
      path: "/problems/:name",
      scopes: null,
      about: problemOperation,
      handle: async ({ c }) => {
        const name = c.req.param("name")!
        if (!Object.hasOwn(PROBLEMS, name)) throw new HttpProblem("not-found", "There is no such problem.")
        return { status: 200, headers: { "Content-Type": "text/html; charset=UTF-8", "Cache-Control": PRIVATE }, body: String(await page(name, PROBLEMS[name as keyof typeof PROBLEMS])) }
      }
    }
  ] satisfies readonly Route[]
})
