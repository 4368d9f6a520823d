import { Duration, Effect, Layer } from "effect"
import { WorkLeases } from "../domain/jobs/WorkLeases.ts"
import { Log } from "../domain/observe/Log.ts"
import { Verification } from "../domain/sync/Verification.ts"

/** How often it looks whether somebody has asked for a run, or whether the cache is back. */
const POLL = "500 millis"

/** Works on verifications and rebuilds, a page at a time. Who takes the lease over goes on where the other one was. */
export const layerVerifications = ({ every = POLL }: { readonly every?: Duration.Input } = {}) => Layer.effectDiscard(Effect.gen(function*() {
  const verification = yield* Verification, leases = yield* WorkLeases, log = yield* Log

  const round = verification.round.pipe(Effect.catchCause((cause) => Effect.sync(() => {
    log.warn("A page of a verification failed; it is tried again", { cause: String(cause) })
    return false
  })))

  yield* leases.serve({
    name: "verifications",
    schedule: "* * * * *",
    run: Effect.forever(Effect.flatMap(round, (worked) => worked ? Effect.yieldNow : Effect.sleep(every)))
  })
}))
