import { Data } from "effect"
import type { HistoryPruned } from "./ledger/Outbox.ts"
import type { Contended, DatabaseUnavailable, Taken, UnknownOutcome } from "./ledger/Ledger.ts"
import type { Fault } from "./check.ts"
import type { Problem } from "./Problem.ts"

/** There is no such entity. */
export class NotFound extends Data.TaggedError("NotFound") {}
/** There was one, and it was deleted. */
export class Deleted extends Data.TaggedError("Deleted") {}
/** The entity is not at a version that the sender named. */
export class VersionMismatch extends Data.TaggedError("VersionMismatch") {}
/** The domain refuses. */
export class Refused extends Data.TaggedError("Refused")<{ readonly problem: Problem; readonly detail: string }> {}
/** What was asked for names something that is not there, or cannot be held. */
export class Invalid extends Data.TaggedError("Invalid")<{ readonly faults: readonly Fault[] }> {}
/** The idempotency key belongs to another request. */
export class KeyReused extends Data.TaggedError("KeyReused") {}
/** The first request with this idempotency key did not end within 2 s. */
export class KeyInFlight extends Data.TaggedError("KeyInFlight") {}
/** Too many others change the same entity. Nothing was changed. */
export class TooContended extends Data.TaggedError("TooContended") {}
/** A token speaks of something that this database never had, or lost. */
export class TokenUnknown extends Data.TaggedError("TokenUnknown") {}

export type ReadRefusal = NotFound | Deleted | TokenUnknown | HistoryPruned | DatabaseUnavailable
export type Refusal = NotFound | Deleted | VersionMismatch | Refused | Invalid | KeyReused | KeyInFlight | TooContended | HistoryPruned | DatabaseUnavailable | UnknownOutcome
/** As the ledger says it, before a command knows what was taken, or whether a key was waited for. */
export type CommitFault = Refusal | Contended | Taken
