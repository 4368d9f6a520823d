import { Context } from "effect"
import type { Effect } from "effect"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"

/** What the cache is owed: one row per entity, however often it was owed. */
export interface Owed {
  readonly kind: string
  readonly id: string
  readonly version: number
  /** The number of the debt, another one whenever the entity is owed again. A replay removes its row only if this is unchanged. */
  readonly owed: number
  readonly attempts: number
}

export type RetryState = "due" | "delayed" | "dead"

export interface RetryRow extends Owed {
  readonly reason: string
  /** RFC 3339, UTC. */
  readonly firstFailedAt: string
  readonly nextAttemptAt: string
  readonly state: RetryState
}

export interface QueueSize {
  readonly size: number
  readonly due: number
  readonly delayed: number
  readonly dead: number
  /** 0 where nothing waits. */
  readonly oldestAgeSeconds: number
}

export interface Debt { readonly kind: string; readonly id: string; readonly version: number; readonly reason: string }
export interface Postponed { readonly row: Owed; readonly delayMilliseconds: number; readonly reason: string; readonly dead: boolean }
export interface Selection { readonly kind: string; readonly id: string }
export interface RetryCursor { readonly kind: string; readonly id: string }

type Read<A> = Effect.Effect<A, DatabaseUnavailable>

/** `sync_retry_queue`. A change whose store was missed waits here until a replay has brought the cache up to date. */
export class RetryQueue extends Context.Service<RetryQueue, {
  /** After a missed store. While the cache is known to be away the commit itself writes the row. */
  readonly owe: (debts: readonly Debt[]) => Read<void>
  /** Rows whose time has come, longest due first. */
  readonly due: (limit: number) => Read<readonly Owed[]>
  /** Removes rows that were not owed again meanwhile. */
  readonly settle: (rows: readonly Owed[]) => Read<void>
  readonly postpone: (rows: readonly Postponed[]) => Read<void>
  /** Makes rows due at once, dead ones too if they are asked for by name or `dead` is true; answers how many. */
  readonly release: (selection: Selection | null, dead: boolean) => Read<number>
  readonly select: (selection: Selection | null, limit: number) => Read<readonly Owed[]>
  readonly size: Read<QueueSize>
  readonly list: (page: { readonly after: RetryCursor | null; readonly limit: number; readonly state: RetryState | null }) => Read<readonly RetryRow[]>
  /** Discards a dead row: "gone" if there is none, "alive" if it is not dead. */
  readonly discard: (selection: Selection) => Read<"discarded" | "gone" | "alive">
}>()("holdfast/sync/RetryQueue") {}
