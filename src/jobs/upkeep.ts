import { Effect, Layer } from "effect"
import { Upkeep } from "../domain/jobs/Upkeep.ts"
import { WorkLeases } from "../domain/jobs/WorkLeases.ts"

/** Once a day, and at the start: the partitions of the time to come. */
export const layerUpkeep = Layer.effectDiscard(Effect.gen(function*() {
  const upkeep = yield* Upkeep, leases = yield* WorkLeases
  yield* leases.serve({ name: "upkeep", schedule: "17 3 * * *", run: Effect.orDie(upkeep.makePartitions) })
}))
