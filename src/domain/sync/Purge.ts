import { Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import type { CacheUnavailable } from "../cache/CacheAccess.ts"
import { formatCheckpoint } from "../cache/Checkpoint.ts"
import { partitionOfKey } from "../cache/Keyspace.ts"
import { Identifiers } from "../Identifiers.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { Log } from "../observe/Log.ts"

/** A purge counts a piece this often, in milliseconds, also where it finds nothing, so that nobody takes it for abandoned. */
const BEAT = 500
/** One whose marker does not change for so long was left by somebody who died. */
const ABANDONED = 2_000

/** A partition without a checkpoint that can be used: none, a purge marker, or one of an older epoch. */
export interface Lost { readonly partition: number; readonly text: string | null }

interface Purging { text: string; pieces: number; touchedAt: number }

/**
 * Makes a partition whose checkpoint is gone trustworthy again: nobody knows what its entries are worth, so they go. The
 * fence is read before the purge begins; every piece counts itself in the marker, in the same script; the marker has a
 * token of this attempt. Whoever finds another marker than his own has lost, and stops.
 */
export class Purge extends Context.Service<Purge, {
  readonly run: (lost: readonly Lost[]) => Effect.Effect<void, CacheUnavailable | DatabaseUnavailable>
}>()("holdfast/sync/Purge") {
  static readonly layer = Layer.effect(Purge, Effect.gen(function*() {
    const access = yield* CacheAccess, ledger = yield* Ledger, identifiers = yield* Identifiers, log = yield* Log
    const seen = new Map<number, { readonly text: string; readonly since: number }>()

    /** A marker of somebody else is left alone for as long as it moves. */
    const abandoned = ({ partition, text }: Lost): boolean => {
      if (text === null || !text.startsWith("P")) return true
      const known = seen.get(partition)
      if (known?.text === text) return performance.now() - known.since > ABANDONED
      seen.set(partition, { text, since: performance.now() })
      return false
    }

    const run = Effect.fnUntraced(function*(lost: readonly Lost[]) {
      const take = lost.filter(abandoned)
      if (take.length === 0) return
      const { epoch, snapshot, time } = yield* ledger.snapshot
      const mine = new Map<number, Purging>()
      const mark = identifiers.mark()
      const marker = (pieces: number) => formatCheckpoint({ is: "purge", epoch, mark, pieces })
      for (const { partition, text } of take) {
        if (yield* access.work((cache) => cache.mark(partition, text, marker(0)))) mine.set(partition, { text: marker(0), pieces: 0, touchedAt: performance.now() })
      }
      const piece = Effect.fnUntraced(function*(partition: number, keys: readonly string[], purging: Purging) {
        const next = marker(purging.pieces + 1)
        if (yield* access.work((cache) => cache.purge(partition, keys, purging.text, next))) {
          mine.set(partition, { text: next, pieces: purging.pieces + 1, touchedAt: performance.now() })
        } else mine.delete(partition)
      })
      let removed = 0
      const scan = (yield* access.work(async (cache) => cache.scan()[Symbol.asyncIterator]()))
      while (mine.size > 0) {
        const keys = yield* access.work(() => scan.next())
        if (keys.done) break
        const byPartition = Map.groupBy(keys.value, partitionOfKey)
        for (const [partition, purging] of mine) {
          const found = byPartition.get(partition) ?? []
          removed += found.length
          if (found.length > 0 || performance.now() - purging.touchedAt > BEAT) yield* piece(partition, found, purging)
        }
      }
      for (const [partition, { text }] of mine) {
        yield* access.work((cache) => cache.mark(partition, text, formatCheckpoint({ is: "settled", epoch, mark: identifiers.mark(), time, snapshot })))
      }
      if (mine.size > 0) log.info("Partitions without a usable checkpoint were purged", { partitions: mine.size, removed, epoch })
    })
    return Purge.of({ run })
  }))
}
