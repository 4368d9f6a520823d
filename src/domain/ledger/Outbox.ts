import { Context, Data } from "effect"
import type { Effect } from "effect"
import type { AnyEvent, Kind } from "../Kind.ts"
import type { DatabaseUnavailable } from "./Ledger.ts"
import type { Position } from "./Position.ts"
import type { Snapshot } from "./Snapshot.ts"

/** Events that are needed are so old that they are no longer kept. */
export class HistoryPruned extends Data.TaggedError("HistoryPruned") {}

/** An outbox record: a fact about one entity. */
export interface Recorded {
  readonly position: Position
  readonly kind: string
  readonly id: string
  readonly version: number
  readonly event: AnyEvent
  /** RFC 3339, UTC, microseconds. */
  readonly recordedAt: string
  readonly updatedAtNs: string
}

/** What the relay needs of a record. */
export interface Pending {
  readonly transaction: bigint
  readonly kind: string
  readonly id: string
  readonly partition: number
  readonly version: number
  /** Milliseconds since 1970, the database's clock. */
  readonly recordedAt: number
}

export interface Look {
  readonly epoch: number
  readonly snapshot: Snapshot
  /** The transaction of the last event that the snapshot shows; 0 where there is none. */
  readonly last: bigint
  /** The last transaction of this epoch of which an event was pruned; 0 where there is none. */
  readonly pruned: bigint
  /** The database's clock, in milliseconds, from before the snapshot was taken. */
  readonly time: number
  /** First what was open in the snapshot given, then what is newer; each in order of transaction and sequence. */
  readonly pending: readonly Pending[]
}

type Read<A> = Effect.Effect<A, DatabaseUnavailable>

/** The append-only log of events, which is also the outbox: nothing in it is touched when it is delivered. */
export class Outbox extends Context.Service<Outbox, {
  /** What became visible since a snapshot, at most `limit` records. */
  readonly since: (epoch: number, snapshot: Snapshot, partitions: readonly number[], limit: number) => Read<Look>
  /** An entity's events with versions in (after, upTo], oldest first. */
  readonly history: (kind: Kind, id: string, after: number, upTo: number, limit: number) => Read<readonly Recorded[]>
  /** The first event of each of these entities that exists. */
  readonly first: (kind: Kind, ids: readonly string[]) => Read<readonly Recorded[]>
  /** Events of the kinds after a position and below the fence, in order of position. Fails where events after it were pruned. */
  readonly feed: (kinds: readonly string[], after: Position, limit: number) => Effect.Effect<readonly Recorded[], DatabaseUnavailable | HistoryPruned>
  /** Events at this position and below it may be gone, those above it are all kept; null where nothing was ever pruned. */
  readonly pruned: Read<Position | null>
  /**
   * Where a listener begins who begins now: the first position that he has not passed, and what of the events behind it is
   * shown already. While an earlier transaction is open, that is not nothing.
   */
  readonly end: Read<{ readonly position: Position; readonly snapshot: Snapshot }>
  /** Records that the checkpoints given do not show: how many, and the age of the oldest in seconds. */
  readonly lag: (checkpoints: readonly { readonly partition: number; readonly snapshot: Snapshot }[]) => Read<{ readonly events: number; readonly seconds: number }>
}>()("holdfast/ledger/Outbox") {}
