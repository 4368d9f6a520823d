import { Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { parseCheckpoint } from "../cache/Checkpoint.ts"
import type { Checkpoint } from "../cache/Checkpoint.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Epochs } from "../ledger/Epochs.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { Outbox } from "../ledger/Outbox.ts"
import { parseSnapshot } from "../ledger/Snapshot.ts"

export interface Lag { readonly events: number; readonly seconds: number }

const NOTHING = parseSnapshot("1:1:")

/** How far the cache's checkpoints are behind the outbox. While the cache is away the checkpoints last seen count; one never seen settles nothing. */
export class RelayLag extends Context.Service<RelayLag, {
  readonly now: Effect.Effect<Lag, DatabaseUnavailable>
}>()("holdfast/sync/RelayLag") {
  static readonly layer = Layer.effect(RelayLag, Effect.gen(function*() {
    const access = yield* CacheAccess, outbox = yield* Outbox, epochs = yield* Epochs, { partitions } = yield* Keyspace
    const all = Array.from({ length: partitions }, (_, partition) => partition)
    let seen: readonly (Checkpoint | null)[] = all.map(() => null)
    // One of another life of the database may show transactions that this life has yet to give out.
    const settledBy = (checkpoint: Checkpoint | null) => checkpoint?.is === "settled" && checkpoint.epoch === epochs.newest() ? checkpoint.snapshot : NOTHING
    return RelayLag.of({
      now: Effect.gen(function*() {
        yield* Effect.ignore(Effect.map(access.work((cache) => cache.checkpoints(all)), (texts) => { seen = texts.map(parseCheckpoint) }))
        return yield* outbox.lag(all.map((partition) => ({ partition, snapshot: settledBy(seen[partition]!) })))
      })
    })
  }))
}
