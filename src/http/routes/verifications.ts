import { Effect } from "effect"
import type { Kind } from "../../domain/Kind.ts"
import { Verification } from "../../domain/sync/Verification.ts"
import { WRONGS } from "../../domain/sync/verdictOf.ts"
import type { Run } from "../../domain/sync/VerificationRuns.ts"
import { lookedAt } from "../../domain/sync/VerificationTally.ts"
import { bodyOf } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { rebuildRequest, verificationOperations, verificationRequest } from "../openapi/verifications.ts"
import { HttpProblem } from "../problems.ts"
import { uuid } from "../query.ts"
import { json, NO_STORE } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { valid } from "../validate.ts"

const PATHS = { verification: "/ops/verifications", rebuild: "/ops/rebuilds" } as const
const headers = { "Cache-Control": NO_STORE }

/** Every class is shown, those too of which there are none. */
const countOf = ({ tally }: Run, name: string): number => tally.counts[name] ?? 0
const namedOf = ({ tally }: Run, name: string) => tally.first[name] ?? []

const commonOf = (run: Run) => ({
  id: run.id,
  kind: run.kind,
  startedBy: run.actor,
  state: run.finishedAt !== null ? "done" : run.startedAt !== null ? "running" : "waiting",
  progress: { kind: run.place?.kind ?? null, looked: lookedAt(run.tally) },
  askedAt: run.askedAt,
  startedAt: run.startedAt,
  finishedAt: run.finishedAt
})

/** A verification, as `GET` and the statistics show it. */
export const verificationOf = (run: Run) => ({
  ...commonOf(run),
  sample: run.sample,
  repair: run.repair,
  reason: run.reason,
  result: {
    fine: countOf(run, "fine"),
    absent: countOf(run, "absent"),
    ...Object.fromEntries(WRONGS.map((name) => [name, { count: countOf(run, name), oldestSeconds: run.tally.oldestSeconds[name] ?? null, first: namedOf(run, name) }])),
    repaired: countOf(run, "repaired")
  }
})

const rebuildOf = (run: Run) => ({
  ...commonOf(run),
  target: run.work,
  result: run.work === "cache"
    ? { stood: countOf(run, "stood"), filled: countOf(run, "filled"), left: countOf(run, "left") }
    : { fine: countOf(run, "fine"), pruned: countOf(run, "pruned"), different: { count: countOf(run, "different"), first: namedOf(run, "different") } }
})

/** What operators ask for over all entities, and how far it is. */
export const verificationRoutes = (kinds: readonly Kind[]) => Effect.gen(function*() {
  const verification = yield* Verification, run = Effect.runPromiseWith(yield* Effect.context<never>())
  const about = verificationOperations(kinds), asked = verificationRequest(kinds), rebuilt = rebuildRequest(kinds)

  const accepted = (path: string, { id }: Run, body: unknown): Reply => json(202, body, { ...headers, Location: `${path}/${id}` })

  const verify = async (exchange: Exchange): Promise<Reply> => {
    const order = valid(asked, (await bodyOf(exchange, ["application/json"])).json)
    const started = await run(verification.start({ ...order, actor: exchange.principal.id }))
    return accepted(PATHS.verification, started, verificationOf(started))
  }

  const rebuild = async (exchange: Exchange): Promise<Reply> => {
    const { target, ...order } = valid(rebuilt, (await bodyOf(exchange, ["application/json"])).json)
    const started = await run(verification.start({ ...order, work: target, actor: exchange.principal.id }))
    return accepted(PATHS.rebuild, started, rebuildOf(started))
  }

  const show = (isOne: (run: Run) => boolean, of: (run: Run) => unknown) => async ({ c }: Exchange): Promise<Reply> => {
    const id = uuid(c.req.param("id")!), found = id === null ? null : await run(verification.find(id))
    if (found === null || !isOne(found)) throw new HttpProblem("not-found", "There is no such run.")
    return json(200, of(found), headers)
  }
  const isVerification = ({ work }: Run) => work === "verification"

  const read = ["ops:read"], write = ["ops:write"]
  return [
    { method: "POST", path: PATHS.verification, scopes: write, ops: true, about: about.verify, handle: verify },
    { method: "GET", path: `${PATHS.verification}/:id`, scopes: read, ops: true, about: about.verification, handle: show(isVerification, verificationOf) },
    { method: "POST", path: PATHS.rebuild, scopes: write, ops: true, about: about.rebuild, handle: rebuild },
    { method: "GET", path: `${PATHS.rebuild}/:id`, scopes: read, ops: true, about: about.rebuilding, handle: show((of) => !isVerification(of), rebuildOf) }
  ] satisfies readonly Route[]
})
