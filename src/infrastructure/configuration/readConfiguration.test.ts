import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { writeKeyring } from "../crypto/keyringFile.ts"
import { BadConfiguration, readConfiguration } from "./readConfiguration.ts"
import type { Environment, Process } from "./readConfiguration.ts"
import { NOT_SUPPORTED, VARIABLES } from "./variables.ts"

let folder: string, KEYRING_FILE: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-configuration-"))
  KEYRING_FILE = join(folder, "ring.json")
  writeKeyring(KEYRING_FILE)
})
afterAll(() => rmSync(folder, { recursive: true }))

const DATABASE_URL = "postgres://holdfast:secret@db.example:5432/holdfast"
const faultsOf = (environment: Environment, process: Process = "all"): readonly string[] => {
  try {
    readConfiguration(environment, process)
    return []
  } catch (error) {
    expect(error).toBeInstanceOf(BadConfiguration)
    return (error as Error).message.split("\n").slice(1).map((line) => line.replace("  - ", ""))
  }
}

describe("what it runs on", () => {
  test("nothing configured is one process on an embedded database and the memory cache, on loopback", () => {
    expect(readConfiguration({}, "all")).toMatchObject({
      HOST: "127.0.0.1", PORT: 8080, OPS_PORT: null, DATABASE_URL: null, REDIS_URL: null, CACHE_PARTITIONS: 64, SYNC_BUDGET_MS: 25, CACHE_TTL_SECONDS: 86_400,
      POSTGRES_FALLBACK_ENABLED: true, FALLBACK_RETRY_ATTEMPTS: 3, LOG_LEVEL: "info", BOOTSTRAP_API_KEY: null
    })
  })
  test("a database without a cache means Redis on this machine", () => {
    expect(readConfiguration({ DATABASE_URL, KEYRING_FILE }, "api")).toMatchObject({ DATABASE_URL, REDIS_URL: "redis://127.0.0.1:6379" })
    expect(readConfiguration({ CACHE_PROVIDER: "redis" }, "all")).toMatchObject({ DATABASE_URL: null, REDIS_URL: "redis://127.0.0.1:6379" })
  })
  test("what is named is taken, whatever a Redis URL looks like: an unusable one is a degraded start", () => {
    expect(readConfiguration({ DATABASE_URL, KEYRING_FILE, REDIS_URL: "nonsense" }, "relay")).toMatchObject({ REDIS_URL: "nonsense" })
    expect(readConfiguration({ DATABASE_URL, KEYRING_FILE, CACHE_PROVIDER: "memory" }, "all")).toMatchObject({ REDIS_URL: null })
    expect(readConfiguration({ DATABASE_URL, KEYRING_FILE, DB_PROVIDER: "postgresql", CACHE_PROVIDER: "redis" }, "api")).toMatchObject({ DATABASE_URL })
  })
  test("a variable that is empty or blank counts as not set, and blanks around a value do not count", () => {
    expect(readConfiguration({ PORT: "", HOST: "  ", DATABASE_URL: ` ${DATABASE_URL} `, KEYRING_FILE, REDIS_CLUSTER_ENABLED: "" }, "all")).toMatchObject({ PORT: 8080, HOST: "127.0.0.1", DATABASE_URL })
  })
})

describe("what cannot be run is refused", () => {
  test("with every fault at once, and without a value, for some are secret", () => {
    const environment = {
      PORT: "80 80", OPS_PORT: "65536", DATABASE_URL: "mysql://root:hunter2@db", DATABASE_POOL_MAX: "3", CACHE_PROVIDER: "keydb", POSTGRES_FALLBACK_ENABLED: "yes",
      BOOTSTRAP_API_KEY: "hunter2", LOG_LEVEL: "loud", CACHE_PARTITIONS: "1025", KEYRING_FILE: join(folder, "hunter2"), JWT_ISSUER: "https://hunter2.example"
    }
    const faults = faultsOf(environment)
    expect(faults.map((fault) => fault.split(/[ ,]/)[0])).toEqual([
      "PORT", "OPS_PORT", "DATABASE_URL", "DATABASE_POOL_MAX", "CACHE_PROVIDER", "CACHE_PARTITIONS", "POSTGRES_FALLBACK_ENABLED", "BOOTSTRAP_API_KEY", "KEYRING_FILE", "LOG_LEVEL", "JWT_ISSUER"
    ])
    expect(faults.filter((fault) => !fault.startsWith("KEYRING_FILE")).join()).not.toContain("hunter2")
    expect(faults).toContain("DATABASE_URL must be a URL that begins with postgres:// or postgresql://")
    expect(faults).toContain("PORT must be a whole number from 0 to 65535")
    expect(faults).toContain("LOG_LEVEL must be one of debug, info, warn, error, silent")
  })
  test.each(NOT_SUPPORTED)("%s, which this version has not, is never ignored", (name) => {
    expect(faultsOf({ [name]: "true" })).toEqual([`${name} is not supported by this version`])
    expect(faultsOf({ [name]: "false" })).toEqual([])
  })
  test("two names for the cache, a provider without its URL", () => {
    expect(faultsOf({ DATABASE_URL, KEYRING_FILE, CACHE_PROVIDER: "memory", REDIS_URL: "redis://a" })).toEqual(["REDIS_URL is set, but CACHE_PROVIDER is memory: remove one of them"])
    expect(faultsOf({ DB_PROVIDER: "postgresql" })).toEqual(["DB_PROVIDER is set, but DATABASE_URL is not"])
  })
  test.each<Process>(["api", "relay"])("an %s of two processes without what both can reach", (process) => {
    expect(faultsOf({}, process)).toHaveLength(3)
    expect(faultsOf({ DATABASE_URL, KEYRING_FILE, CACHE_PROVIDER: "memory" }, process)).toHaveLength(1)
    expect(faultsOf({ KEYRING_FILE, REDIS_URL: "redis://a" }, process)).toEqual(["DATABASE_URL is needed by an api and a relay that are two processes"])
    expect(faultsOf({ DATABASE_URL, KEYRING_FILE, REDIS_URL: "redis://a" }, process)).toEqual([])
  })
  test("nothing starts without a keyring but what is embedded, and the fault says how to make one; a tool asks for it where it needs it", () => {
    const fault = [expect.stringMatching(/^KEYRING_FILE is needed.*npm run holdfast -- keys generate --file /)]
    for (const process of ["all", "api", "relay"] as const) expect(faultsOf({ DATABASE_URL }, process)).toEqual(fault)
    expect(faultsOf({}, "all")).toEqual([])
    for (const environment of [{}, { DATABASE_URL }]) expect(faultsOf(environment, "tool")).toEqual([])
  })
  test("a database of the keys that is no other one: nothing would be apart", () => {
    const fault = ["SUBJECT_KEYS_URL names the database of DATABASE_URL: name another, or leave it unset"]
    for (const same of [DATABASE_URL, "postgresql://another@db.example/holdfast?sslmode=require"]) expect(faultsOf({ DATABASE_URL, KEYRING_FILE, SUBJECT_KEYS_URL: same })).toEqual(fault)
    for (const other of ["postgres://db.example/keys", "postgres://keys.example/holdfast", "postgres://db.example:5433/holdfast"]) expect(faultsOf({ DATABASE_URL, KEYRING_FILE, SUBJECT_KEYS_URL: other })).toEqual([])
    expect(faultsOf({ SUBJECT_KEYS_URL: "mysql://keys" })).toEqual(["SUBJECT_KEYS_URL must be a URL that begins with postgres:// or postgresql://"])
    expect(faultsOf({ SUBJECT_KEYS_URL: DATABASE_URL })).toEqual([])
  })
  test("a replica without the database that it follows, or that is this one", () => {
    expect(readConfiguration({ DATABASE_URL, KEYRING_FILE, DB_REPLICA_URL: "postgres://replica.example/holdfast" }, "api")).toMatchObject({ DB_REPLICA_URL: "postgres://replica.example/holdfast" })
    expect(faultsOf({ DB_REPLICA_URL: DATABASE_URL })).toEqual(["DB_REPLICA_URL is set, but DATABASE_URL is not"])
    expect(faultsOf({ DATABASE_URL, KEYRING_FILE, DB_REPLICA_URL: "postgresql://another@db.example/holdfast" })).toEqual(["DB_REPLICA_URL names the database of DATABASE_URL: name its replica, or leave it unset"])
    expect(faultsOf({ DB_REPLICA_URL: "mysql://replica", PORT: "x" })).toEqual(["PORT must be a whole number from 0 to 65535", "DB_REPLICA_URL must be a URL that begins with postgres:// or postgresql://"])
  })
  test("a keyring that cannot be used, with what is wrong with it", () => {
    const path = join(folder, "keyring.json")
    writeFileSync(path, "{}")
    expect(faultsOf({ KEYRING_FILE: path })).toEqual(["KEYRING_FILE names a file that cannot be used: its primary names none of its keys"])
    writeKeyring(`${path}.good`)
    expect(faultsOf({ KEYRING_FILE: `${path}.good` })).toEqual([])
  })
  test("a bootstrap key that is short or cannot be written in a header", () => {
    for (const key of ["x".repeat(31), `${"x".repeat(32)} y`, `${"x".repeat(32)}ß`]) expect(faultsOf({ BOOTSTRAP_API_KEY: key })).toHaveLength(1)
    expect(faultsOf({ BOOTSTRAP_API_KEY: "x".repeat(32) })).toEqual([])
  })
})

describe("who answers reads", () => {
  const shadows = (CACHE_READS?: string) => readConfiguration({ CACHE_READS }, "all").CACHE_READS
  test("is the cache, or Postgres for every kind, or for those that are named", () => {
    for (const text of [undefined, "", "on"]) expect(shadows(text)).toEqual([])
    expect(shadows("shadow")).toEqual(["product", "order", "customer"])
    expect(shadows("order")).toEqual(["order"])
    expect(shadows(" product , customer ")).toEqual(["product", "customer"])
  })
  test("is nobody else", () => {
    const fault = ["CACHE_READS must be on, shadow, or kinds with a comma between: product, order, customer"]
    for (const wrong of ["off", "Shadow", "product,", "product order", "products", "on,product", "shadow,order"]) expect(faultsOf({ CACHE_READS: wrong }), wrong).toEqual(fault)
    expect(faultsOf({ CACHE_READS: "invoice", PORT: "x" })).toHaveLength(2)
  })
})

test("every variable says what it is about, and its fallback can be read", () => {
  for (const [name, { about, fallback, parse }] of Object.entries(VARIABLES)) {
    expect(about, name).toMatch(/\S.*\.$/)
    expect(parse(fallback), name).toHaveProperty("value")
  }
})
