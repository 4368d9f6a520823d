import { Context } from "effect"
import type { Effect } from "effect"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import type { Tally } from "./VerificationTally.ts"

/** `verification`: entries against rows. `cache`: entries made of rows where there are none. `rows`: rows against their events. */
export type Work = "verification" | "cache" | "rows"

/** What was asked for. */
export interface Order {
  readonly work: Work
  /** Null for all kinds. */
  readonly kind: string | null
  /** The share of the entities that are looked at, above 0 and up to 1. */
  readonly sample: number
  /** Whether what is wrong is put right. */
  readonly repair: boolean
  /** Of one epoch there is one run for the reason `epoch`, however many ask for it. */
  readonly reason: "asked" | "epoch"
  /** The id of an API key, or who else asked. */
  readonly actor: string
}

/** Where a run goes on: behind an id of a kind, or at the kind's beginning. */
export interface Place { readonly kind: string; readonly after: string | null }

export interface Run extends Order {
  readonly id: string
  /** How often its place was moved. */
  readonly moves: number
  /** Null before the first page, and after the last. */
  readonly place: Place | null
  readonly tally: Tally
  /** RFC 3339, UTC; null until a process has begun with it, and until one has done its last page. */
  readonly askedAt: string
  readonly startedAt: string | null
  readonly finishedAt: string | null
}

type Access<A> = Effect.Effect<A, DatabaseUnavailable>

/** The runs, where every process finds them. */
export class VerificationRuns extends Context.Service<VerificationRuns, {
  /** One of this life that is to do the same, and that no process has begun, is answered instead of another being made. */
  readonly start: (order: Order) => Access<Run>
  /** Asks for a full verification, if the database has begun another life than its first and none was asked for in it. */
  readonly startOfEpoch: Access<void>
  readonly find: (id: string) => Access<Run | null>
  /**
   * The one that comes next of those that are not finished: first the one that a new life asked for, then by when it was
   * asked for. One of a kind that is not among these, or that has come to one, is left to a process that knows it.
   */
  readonly next: (kinds: readonly string[], withCache: boolean) => Access<Run | null>
  /** Before anything is looked at for it: who asks for the same from now on may have changed what was seen already. */
  readonly begin: (run: Run) => Access<void>
  /** The verification that was finished last. */
  readonly last: Access<Run | null>
  /** Keeps what a page came to, unless somebody else has moved the run meanwhile; without a place it is finished. */
  readonly move: (run: Run, place: Place | null, tally: Tally) => Access<void>
}>()("holdfast/sync/VerificationRuns") {}
