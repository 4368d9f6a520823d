import { Effect, Layer } from "effect"
import { CacheAccess } from "./cache/CacheAccess.ts"
import { Entries } from "./cache/Entries.ts"
import { Keyspace } from "./cache/Keyspace.ts"
import { Epochs } from "./ledger/Epochs.ts"
import { Queries } from "./Queries.ts"
import { SubjectKeys } from "./secrets/SubjectKeys.ts"

/**
 * A database that was restored or promoted has forgotten something that this process remembers. What stands in the cache
 * may be of the life that is over, so it is not read until the relay has purged it; nobody joins a load that began before;
 * and a person's key may be one that was never kept.
 */
export const layerNewLife = Layer.effectDiscard(Effect.gen(function*() {
  const epochs = yield* Epochs, access = yield* CacheAccess, entries = yield* Entries, queries = yield* Queries, keys = yield* SubjectKeys
  const { partitions } = yield* Keyspace
  // Nor what a cache brings back that was restored from before the purge: this process may have been started after it.
  entries.refuseBefore(epochs.newest())
  yield* Effect.acquireRelease(
    Effect.sync(() => epochs.onChange((epoch) => {
      access.distrust(Array.from({ length: partitions }, (_, partition) => partition))
      entries.refuseBefore(epoch)
      queries.startAnew()
      keys.forget()
    })),
    (stop) => Effect.sync(stop)
  )
}))
