import { Context, Data } from "effect"
import type { Effect } from "effect"
import type { AnyEvent, Kind, State } from "../Kind.ts"
import type { Position } from "./Position.ts"
import type { Snapshot } from "./Snapshot.ts"

/** The database cannot be reached, or did not answer in time. Nothing was changed. */
export class DatabaseUnavailable extends Data.TaggedError("DatabaseUnavailable")<{ readonly reason: string }> {}
/** The connection was lost while a commit was under way: it may have happened or not. The same idempotency key finds out. */
export class UnknownOutcome extends Data.TaggedError("UnknownOutcome") {}
/** Another transaction held what this one needs for longer than 2 s. */
export class Contended extends Data.TaggedError("Contended") {}
/** The value of a unique field belongs to another living entity. */
export class Taken extends Data.TaggedError("Taken")<{ readonly field: string }> {}

/** An entity as the database has it, and the place of its last event. `state` is null once it is deleted. */
export interface Row {
  readonly id: string
  readonly version: number
  readonly updatedAtNs: string
  readonly sequence: number
  /** Of the statement that read the row, never one remembered. */
  readonly epoch: number
  readonly state: State | null
}

/** One attempt to repeat a request without doing it twice. */
export interface IdempotencyKey {
  /** Who sent it (an API key's id) and the key itself, as one digest: 32 bytes. */
  readonly digest: Uint8Array
  /** Of method, path and body: 32 bytes. */
  readonly request: Uint8Array
}

/** What is kept of an answer: enough to make its bytes again from the history. */
export interface KeptAnswer {
  readonly request: Uint8Array
  readonly status: number
  readonly id: string | null
  readonly version: number | null
  /** Of a batch: the id that each item was given. Empty where the answer was that nothing changes. */
  readonly items: readonly string[] | null
}

export interface EntityName { readonly kind: Kind; readonly id: string }

/** Who and what caused an event. */
export interface Cause { readonly actor: string; readonly trace: string; readonly request: string }

export interface Change {
  readonly kind: Kind
  readonly id: string
  /** The version that was loaded; 0 makes a new entity. */
  readonly expected: number
  /** Of what it was decided on, if anything was loaded: in another life of the database a version of that number may be another one. */
  readonly epoch?: number | undefined
  readonly event: AnyEvent
  /** Null for a new entity. */
  readonly before: State | null
  /** After the event; null once it is deleted. */
  readonly after: State | null
  readonly key: IdempotencyKey | null
  readonly status: number
  readonly cause: Cause
  /** Changes of other living entities that stand or fall with this one; each at most once, and not itself. */
  readonly also: readonly OtherChange[]
  /** Entities that must be living when this is committed, and stay so until it is. */
  readonly holds: readonly EntityName[]
  /** Whether the cache is owed these changes because it is known to be away. */
  readonly owed: boolean
}

/** `event.data`, `before` and `after` are as they are kept: what is personal is sealed already. */
export interface OtherChange extends EntityName {
  readonly expected: number
  readonly event: AnyEvent
  readonly before: State
  readonly after: State | null
}

export interface Committed {
  readonly row: Row
  /** Of the other entities that were changed. */
  readonly also: readonly { readonly kind: Kind; readonly row: Row }[]
  readonly transaction: bigint
}

export interface NewEntity { readonly id: string; readonly state: State; readonly event: AnyEvent }

export interface Batch {
  readonly kind: Kind
  readonly items: readonly NewEntity[]
  /** Of every item of the request, in its order. */
  readonly ids: readonly string[]
  readonly key: IdempotencyKey | null
  readonly cause: Cause
  readonly owed: boolean
}

export interface Page { readonly after: string | null; readonly limit: number; readonly where: Readonly<Record<string, string>> }

type Read<A> = Effect.Effect<A, DatabaseUnavailable>

/**
 * The truth: rows, their events, and the answers that were given. A commit is one statement: row, outbox record,
 * idempotency key and retry row stand or fall together.
 */
export class Ledger extends Context.Service<Ledger, {
  /** The row and the kept answer, in one statement; on the primary. */
  readonly load: (kind: Kind, id: string | null, key: IdempotencyKey | null) => Read<{ readonly row: Row | null; readonly kept: KeptAnswer | null }>
  /** Null where a version moved, something that is held is not there, or the key was used meanwhile: look again. */
  readonly commit: (change: Change) => Effect.Effect<Committed | null, DatabaseUnavailable | UnknownOutcome | Contended | Taken>
  /** Keeps the answer of a change that changes nothing to what was read in that epoch; false where the version moved or the key was used meanwhile, or that life of the database is over: there the change may change something. */
  readonly keep: (kind: Kind, id: string, version: number, key: IdempotencyKey, epoch: number) => Effect.Effect<boolean, DatabaseUnavailable | UnknownOutcome | Contended | Taken>
  /** Entities whose unique value is taken are left out; null where the key was used meanwhile. */
  readonly commitBatch: (batch: Batch) => Effect.Effect<readonly Committed[] | null, DatabaseUnavailable | UnknownOutcome | Contended>
  /** Load and commit run in here are alone with those entities among all processes that lost their race too often. */
  readonly alone: <A, E, R>(entities: readonly EntityName[], work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DatabaseUnavailable | UnknownOutcome | Contended, R>
  /** Current rows, on the primary; an unknown id is left out. With the epoch of the statement, for absences. */
  readonly rows: (kind: Kind, ids: readonly string[]) => Read<{ readonly epoch: number; readonly rows: ReadonlyMap<string, Row> }>
  /** The living entity with this value of a unique column (a blind index); null if there is none. */
  readonly find: (kind: Kind, column: string, value: string) => Read<string | null>
  /** Ids of living entities in order of creation. */
  readonly list: (kind: Kind, page: Page) => Read<readonly string[]>
  /** Ids of all entities in order, deleted ones too: of every row, and of every first event, so that one without a row is not passed over. */
  readonly everyId: (kind: Kind, after: string | null, limit: number) => Read<readonly string[]>
  /** Whether the database answered when it was last asked. */
  readonly reachable: () => boolean
  /** The database's clock now, in milliseconds, or more; infinite where it was not read for a minute. */
  readonly clock: () => number
  /** What a look at the database shows now, as far as it outlives a crash; the first transaction id that was not given out; its clock in milliseconds since 1970. */
  readonly snapshot: Read<{ readonly epoch: number; readonly snapshot: Snapshot; readonly next: bigint; readonly time: number }>
  /** Whether the place of a token of an older epoch is in the outbox, or was before that was pruned. */
  readonly remembers: (kind: Kind, id: string, position: Position | { readonly epoch: number; readonly sequence: number }) => Read<boolean>
}>()("holdfast/ledger/Ledger") {}
