import { Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { parseCheckpoint } from "../cache/Checkpoint.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { Outbox } from "../ledger/Outbox.ts"
import { parseSnapshot } from "../ledger/Snapshot.ts"
import type { Snapshot } from "../ledger/Snapshot.ts"

export interface Lag { readonly events: number; readonly seconds: number }

const NOTHING = parseSnapshot("1:1:")

/** How far the cache's checkpoints are behind the outbox. While the cache is away the checkpoints last seen count; one never seen settles nothing. */
export class RelayLag extends Context.Service<RelayLag, {
  readonly now: Effect.Effect<Lag, DatabaseUnavailable>
}>()("holdfast/sync/RelayLag") {
  static readonly layer = Layer.effect(RelayLag, Effect.gen(function*() {
    const access = yield* CacheAccess, outbox = yield* Outbox, { partitions } = yield* Keyspace
    const all = Array.from({ length: partitions }, (_, partition) => partition)
    let seen: readonly Snapshot[] = all.map(() => NOTHING)
    return RelayLag.of({
      now: Effect.gen(function*() {
        yield* Effect.ignore(Effect.map(access.work((cache) => cache.checkpoints(all)), (texts) => {
          seen = texts.map((text) => {
            const checkpoint = parseCheckpoint(text)
            return checkpoint?.is === "settled" ? checkpoint.snapshot : NOTHING
          })
        }))
        return yield* outbox.lag(all.map((partition) => ({ partition, snapshot: seen[partition]! })))
      })
    })
  }))
}
