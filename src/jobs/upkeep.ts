import { Effect, Layer } from "effect"
import { Upkeep } from "../domain/jobs/Upkeep.ts"
import { WorkLeases } from "../domain/jobs/WorkLeases.ts"
import { Log } from "../domain/observe/Log.ts"

/**
 * Every hour, and at the start: the partitions of the time to come are made, those whose time is over are dropped. Every
 * hour, because one that a backup or a report holds at that moment is left for the next round.
 */
export const layerUpkeep = Layer.effectDiscard(Effect.gen(function*() {
  const upkeep = yield* Upkeep, leases = yield* WorkLeases, log = yield* Log
  const round = Effect.gen(function*() {
    yield* upkeep.makePartitions
    for (const { partition, dropped } of yield* upkeep.dropPartitions) {
      log.info(dropped ? "A partition was dropped" : "A partition could not be dropped: somebody uses it, and the next round tries again", { partition })
    }
  })
  yield* leases.serve({ name: "upkeep", schedule: "17 * * * *", run: Effect.orDie(round) })
}))
