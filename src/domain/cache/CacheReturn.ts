import { Effect, Layer, Schedule } from "effect"
import { Ledger } from "../ledger/Ledger.ts"
import { covers } from "../ledger/Snapshot.ts"
import { Cache } from "./Cache.ts"
import { CacheAccess } from "./CacheAccess.ts"
import { parseCheckpoint } from "./Checkpoint.ts"
import { Keyspace } from "./Keyspace.ts"

const PROBE = Schedule.spaced("100 millis")
const LOOK = Schedule.spaced("50 millis")

/**
 * The loop that brings the cache back. While the breaker is open it asks the cache for a sign of life; when there is one,
 * writes use the cache at once, but a partition's entries are served only when its checkpoint shows everything that a
 * snapshot taken after the return shows: what changed meanwhile is never served stale.
 */
export const layerCacheReturn = Layer.effectDiscard(Effect.gen(function*() {
  const cache = yield* Cache, access = yield* CacheAccess, ledger = yield* Ledger, { partitions } = yield* Keyspace
  const all = Array.from({ length: partitions }, (_, i) => i)

  const settledAgain = Effect.gen(function*() {
    const now = yield* ledger.snapshot
    yield* Effect.gen(function*() {
      const left = access.distrusted()
      const texts = yield* access.work((cache) => cache.checkpoints(left))
      texts.forEach((text, i) => {
        const checkpoint = parseCheckpoint(text)
        if (checkpoint?.is === "settled" && checkpoint.epoch === now.epoch && covers(checkpoint.snapshot, now.snapshot)) access.trust(left[i]!)
      })
    }).pipe(Effect.repeat({ schedule: LOOK, while: () => access.state() === "half-open" }))
  })

  const comeBack = Effect.gen(function*() {
    yield* Effect.timeout(Effect.tryPromise(() => cache.ping()), "1 second")
    access.distrust(all)
    access.breaker.close()
    yield* Effect.retry(settledAgain, { schedule: LOOK, while: () => access.state() === "half-open" })
  })

  yield* Effect.suspend(() => access.state() === "open" ? comeBack : Effect.void).pipe(
    Effect.ignore,
    Effect.repeat(PROBE),
    Effect.forkScoped
  )
}))
