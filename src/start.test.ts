import { connect } from "node:net"
import { Effect } from "effect"
import pg from "pg"
import { afterEach, beforeEach, describe, expect, inject, test, vi } from "vitest"
import { eventually } from "../test/support/eventually.ts"
import { createDatabase, dropDatabase } from "../test/support/database.ts"
import { freePort } from "../test/support/processes.ts"
import { startRedis } from "../test/support/redis.ts"
import type { RedisServer } from "../test/support/redis.ts"
import { Log } from "./domain/observe/Log.ts"
import { migrate } from "./infrastructure/postgres/migrate.ts"
import { start } from "./start.ts"
import type { Started } from "./start.ts"

const KEY = "a_bootstrap_key_of_the_start_tests_1"
let database: string, redis: RedisServer
const undo: (() => unknown)[] = []
beforeEach(async () => {
  [database, redis] = await Promise.all([createDatabase({ migrated: true }), startRedis()])
})
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
  await redis.stop()
  await dropDatabase(database)
})

const environment = (more: Record<string, string> = {}) => ({ DATABASE_URL: database, KEYRING_FILE: inject("keyringFile"), REDIS_URL: redis.url, PORT: "0", LOG_LEVEL: "silent", BOOTSTRAP_API_KEY: KEY, ...more })
const started = async (role: "all" | "api" | "relay", more: Record<string, string> = {}): Promise<Started> => {
  const one = await start(role, environment(more))
  undo.push(one.stop)
  return one
}
const statusOf = async (url: string) => (await fetch(url, { headers: { authorization: `Bearer ${KEY}` } })).status
const query = async (text: string): Promise<any[]> => {
  const client = new pg.Client({ connectionString: database })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
const silent = Log.of({ debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined })
const refused = (url: string) => expect(fetch(url)).rejects.toThrow()

describe("a start", () => {
  test("of everything serves, and ends with all that it started", async () => {
    const { url, opsUrl, stop } = await started("all")
    expect(opsUrl).toBeNull()
    expect(await statusOf(`${url}/v1/products`)).toBe(200)
    await stop()
    await refused(`${url}/healthz`)
    // Once more does no harm.
    await stop()
  })

  test("with OPS_PORT serves operators at a port of their own", async () => {
    const { url, opsUrl } = await started("all", { OPS_PORT: "0" })
    expect([await statusOf(`${url}/v1/products`), await statusOf(`${url}/healthz`)]).toEqual([200, 404])
    expect([await statusOf(`${opsUrl}/v1/products`), await statusOf(`${opsUrl}/healthz`)]).toEqual([404, 200])
  })

  test("of a relay serves nobody, but for operators at OPS_PORT", async () => {
    expect(await started("relay")).toMatchObject({ url: null, opsUrl: null })
    const { url, opsUrl } = await started("relay", { OPS_PORT: "0" })
    expect(url).toBeNull()
    expect(await statusOf(`${opsUrl}/readyz`)).toBe(200)
  })

  test("at an address of IPv6 says so in its URL", async () => {
    const { url } = await started("all", { HOST: "::1" })
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect(await statusOf(`${url}/healthz`)).toBe(200)
  })

  test("of an api that no relay stands beside is ready all the same, and reads the database", async () => {
    const { url } = await started("api")
    const answer = await fetch(`${url}/v1/products?limit=1`, { headers: { authorization: `Bearer ${KEY}` } })
    expect(answer.status).toBe(200)
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ ready: true, degraded: true })
  })

  test("without Redis is degraded, not an error", async () => {
    await redis.kill()
    const { url } = await started("all")
    expect(await statusOf(`${url}/v1/products`)).toBe(200)
  })
})

describe("what cannot start says why, and leaves nothing behind", () => {
  test("a wrong configuration, with all that is wrong", async () => {
    await expect(start("api", environment({ PORT: "x", LOG_LEVEL: "loud" }))).rejects.toThrow(/PORT must be[\s\S]*LOG_LEVEL must be/)
  })

  test("a port that is taken", async () => {
    const { url } = await started("all"), { port } = new URL(url!)
    await expect(start("all", environment({ PORT: port }))).rejects.toThrow("EADDRINUSE")
    expect(await statusOf(`${url}/healthz`)).toBe(200)
  })

  test("a database that lacks its schema, with what to run", async () => {
    const empty = await createDatabase()
    undo.push(() => dropDatabase(empty))
    await expect(start("all", environment({ DATABASE_URL: empty }))).rejects.toThrow("npm run migrate")
  })

  test("a number of partitions that is not the installation's", async () => {
    await expect(start("all", environment({ CACHE_PARTITIONS: "32" }))).rejects.toThrow("64 partitions")
  })

  test("keys of persons that the configuration has in another place, with what to run", async () => {
    await expect(start("all", environment({ SUBJECT_KEYS_URL: "postgres://127.0.0.1:1/x" }))).rejects.toThrow("another place than at the last migration. Run `npm run migrate`")
  })

  test("a database of the keys that was not migrated, or cannot be reached, and which of the two it is", async () => {
    await query("update installation set subject_keys_apart = true")
    const empty = await createDatabase()
    undo.push(() => dropDatabase(empty))
    await expect(start("all", environment({ SUBJECT_KEYS_URL: empty }))).rejects.toThrow(/The database at SUBJECT_KEYS_URL lacks.*npm run migrate/)
    await expect(start("all", environment({ SUBJECT_KEYS_URL: `postgres://127.0.0.1:${await freePort()}/x` }))).rejects.toMatchObject({ _tag: "DatabaseUnavailable", reason: "ECONNREFUSED at SUBJECT_KEYS_URL" })
  })

  test("a database that cannot be reached", async () => {
    await expect(start("all", environment({ DATABASE_URL: `postgres://127.0.0.1:${await freePort()}/x` }))).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
  })
})

test("a start with a database of its own for the keys erases again whom a restored database has back, before it is ready", async () => {
  const keys = await createDatabase()
  undo.push(() => dropDatabase(keys))
  await Effect.runPromise(migrate(database, { partitions: 64, log: silent, subjectKeysUrl: keys }))
  const more = { SUBJECT_KEYS_URL: keys }
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" }
  const first = await started("all", more)
  const { id } = await (await fetch(`${first.url}/v1/customers`, { method: "POST", headers, body: JSON.stringify({ name: "Maria", email: "maria@example.org", marketingConsent: true }) })).json() as { id: string }
  await query("create table backup as select * from customers")
  const erased = await fetch(`${first.url}/v1/customers/${id}`, { method: "DELETE", headers })
  expect([erased.status, (await erased.json() as { backups: string }).backups]).toEqual([200, "unreadable"])
  const stats = await (await fetch(`${first.url}/ops/stats`, { headers })).json() as { providers: { database: unknown } }
  expect(stats.providers.database).toEqual({ name: "postgresql", capabilities: [] })
  await first.stop()
  for (const text of ["delete from customers", "delete from outbox where version_id > 1", "insert into customers select * from backup"]) await query(text)
  expect(await query("select id from customers where deleted_at is null and personal is not null")).toEqual([{ id }])
  const second = await started("all", more)
  expect(await query("select id from customers where deleted_at is null or personal is not null or certificate is null")).toEqual([])
  expect((await fetch(`${second.url}/v1/customers/${id}`, { headers })).status).toBe(410)
})

test("without one the operators are shown that an erasure does not reach the backups", async () => {
  const { url } = await started("all")
  const stats = await (await fetch(`${url}/ops/stats`, { headers: { authorization: `Bearer ${KEY}` } })).json() as { providers: { database: unknown } }
  expect(stats.providers.database).toEqual({ name: "postgresql", capabilities: ["erasure: not in backups"] })
})

describe("a stop", () => {
  test("ends connections that are idle, and lets a request under way end", async () => {
    const { url, stop } = await started("all"), { port } = new URL(url!)
    const idle = connect(Number(port), "127.0.0.1"), busy = connect(Number(port), "127.0.0.1")
    const body = JSON.stringify({ sku: "late", name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 })
    let answer = ""
    busy.setEncoding("utf8").on("data", (text) => (answer += text))
    idle.write(`GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n`)
    await new Promise((resume) => idle.once("data", resume))
    busy.write(`POST /v1/products HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`)
    // The next answer comes when the server has read this far.
    expect(await statusOf(`${url}/healthz`)).toBe(200)
    const idleClosed = new Promise((resume) => idle.once("close", resume)), busyClosed = new Promise((resume) => busy.once("close", resume))
    const stopping = stop()
    await idleClosed
    expect(answer).toBe("")
    busy.write(body.slice(5))
    await busyClosed
    await stopping
    expect(answer).toMatch(/^HTTP\/1.1 201 /)
  })

  test("ends the streams of the changes", async () => {
    const { url, stop } = await started("all")
    const response = await fetch(`${url}/v1/changes`, { headers: { authorization: `Bearer ${KEY}` } })
    await stop()
    expect(await response.text()).toBe(": listening\n\n")
  })

  test("cuts what has not ended after ten seconds", async () => {
    const { url, stop } = await started("all"), { port } = new URL(url!)
    const endless = connect(Number(port), "127.0.0.1")
    endless.write(`POST /v1/products HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`)
    expect(await statusOf(`${url}/healthz`)).toBe(200)
    const closed = new Promise((resume) => endless.once("close", resume)), began = performance.now()
    endless.on("error", () => undefined)
    await stop()
    await closed
    expect(performance.now() - began).toBeGreaterThan(9_900)
  })
})

describe("a process", () => {
  const inherited = { ...process.env }
  const said: string[] = []
  beforeEach(() => {
    said.length = 0
    vi.resetModules()
    vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0)
  })
  afterEach(() => {
    vi.restoreAllMocks()
    process.env = { ...inherited }
    process.exitCode = undefined
  })

  test.each([
    ["everything", "PORT", () => import("./main.ts")],
    ["the api", "PORT", () => import("./http/main.ts")],
    ["the relay", "OPS_PORT", () => import("./jobs/main.ts")]
  ] as const)("of %s lives until it is told to end", async (_, name, main) => {
    const port = String(await freePort())
    Object.assign(process.env, environment({ [name]: port }))
    const before = [process.listenerCount("SIGTERM"), process.listenerCount("SIGINT")]
    await main()
    expect(await statusOf(`http://127.0.0.1:${port}/healthz`)).toBe(200)
    expect([process.listenerCount("SIGTERM"), process.listenerCount("SIGINT")]).toEqual(before.map((count) => count + 1))
    process.emit("SIGTERM", "SIGTERM")
    await eventually(() => refused(`http://127.0.0.1:${port}/healthz`))
    expect([process.listenerCount("SIGTERM"), process.listenerCount("SIGINT")]).toEqual(before)
    // The rest of it ends after the port.
    await eventually(async () => expect(await connections()).toBe(0), { within: 40_000 })
  })

  test("that cannot start prints one message and ends with 1", async () => {
    const { live } = await import("./start.ts")
    Object.assign(process.env, environment({ PORT: "x" }))
    await live("api")
    expect([said.join(""), process.exitCode]).toEqual(["Holdfast cannot start; the configuration is wrong:\n  - PORT must be a whole number from 0 to 65535\n", 1])
    said.length = 0
    Object.assign(process.env, environment({ DATABASE_URL: `postgres://127.0.0.1:${await freePort()}/x` }))
    await live("api")
    expect(said.join("")).toBe("Holdfast cannot start; the database cannot be reached: ECONNREFUSED\n")
  })

  const connections = async () =>
    (await query("select count(*)::integer as others from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"))[0].others as number
})
