import type { Command } from "commander"
import { Effect } from "effect"
import { migrate } from "../infrastructure/postgres/migrate.ts"
import { withDatabase } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"

/** `migrate`: also of a database that is up to date, which changes nothing. */
export const addMigrate = (program: Command, { environment, log, print }: Surroundings): void => {
  program.command("migrate").description("bring the database up to this version").action(async () => {
    const telling = { ...log, info: (message: string, fields?: object) => print([message, ...Object.values({ ...fields })].join(": ")) }
    await withDatabase({ environment, log: telling }, ({ DATABASE_URL, CACHE_PARTITIONS, SUBJECT_KEYS_URL }) =>
      Effect.runPromise(migrate(DATABASE_URL, { partitions: CACHE_PARTITIONS, log: telling, subjectKeysUrl: SUBJECT_KEYS_URL })))
    print("The database is up to date.")
  })
}
