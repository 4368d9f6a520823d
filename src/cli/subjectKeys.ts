import { Argument } from "commander"
import type { Command } from "commander"
import { Effect } from "effect"
import { Log } from "../domain/observe/Log.ts"
import { readConfiguration } from "../infrastructure/configuration/readConfiguration.ts"
import { checkSchema } from "../infrastructure/postgres/migrate.ts"
import { moveSubjectKeys } from "../infrastructure/postgres/moveSubjectKeys.ts"
import { Postgres } from "../infrastructure/postgres/Postgres.ts"
import { withDatabase } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"

/** `subject-keys move`. */
export const addSubjectKeys = (program: Command, { environment, log, print }: Surroundings): void => {
  program.command("subject-keys").description("the keys of persons, beside the data or in a database of their own")
    .command("move").description("take them to the other place; SUBJECT_KEYS_URL names the database of their own, and no process may run")
    .addArgument(new Argument("<where>", "where they are to be").choices(["apart", "beside"]))
    .action(async (where: "apart" | "beside") => {
      const apart = where === "apart", keysUrl = readConfiguration(environment, "tool").SUBJECT_KEYS_URL
      if (keysUrl === null) throw new Error("SUBJECT_KEYS_URL is needed: name the database that the keys are to go to, or to come from.")
      // An embedded Postgres is migrated when it is started, as what the installation is before the move.
      const before = apart ? { ...environment, SUBJECT_KEYS_URL: "" } : environment
      const moved = await withDatabase({ environment: before, log }, ({ DATABASE_URL, CACHE_PARTITIONS }) =>
        Effect.runPromise(checkSchema({ partitions: CACHE_PARTITIONS }).pipe(
          Effect.provide(Postgres.layer({ url: DATABASE_URL, poolMax: 1 })),
          Effect.provideService(Log, log),
          Effect.andThen(moveSubjectKeys(DATABASE_URL, keysUrl, { apart, log }))
        )))
      print(`Keys that were moved: ${moved}. ${apart ? "Start every process with SUBJECT_KEYS_URL from now on." : "Start every process without SUBJECT_KEYS_URL from now on."}`)
    })
}
