import type { Command } from "commander"
import { Effect, Schedule } from "effect"
import { Cache } from "../domain/cache/Cache.ts"
import { newestEpoch } from "../domain/cache/newestEpoch.ts"
import { Log } from "../domain/observe/Log.ts"
import { layerEpochs } from "../infrastructure/live.ts"
import { checkSchema } from "../infrastructure/postgres/migrate.ts"
import { Postgres } from "../infrastructure/postgres/Postgres.ts"
import { withDatabase } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"

/** Behind a statement that takes long everybody would wait with it, so it waits 2 s at most, and comes again. */
const AGAIN = { schedule: Schedule.spaced("500 millis"), times: 5 }

const begin = (surroundings: Surroundings): Promise<void> =>
  withDatabase(surroundings, (located) =>
    Effect.runPromise(Effect.gen(function*() {
      const cache = yield* Cache, postgres = yield* Postgres
      yield* checkSchema({ partitions: located.CACHE_PARTITIONS })
      const cached = yield* newestEpoch(cache, located.CACHE_PARTITIONS)
      const [row] = yield* Effect.retry(
        postgres.write({ name: "begin epoch", text: "select begin_epoch($1, true) as epoch" }, [cached ?? 0]),
        { ...AGAIN, while: ({ _tag }) => _tag === "Contended" }
      )
      surroundings.print(`A new life of the database begins: epoch ${row!["epoch"]}.`)
      if (cached === null) surroundings.print("The cache could not be asked, so the number is the clock's: if the service says that the cache is ahead of the database, run this again.")
    }).pipe(
      Effect.provide(layerEpochs(located)),
      Effect.provideService(Log, surroundings.log)
    )))

/** `epoch new`. */
export const addEpoch = (program: Command, surroundings: Surroundings): void => {
  program.command("epoch").description("the lives of the database")
    .command("new").description("begin a new one, after a restore that leaves no trace: what the cache has of before is purged")
    .action(() => begin(surroundings))
}
