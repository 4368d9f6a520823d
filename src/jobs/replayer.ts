import { Effect, Layer } from "effect"
import { CacheAccess } from "../domain/cache/CacheAccess.ts"
import { WorkLeases } from "../domain/jobs/WorkLeases.ts"
import { Log } from "../domain/observe/Log.ts"
import { Replay } from "../domain/sync/Replay.ts"
import { RetryQueue } from "../domain/sync/RetryQueue.ts"

const POLL = "200 millis"
/** A due row that waits for so long, in seconds, is replayed by whoever sees it. */
const NEGLECTED = 3

/** Replays `sync_retry_queue`. While the cache is away nothing is tried; when it is back, everything is due at once. */
export const layerReplayer = Layer.effectDiscard(Effect.gen(function*() {
  const replay = yield* Replay, queue = yield* RetryQueue, leases = yield* WorkLeases, access = yield* CacheAccess, log = yield* Log

  let wasAway = false
  const round = Effect.gen(function*() {
    if (access.state() === "open") {
      wasAway = true
      return 0
    }
    if (wasAway) yield* queue.release(null, false)
    wasAway = false
    return yield* replay.round
  }).pipe(Effect.catchCause((cause) => Effect.sync(() => {
    log.warn("A round of the replayer failed; it is tried again", { cause: String(cause) })
    return 0
  })))

  const untilNothingIsDue = Effect.repeat(round, { while: (tried) => tried > 0 })

  let held = false
  yield* leases.serve({
    name: "replayer",
    schedule: "* * * * *",
    run: Effect.sync(() => { held = true }).pipe(
      Effect.andThen(Effect.forever(Effect.andThen(untilNothingIsDue, Effect.sleep(POLL)))),
      Effect.ensuring(Effect.sync(() => { held = false }))
    )
  })

  const standIn = Effect.gen(function*() {
    const { due, oldestAgeSeconds } = yield* queue.size
    if (!held && due > 0 && oldestAgeSeconds > NEGLECTED) yield* untilNothingIsDue
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.exit(standIn), Effect.sleep("1 second"))))
}))
