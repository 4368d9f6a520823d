import { Context } from "effect"
import type { Effect } from "effect"
import type { Kind } from "../Kind.ts"
import type { DatabaseUnavailable, UnknownOutcome } from "../ledger/Ledger.ts"

type Access<A> = Effect.Effect<A, DatabaseUnavailable>

/** What is known of the erasures of a kind of persons, in the database of the data. */
export class ErasureRecords extends Context.Service<ErasureRecords, {
  /** Persons with a tombstone that is older than so many seconds and has no certificate; then those whose erasure was kept as not finished. */
  readonly pending: (kind: Kind, olderThanSeconds: number, limit: number) => Access<readonly string[]>
  /**
   * Keeps the certificate unless there is one, and whether anything is still to be done. The answer is the one that is kept.
   * Of unknown outcome where that life of the database is over in which it was begun: what was done may be lost with it.
   */
  readonly keep: (kind: Kind, id: string, certificate: string, finished: boolean, epoch: number) => Effect.Effect<string, DatabaseUnavailable | UnknownOutcome>
  /** The certificate, as the text that was kept; null where there is none. */
  readonly find: (kind: Kind, id: string) => Access<string | null>
}>()("holdfast/erasure/ErasureRecords") {}
