import { accessSync, constants } from "node:fs"
import { MOST_PARTITIONS } from "../../domain/cache/Keyspace.ts"
import { kinds } from "../../domain/kinds/kinds.ts"
import { readKeyring } from "../crypto/keyringFile.ts"

/** How one environment variable is read. `parse` answers the value, or what is wrong with the text. */
export interface Variable<A> {
  /** What the documentation says of it. */
  readonly about: string
  /** Read where the variable is not set or empty. */
  readonly fallback: string
  readonly parse: (text: string) => { readonly value: A } | { readonly fault: string }
}

const value = <A>(value: A) => ({ value })
const fault = (fault: string) => ({ fault })

const number = (about: string, fallback: number, minimum: number, maximum: number): Variable<number> => ({
  about,
  fallback: String(fallback),
  parse: (text) => /^\d{1,10}$/.test(text) && Number(text) >= minimum && Number(text) <= maximum ? value(Number(text)) : fault(`must be a whole number from ${minimum} to ${maximum}`)
})

const optionalNumber = (about: string, minimum: number, maximum: number): Variable<number | null> => ({
  about,
  fallback: "",
  parse: (text) => text === "" ? value(null) : number("", 0, minimum, maximum).parse(text)
})

const flag = (about: string, fallback: boolean): Variable<boolean> => ({
  about,
  fallback: String(fallback),
  parse: (text) => text === "true" || text === "false" ? value(text === "true") : fault("must be true or false")
})

const choice = <const C extends readonly string[]>(about: string, fallback: C[number] | "", choices: C): Variable<C[number] | null> => ({
  about,
  fallback,
  parse: (text) => text === "" ? value(null) : choices.includes(text) ? value(text) : fault(`must be one of ${choices.join(", ")}`)
})

const optional = (about: string, check: (text: string) => string | null = () => null): Variable<string | null> => ({
  about,
  fallback: "",
  parse: (text) => {
    if (text === "") return value(null)
    const wrong = check(text)
    return wrong === null ? value(text) : fault(wrong)
  }
})

const url = (...protocols: readonly string[]) => (text: string) =>
  URL.canParse(text) && protocols.includes(new URL(text).protocol) ? null : `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`

const folder = (text: string) => {
  try {
    accessSync(text, constants.R_OK)
    readKeyring(text)
    return null
  } catch (error) {
    return `names a file that cannot be used: ${(error as Error).message}`
  }
}

const KINDS = kinds.map(({ name }) => name)

/** The names of the kinds whose reads are in shadow. */
const shadow = (about: string): Variable<readonly string[]> => ({
  about,
  fallback: "on",
  parse: (text) => {
    if (text === "on") return value([])
    if (text === "shadow") return value(KINDS)
    const names = text.split(",").map((name) => name.trim())
    return names.every((name) => KINDS.includes(name)) ? value(names) : fault(`must be on, shadow, or kinds with a comma between: ${KINDS.join(", ")}`)
  }
})

/** Every environment variable that this version reads. */
export const VARIABLES = {
  HOST: { about: "The address to listen at.", fallback: "127.0.0.1", parse: (text: string) => value(text) },
  PORT: number("The port of the HTTP interface; 0 takes a free one.", 8080, 0, 65_535),
  OPS_PORT: optional("If set, `/ops`, `/metrics` and health are served at this port and only there, `/metrics` and health without a key.",
    (text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? null : "must be a port"),
  DATABASE_URL: optional("Postgres, as `postgres://user:password@host:port/database`. Without it a real Postgres is started from an npm package.", url("postgres:", "postgresql:")),
  DB_PROVIDER: choice("The database.", "", ["postgresql"]),
  DATABASE_POOL_MAX: number("Connections to Postgres that one process opens at most.", 20, 4, 1_000),
  DB_REPLICA_URL: optional("A streaming replica of `DATABASE_URL`, as a URL like that one. Lists, histories and reads with `max-age` are then taken from it while it is known to be young enough.", url("postgres:", "postgresql:")),
  REDIS_URL: optional("Redis or Valkey, as `redis://user:password@host:port/0`. An unusable one is a degraded start, not an error."),
  CACHE_PROVIDER: choice("The cache. `memory` is for one process only, and the default where nothing is configured.", "", ["redis", "memory"]),
  CACHE_PARTITIONS: number("Into how many partitions the cache is divided. Cannot be changed once the database is made.", 64, 1, MOST_PARTITIONS),
  CACHE_TTL_SECONDS: number("For how long the cache keeps an entity that nobody changes, ± 10 %.", 86_400, 60, 31_536_000),
  CACHE_READS: shadow("Who answers reads. `on`: the cache. `shadow`: Postgres, while the cache is held against every answer and `/ops/stats` tells how it would have done. Names of kinds with a comma between, such as `product,order`: those are in shadow."),
  SYNC_BUDGET_MS: number("How long a write waits for its store in the cache before it is queued.", 25, 1, 60_000),
  POSTGRES_FALLBACK_ENABLED: flag("Whether reads go to Postgres while the cache is away. If not they are answered 503.", true),
  FALLBACK_RETRY_ATTEMPTS: number("Tries at the cache inside its deadline, with backoff from 2 ms.", 3, 1, 10),
  BOOTSTRAP_API_KEY: optional("A key with every scope, for the first steps.", (text) => text.length >= 32 && /^[\x21-\x7e]+$/.test(text) ? null : "must have at least 32 visible ASCII characters"),
  KEYRING_FILE: optional("The file of the keys that seal tiers 2 and 3, made by `npm run holdfast -- keys generate`. Needed, but with the embedded Postgres, which makes its own.", folder),
  SUBJECT_KEYS_URL: optional("A Postgres database of its own for the keys of persons, so that an erasure reaches the backups of the data too. Without it they are beside the data.", url("postgres:", "postgresql:")),
  RATE_LIMIT_PER_SECOND: optionalNumber("How many requests one key, or one subject of a JWT, may send in a second, over all processes. Without it as many as it likes.", 1, 1_000_000),
  OUTBOX_RETENTION_MONTHS: optionalNumber("For how many months at least events are kept. What is older is dropped, a month at a time; without it nothing is.", 1, 1_200),
  JWT_ISSUER: optional("Whose JWTs are taken beside the keys: their `iss`. Goes with JWT_AUDIENCE and JWT_JWKS_URL."),
  JWT_AUDIENCE: optional("Whom those JWTs must be for: one of their `aud`."),
  JWT_JWKS_URL: optional("Where the issuer's public keys are; by https unless the way there is safe.", url("https:", "http:")),
  HOLDFAST_FOLDER: { about: "Where the embedded Postgres keeps its data. Read only where DATABASE_URL is not set.", fallback: ".holdfast", parse: (text: string) => value(text) },
  LOG_LEVEL: choice("The least level that is logged.", "info", ["debug", "info", "warn", "error", "silent"])
} satisfies Readonly<Record<string, Variable<unknown>>>

/** Variables of providers that this version has not: to ignore one would be to run something else than was asked for. */
export const NOT_SUPPORTED = [
  "REDIS_CLUSTER_ENABLED", "REDIS_SENTINEL_ENABLED", "KEYDB_URL", "KEYDB_HOST", "KEYDB_PORT", "MEMCACHED_SERVERS", "DATABASE_POOLER",
  "REDIS_CLUSTER_NODES", "REDIS_SENTINEL_MASTER", "REDIS_SENTINEL_NODES", "REDIS_POOL_MAX", "POSTGRES_FALLBACK_CACHE",
  "AUDIT_BUFFER_SIZE", "AUDIT_FLUSH_MS"
] as const
