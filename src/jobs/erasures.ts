import { Duration, Effect, Layer } from "effect"
import { Erasure } from "../domain/erasure/Erasure.ts"
import { WorkLeases } from "../domain/jobs/WorkLeases.ts"
import { Epochs } from "../domain/ledger/Epochs.ts"
import { Log } from "../domain/observe/Log.ts"

export interface ErasuresOptions {
  /** How often it looks. */
  readonly every?: Duration.Input
  /** The request that committed the tombstone is still at work before, and would give an order a second version beside it. */
  readonly olderThanSeconds?: number
}

/** Finishes what a crash, or a cache or a database that was away, left of an erasure. */
export const layerErasures = ({ every = "3 seconds", olderThanSeconds = 15 }: ErasuresOptions = {}) => Layer.effectDiscard(Effect.gen(function*() {
  const erasure = yield* Erasure, leases = yield* WorkLeases, log = yield* Log, epochs = yield* Epochs

  const warned = (message: string) => Effect.catchCause((cause) => Effect.sync(() => log.warn(message, { cause: String(cause) })))
  let life = epochs.newest()
  /** A replica that was promoted may never have heard of an erasure; the list beside the keys has. A start does the same. */
  const again = Effect.suspend(() => {
    const now = epochs.newest()
    return now === life ? Effect.void : Effect.map(erasure.restore, () => { life = now })
  })
  const round = Effect.flatMap(Effect.andThen(again, erasure.pending(olderThanSeconds)), (pending) =>
    Effect.forEach(pending, (person) => warned("An erasure could not be finished; it is tried again")(erasure.finish(person)), { discard: true }))

  yield* leases.serve({
    name: "erasures",
    schedule: "* * * * *",
    run: Effect.forever(Effect.andThen(warned("A round of the erasures failed; it is tried again")(round), Effect.sleep(every)))
  })
}))
