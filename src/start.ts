import { serve } from "@hono/node-server"
import type { Server } from "node:http"
import { Effect, Layer, ManagedRuntime } from "effect"
import type { Hono } from "hono"
import { CacheAccess } from "./domain/cache/CacheAccess.ts"
import { Erasure } from "./domain/erasure/Erasure.ts"
import { kinds } from "./domain/kinds/kinds.ts"
import { Log } from "./domain/observe/Log.ts"
import { NOT_IN_BACKUPS, SubjectKeys } from "./domain/secrets/SubjectKeys.ts"
import { Apps } from "./http/app.ts"
import { readConfiguration } from "./infrastructure/configuration/readConfiguration.ts"
import type { Configuration, Environment } from "./infrastructure/configuration/readConfiguration.ts"
import { keyringIn } from "./infrastructure/crypto/keyringFile.ts"
import { startEmbeddedPostgres } from "./infrastructure/embedded/EmbeddedPostgres.ts"
import { layerRelaying, layerServices } from "./infrastructure/live.ts"
import type { Running } from "./infrastructure/live.ts"
import { layerPinoLog } from "./infrastructure/logging/PinoLog.ts"
import { migrate } from "./infrastructure/postgres/migrate.ts"
import { layerErasures } from "./jobs/erasures.ts"
import { layerRelayLanes } from "./jobs/relayLanes.ts"
import { layerReplayer } from "./jobs/replayer.ts"
import { layerUpkeep } from "./jobs/upkeep.ts"
import { layerVerifications } from "./jobs/verifications.ts"

export type Role = "all" | "api" | "relay"

export interface Started {
  /** Of the HTTP interface; null where this process has none. */
  readonly url: string | null
  readonly opsUrl: string | null
  /** Finishes what is under way, at most 10 s, and ends everything that was started. */
  readonly stop: () => Promise<void>
}

const PATIENCE = 10_000

/** The database to run on: the one that is named, or an embedded one, migrated. */
const database = async (configuration: Configuration, log: Log["Service"]): Promise<{ readonly running: Running; readonly stop: () => Promise<void> }> => {
  const { DATABASE_URL, KEYRING_FILE, HOLDFAST_FOLDER, SUBJECT_KEYS_URL } = configuration
  // A configuration that names a database and no keyring was refused.
  if (DATABASE_URL !== null) return { running: { ...configuration, DATABASE_URL, KEYRING_FILE: KEYRING_FILE!, embedded: false }, stop: async () => {} }
  const postgres = await startEmbeddedPostgres({ folder: HOLDFAST_FOLDER, persistent: true })
  try {
    await Effect.runPromise(migrate(postgres.url, { partitions: configuration.CACHE_PARTITIONS, log, subjectKeysUrl: SUBJECT_KEYS_URL }))
    const keyring = KEYRING_FILE ?? keyringIn(HOLDFAST_FOLDER, (path) => log.warn("A keyring was made: who loses it loses what is sealed with it", { path }))
    log.info("Embedded PostgreSQL is running", { dataFolder: postgres.dataFolder })
    return { running: { ...configuration, DATABASE_URL: postgres.url, KEYRING_FILE: keyring, embedded: true }, stop: postgres.stop }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

const listen = (app: Hono, hostname: string, port: number): Promise<{ readonly server: Server; readonly url: string }> =>
  new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname, port }, (address) => {
      resolve({ server, url: `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${address.port}` })
    }) as Server
    // Stays: an error of a server that listens must not end the process.
    server.on("error", reject)
  })

/** Takes no new request, lets those under way end, and cuts what has not ended after 10 s. */
const close = (server: Server, closeStreams: () => void): Promise<void> =>
  new Promise((resolve) => {
    const idle = setInterval(() => server.closeIdleConnections(), 50)
    const cut = setTimeout(() => server.closeAllConnections(), PATIENCE)
    server.close(() => {
      clearInterval(idle)
      clearTimeout(cut)
      resolve()
    })
    closeStreams()
  })

/** Waits until the cache may be read or is known to be away, but no longer than a relay takes to work a lane that nobody held. */
const settled = Effect.flatMap(CacheAccess, (access) =>
  Effect.sleep("20 millis").pipe(Effect.repeat({ while: () => access.state() === "half-open" }), Effect.timeoutOption("4 seconds")))

/** Who was erased stays erased: a backup of the data does not know of it, their list beside the keys does. */
const eraseAgain = Effect.gen(function*() {
  const { backups } = yield* SubjectKeys, erasure = yield* Erasure, log = yield* Log
  if (backups === "keys-share-backup") return
  const erased = yield* erasure.restore
  if (erased > 0) log.warn("Persons came back with a restored database and were erased again", { persons: erased })
})

/** Starts a process of Holdfast; `more` is what no variable sets. Rejects with one message that says everything that is wrong. */
export const start = async (role: Role, environment: Environment, more: Pick<Running, "shortestDeadlineMilliseconds"> = {}): Promise<Started> => {
  const configuration = readConfiguration(environment, role)
  const logging = ManagedRuntime.make(layerPinoLog({ level: configuration.LOG_LEVEL! }))
  const log = await logging.runPromise(Effect.service(Log))
  const { HOST, PORT, OPS_PORT } = configuration
  log.info(role === "relay" ? "Holdfast relay starts" : `Holdfast starts at http://${HOST}:${PORT}`, {
    process: role,
    database: configuration.DATABASE_URL === null ? "embedded PostgreSQL" : "PostgreSQL",
    cache: configuration.REDIS_URL === null ? "memory" : "Redis"
  })
  if (configuration.SUBJECT_KEYS_URL === null) log.warn(NOT_IN_BACKUPS, { why: "the keys of persons are in the same database as the data: SUBJECT_KEYS_URL names another" })
  if (configuration.BOOTSTRAP_API_KEY !== null) log.warn("BOOTSTRAP_API_KEY is set: it has every scope")

  const undo: (() => Promise<void>)[] = [() => logging.dispose()]
  const stop = async () => {
    while (undo.length > 0) await undo.pop()!()
  }
  try {
    const { running, stop: stopDatabase } = await database(configuration, log)
    undo.push(stopDatabase)
    const services = layerServices({ ...running, ...more }).pipe(Layer.provideMerge(Layer.succeed(Log, log)))
    const jobs = Layer.mergeAll(layerRelayLanes, layerReplayer, layerUpkeep, layerErasures(), layerVerifications()).pipe(Layer.provide(layerRelaying(running)))
    const http = Apps.layer(kinds, { opsPort: OPS_PORT !== null })
    const runtime = ManagedRuntime.make((role === "api" ? http : Layer.merge(http, jobs)).pipe(Layer.provideMerge(services)))
    undo.push(() => runtime.dispose())
    const apps = await runtime.runPromise(Effect.service(Apps))
    await runtime.runPromise(eraseAgain)
    const servers: Server[] = []
    undo.push(async () => { await Promise.all(servers.map((server) => close(server, apps.closeStreams))) })
    const at = async (app: Hono | null, port: number): Promise<string | null> => {
      if (app === null) return null
      const { server, url } = await listen(app, HOST, port)
      servers.push(server)
      return url
    }
    // At first nothing in the cache is trusted; with a relay at work that is over in a moment.
    await runtime.runPromise(settled)
    // A relay is watched at `OPS_PORT`, and serves nobody else.
    const url = await at(role === "relay" ? null : apps.main, PORT), opsUrl = await at(apps.ops, Number(OPS_PORT))
    log.info("Holdfast is ready", { process: role, url, opsUrl })
    return { url, opsUrl, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** A process' whole life: until SIGTERM or SIGINT, or until it cannot start. */
export const live = async (role: Role): Promise<void> => {
  try {
    const { stop } = await start(role, process.env)
    const end = () => {
      process.off("SIGTERM", end)
      process.off("SIGINT", end)
      void stop()
    }
    process.on("SIGTERM", end)
    process.on("SIGINT", end)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    process.exitCode = 1
  }
}

const messageOf = (error: unknown): string =>
  (error as { readonly _tag?: string })._tag === "DatabaseUnavailable"
    ? `Holdfast cannot start; the database cannot be reached: ${(error as { reason: string }).reason}`
    : (error as Error).message
