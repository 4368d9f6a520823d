import { NOT_SUPPORTED, VARIABLES } from "./variables.ts"
import type { Variable } from "./variables.ts"

type Values = { readonly [N in keyof typeof VARIABLES]: (typeof VARIABLES)[N] extends Variable<infer A> ? A : string }

/** What one process runs on. */
export interface Configuration extends Omit<Values, "DB_PROVIDER" | "CACHE_PROVIDER" | "REDIS_URL"> {
  /** Null: an embedded Postgres is started. */
  readonly DATABASE_URL: string | null
  /** Null: the memory cache. */
  readonly REDIS_URL: string | null
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Which of the processes it is for: `all` is everything in one. */
export type Process = "all" | "api" | "relay" | "tool"

/** A configuration that cannot be run; the message lists every fault. */
export class BadConfiguration extends Error {}

const placeOf = (url: string): string => {
  const { hostname, port, pathname } = new URL(url)
  return `${hostname}:${port || "5432"}${pathname}`
}

/** Reads the environment. Throws `BadConfiguration` with every fault at once; values are never shown, for some are secret. */
export const readConfiguration = (environment: Environment, process: Process): Configuration => {
  const faults: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, variable] of Object.entries<Variable<unknown>>(VARIABLES)) {
    const parsed = variable.parse(environment[name]?.trim() || variable.fallback)
    if ("fault" in parsed) faults.push(`${name} ${parsed.fault}`)
    else values[name] = parsed.value
  }
  for (const name of NOT_SUPPORTED) {
    const text = environment[name]?.trim()
    if (text !== undefined && text !== "" && text !== "false") faults.push(`${name} is not supported by this version`)
  }
  const { CACHE_PROVIDER: cache, DB_PROVIDER: database, REDIS_URL: redis, ...rest } = values as unknown as Values
  const nothingNamed = cache === null && redis === null && rest.DATABASE_URL === null && database === null
  const memory = cache === "memory" || nothingNamed
  if (cache === "memory" && redis !== null) faults.push("REDIS_URL is set, but CACHE_PROVIDER is memory: remove one of them")
  if (database !== null && rest.DATABASE_URL === null) faults.push("DB_PROVIDER is set, but DATABASE_URL is not")
  if (rest.DB_REPLICA_URL && rest.DATABASE_URL === null) faults.push("DB_REPLICA_URL is set, but DATABASE_URL is not")
  if (rest.DB_REPLICA_URL && rest.DATABASE_URL && placeOf(rest.DATABASE_URL) === placeOf(rest.DB_REPLICA_URL)) {
    faults.push("DB_REPLICA_URL names the database of DATABASE_URL: name its replica, or leave it unset")
  }
  const issuer = [rest.JWT_ISSUER, rest.JWT_AUDIENCE, rest.JWT_JWKS_URL]
  if (issuer.includes(null) && issuer.some((part) => part !== null)) faults.push("JWT_ISSUER, JWT_AUDIENCE and JWT_JWKS_URL go together: set all of them, or none")
  if (rest.KEYRING_FILE === null && (process === "api" || process === "relay" || (process === "all" && rest.DATABASE_URL !== null))) {
    faults.push("KEYRING_FILE is needed, the same by every process: `npm run holdfast -- keys generate --file keyring.json` makes one")
  }
  if (rest.DATABASE_URL && rest.SUBJECT_KEYS_URL && placeOf(rest.DATABASE_URL) === placeOf(rest.SUBJECT_KEYS_URL)) {
    faults.push("SUBJECT_KEYS_URL names the database of DATABASE_URL: name another, or leave it unset")
  }
  if (process === "api" || process === "relay") {
    if (memory) faults.push("CACHE_PROVIDER memory is for one process: an api and a relay that are two need redis")
    if (rest.DATABASE_URL === null) faults.push("DATABASE_URL is needed by an api and a relay that are two processes")
  }
  if (faults.length > 0) throw new BadConfiguration(`Holdfast cannot start; the configuration is wrong:\n${faults.map((text) => `  - ${text}`).join("\n")}`)
  return { ...rest, REDIS_URL: memory ? null : redis ?? "redis://127.0.0.1:6379" }
}
