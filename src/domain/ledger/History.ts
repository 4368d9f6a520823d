import { Effect } from "effect"
import type { Kind, State } from "../Kind.ts"
import type { DatabaseUnavailable, Ledger } from "./Ledger.ts"
import { HistoryPruned } from "./Outbox.ts"
import type { Outbox } from "./Outbox.ts"
import { formatPosition } from "./Position.ts"
import type { Position } from "./Position.ts"

/** An entity as it was at a version, as it is kept; what is not told of the newest is without digests. `state` is null where that version deleted it. */
export interface Past {
  readonly id: string
  readonly version: number
  readonly updatedAtNs: string
  /** Without a transaction where the event is no longer kept. */
  readonly position: Omit<Position, "transaction"> & { readonly transaction: bigint | null }
  readonly state: State | null
}

/** What a history is read from: the database, or a replica of it. */
export interface Histories { readonly ledger: Pick<Ledger["Service"], "rows">; readonly outbox: Pick<Outbox["Service"], "history" | "pruned"> }

// An entity's events are read in pieces, so that a long history does not stand in memory at once.
const PIECE = 1_000

/** What the events up to a version make, as far as one follows the other. */
const folded = Effect.fnUntraced(function*(
  outbox: Histories["outbox"],
  kind: Kind,
  id: string,
  version: number
): Effect.fn.Return<{ readonly past: Past & { readonly position: Position } | null; readonly gap: boolean }, DatabaseUnavailable> {
  let past = null as Past & { readonly position: Position } | null
  for (let after = 0; after < version; after += PIECE) {
    const records = yield* outbox.history(kind, id, after, Math.min(version, after + PIECE), PIECE)
    // There is no such version, however large the one is that was asked for.
    if (records.length === 0) break
    for (const record of records) {
      // What the missing ones did is not known: no state is made of the rest.
      if (record.version !== (past?.version ?? 0) + 1) return { past, gap: true }
      past = { id, version: record.version, updatedAtNs: record.updatedAtNs, position: record.position, state: kind.evolve(record.event, past === null ? null : past.state) }
    }
  }
  return { past, gap: false }
})

/** Folds an entity's events up to a version; the newest is in the row as well. Null where it never had that version. */
export const pastOf = Effect.fnUntraced(function*(
  { ledger, outbox }: Histories,
  kind: Kind,
  id: string,
  version: number
): Effect.fn.Return<Past | null, DatabaseUnavailable | HistoryPruned> {
  const { past, gap } = yield* folded(outbox, kind, id, version)
  if (past?.version === version) return past
  const row = (yield* ledger.rows(kind, [id])).rows.get(id)
  if (row === undefined || version < 1 || version > row.version) return null
  if (version === row.version) {
    const [last] = yield* outbox.history(kind, id, version - 1, version, 1)
    return { id, version, updatedAtNs: row.updatedAtNs, position: last?.position ?? { epoch: row.epoch, sequence: row.sequence, transaction: null }, state: row.state }
  }
  const pruned = yield* outbox.pruned
  // It was made after the events were read, and not by then.
  if (!gap && past !== null && (pruned === null || formatPosition(past.position) > formatPosition(pruned))) return null
  return yield* new HistoryPruned()
})
