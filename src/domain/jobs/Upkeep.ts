import { Context } from "effect"
import type { Effect } from "effect"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"

/** What the database needs now and then. */
export class Upkeep extends Context.Service<Upkeep, {
  /** Makes the months of the outbox and the days of the idempotency keys that come next. */
  readonly makePartitions: Effect.Effect<void, DatabaseUnavailable>
}>()("holdfast/jobs/Upkeep") {}
