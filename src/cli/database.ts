import { Effect } from "effect"
import type { ApiKeys } from "../domain/access/ApiKeys.ts"
import { Log } from "../domain/observe/Log.ts"
import type { RetryQueue } from "../domain/sync/RetryQueue.ts"
import { readConfiguration } from "../infrastructure/configuration/readConfiguration.ts"
import type { Environment } from "../infrastructure/configuration/readConfiguration.ts"
import { keyringIn } from "../infrastructure/crypto/keyringFile.ts"
import { findEmbeddedPostgres, startEmbeddedPostgres } from "../infrastructure/embedded/EmbeddedPostgres.ts"
import { layerTools } from "../infrastructure/live.ts"
import type { Located, Running } from "../infrastructure/live.ts"
import { checkSchema, migrate } from "../infrastructure/postgres/migrate.ts"
import { Postgres } from "../infrastructure/postgres/Postgres.ts"
import type { Surroundings } from "./holdfast.ts"

/** As `npm start` has it. */
export const folderOf = (environment: Environment): string => environment["HOLDFAST_FOLDER"] || ".holdfast"

/**
 * Works on the database that is named; without one on the embedded one: its server, if a service runs on it, else one that
 * is started for the moment of the command.
 */
export const withDatabase = async <A>({ environment, log }: Pick<Surroundings, "environment" | "log">, work: (located: Located) => Promise<A>): Promise<A> => {
  const configuration = readConfiguration(environment, "tool")
  const on = (url: string, embedded: boolean) => work({ ...configuration, DATABASE_URL: url, embedded })
  if (configuration.DATABASE_URL !== null) return on(configuration.DATABASE_URL, false)
  const folder = folderOf(environment)
  const running = await findEmbeddedPostgres(folder)
  if (running !== null) return on(running, true)
  const server = await startEmbeddedPostgres({ folder, persistent: true })
  try {
    await Effect.runPromise(migrate(server.url, { partitions: configuration.CACHE_PARTITIONS, log, subjectKeysUrl: configuration.SUBJECT_KEYS_URL }))
    return await on(server.url, true)
  } finally {
    await server.stop()
  }
}

/** As `withDatabase`, for what opens entries or personal data. */
export const withKeyring = <A>(surroundings: Surroundings, work: (running: Running) => Promise<A>): Promise<A> =>
  withDatabase(surroundings, (located) => {
    const { environment, log } = surroundings
    const given = located.KEYRING_FILE
    if (given === null && !located.embedded) throw new Error("KEYRING_FILE is needed: name the keyring of the service.")
    return work({ ...located, KEYRING_FILE: given ?? keyringIn(folderOf(environment), (path) => log.warn("A keyring was made: who loses it loses what is sealed with it", { path })) })
  })

/** Works with the keys and the queue of a database whose schema is this version's; that is looked at before anything else asks for a table. */
export const withTools = <A, E>(surroundings: Surroundings, work: Effect.Effect<A, E, ApiKeys | RetryQueue>): Promise<A> =>
  withDatabase(surroundings, (running) =>
    Effect.runPromise(checkSchema({ partitions: running.CACHE_PARTITIONS }).pipe(
      Effect.provide(Postgres.layer({ url: running.DATABASE_URL, poolMax: 1 })),
      Effect.andThen(Effect.provide(work, layerTools(running))),
      Effect.provideService(Log, surroundings.log)
    )))
