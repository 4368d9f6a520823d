import { Context } from "effect"
import type { Effect } from "effect"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"

/** A partition whose time is over, and whether it is gone: one that somebody holds stays until the next round. */
export interface Outdated { readonly partition: string; readonly dropped: boolean }

/** What the database needs now and then. */
export class Upkeep extends Context.Service<Upkeep, {
  /** Makes the months of the outbox and the days of the idempotency keys that come next. */
  readonly makePartitions: Effect.Effect<void, DatabaseUnavailable>
  /** Drops months of the outbox that are older than the retention, if there is one, and days of the idempotency keys that nobody looks at. */
  readonly dropPartitions: Effect.Effect<readonly Outdated[], DatabaseUnavailable>
}>()("holdfast/jobs/Upkeep") {}
