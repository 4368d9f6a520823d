import { Context } from "effect"
import type { Effect } from "effect"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"

/** Something that somebody did which is not an event of an entity. Never a personal value. */
export interface AuditRecord {
  /** The id of an API key. */
  readonly actor: string
  /** Such as `entry evicted` or `personal data read`. */
  readonly action: string
  readonly kind: string
  /** Null where it was about nobody. */
  readonly id: string | null
  /** X-Request-Id. */
  readonly request: string
}

export class Audit extends Context.Service<Audit, {
  /** Durable when it succeeds. */
  readonly record: (record: AuditRecord) => Effect.Effect<void, DatabaseUnavailable>
}>()("holdfast/audit/Audit") {}
