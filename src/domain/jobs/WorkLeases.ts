import { Context } from "effect"
import type { Effect, Scope } from "effect"

/** A piece of work that one process does at a time: a relay lane, the replayer, upkeep. */
export interface LeasedWork {
  /** Such as `relay-lane-0`; a queue's name. */
  readonly name: string
  /** Cron, UTC: when the lease is put back if nobody holds it. */
  readonly schedule: string
  /** Runs while the lease is held, and is interrupted when it is lost or the process stops. It may also end by itself. */
  readonly run: Effect.Effect<void>
}

/**
 * Leases of work: given to one process at a time, but for moments. Work must stand being done twice at once. A lease is a
 * hint; who sees work neglected may do it meanwhile.
 */
export class WorkLeases extends Context.Service<WorkLeases, {
  /** Applies for the lease until the scope closes. */
  readonly serve: (work: LeasedWork) => Effect.Effect<void, never, Scope.Scope>
}>()("holdfast/jobs/WorkLeases") {}
