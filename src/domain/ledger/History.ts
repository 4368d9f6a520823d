import { Effect } from "effect"
import type { Kind, State } from "../Kind.ts"
import type { DatabaseUnavailable } from "./Ledger.ts"
import { Outbox } from "./Outbox.ts"
import type { Position } from "./Position.ts"

/** An entity as it was at a version, as it is kept, without digests. `state` is null where that version deleted it. */
export interface Past {
  readonly id: string
  readonly version: number
  readonly updatedAtNs: string
  readonly position: Position
  readonly state: State | null
}

// An entity's events are read in pieces, so that a long history does not stand in memory at once.
const PIECE = 1_000

/** Folds an entity's events up to a version; null where it never had that version. */
export const pastOf = Effect.fnUntraced(function*(
  outbox: Outbox["Service"],
  kind: Kind,
  id: string,
  version: number
): Effect.fn.Return<Past | null, DatabaseUnavailable> {
  let past = null as Past | null
  for (let after = 0; after < version; after += PIECE) {
    const records = yield* outbox.history(kind, id, after, Math.min(version, after + PIECE), PIECE)
    // There is no such version, however large the one is that was asked for.
    if (records.length === 0) return null
    for (const record of records) {
      past = { id, version: record.version, updatedAtNs: record.updatedAtNs, position: record.position, state: kind.evolve(record.event, past === null ? null : past.state) }
    }
  }
  return past?.version === version ? past : null
})
