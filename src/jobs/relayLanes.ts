import { Effect, Layer } from "effect"
import { CacheAccess } from "../domain/cache/CacheAccess.ts"
import { Keyspace } from "../domain/cache/Keyspace.ts"
import { WorkLeases } from "../domain/jobs/WorkLeases.ts"
import { Log } from "../domain/observe/Log.ts"
import { Relay } from "../domain/sync/Relay.ts"
import type { Lane } from "../domain/sync/Relay.ts"

/** Groups of partitions that can be given to different processes. */
const LANES = 2
const POLL = "100 millis", WATCH = "500 millis"
/** A lane whose checkpoints stand still for so long, in milliseconds, is worked by whoever sees it. */
const NEGLECTED = 2_000

/** Applies for the relay's lanes, and stands in for a holder who does not work. Two at once in one lane are harmless. */
export const layerRelayLanes = Layer.effectDiscard(Effect.gen(function*() {
  const relay = yield* Relay, leases = yield* WorkLeases, access = yield* CacheAccess, log = yield* Log, { partitions } = yield* Keyspace

  const once = (name: string, lane: Lane) => lane.round.pipe(
    Effect.catchCause((cause) => Effect.sync(() => {
      if (access.state() !== "open") log.warn("A round of the relay failed; it is tried again", { lane: name, cause: String(cause) })
      return false
    })),
    Effect.flatMap((busy) => busy ? Effect.yieldNow : Effect.sleep(POLL))
  )

  for (let n = 0; n < LANES; n++) {
    const name = `relay-lane-${n}`
    const lane = relay.lane(Array.from({ length: partitions }, (_, partition) => partition).filter((partition) => partition % LANES === n))
    let held = false
    yield* leases.serve({
      name,
      schedule: "* * * * *",
      run: Effect.sync(() => { held = true }).pipe(
        Effect.andThen(Effect.forever(once(name, lane))),
        Effect.ensuring(Effect.sync(() => { held = false }))
      )
    })

    const standIn = Effect.gen(function*() {
      if (held || (yield* lane.attendance).neglectedMilliseconds < NEGLECTED) return
      log.info("A lane of the relay is neglected; this process works it meanwhile", { lane: name })
      while (!held && !(yield* lane.attendance).others) yield* once(name, lane)
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.exit(standIn), Effect.sleep(WATCH))))
  }
}))
