import { mkdtemp, readFile, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { afterAll, beforeAll, expect, inject, onTestFinished, test, vi } from "vitest"
import { createDatabase, dropDatabase } from "../../test/support/database.ts"
import { startRedis } from "../../test/support/redis.ts"
import { startEmbeddedPostgres } from "../infrastructure/embedded/EmbeddedPostgres.ts"
import { holdfast } from "./holdfast.ts"

const run = async (environment: Readonly<Record<string, string>>, ...args: readonly string[]) => {
  let out = "", err = ""
  const code = await holdfast(args, environment, { out: (text) => { out += text }, err: (text) => { err += text } })
  return { code, out, err }
}

const NOWHERE = "redis://127.0.0.1:1"
let url: string
const here = () => ({ DATABASE_URL: url, KEYRING_FILE: inject("keyringFile"), REDIS_URL: NOWHERE })

const ask = async (text: string, values: readonly unknown[] = []) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text, values as unknown[])).rows
  } finally {
    await client.end()
  }
}

const folder = async () => {
  const path = await mkdtemp(join(tmpdir(), "holdfast-cli-"))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

beforeAll(async () => {
  url = await createDatabase()
  await run(here(), "migrate")
})
afterAll(() => dropDatabase(url))

test("migrate says what it applied, and a second one changes nothing", async () => {
  const fresh = await createDatabase()
  onTestFinished(() => dropDatabase(fresh))
  const first = await run({ DATABASE_URL: fresh }, "migrate")
  expect(first).toMatchObject({ code: 0, err: "" })
  expect(first.out).toMatch(/^Migration applied: 0001_create_entities\.sql\n[^]*\nThe database is up to date\.\n$/)
  expect(await run({ DATABASE_URL: fresh }, "migrate")).toEqual({ code: 0, out: "The database is up to date.\n", err: "" })
})

test("migrate brings the database of the keys up to date as well, where it is another", async () => {
  const [data, keys] = [await createDatabase(), await createDatabase()]
  onTestFinished(async () => void await Promise.all([dropDatabase(data), dropDatabase(keys)]))
  const { code, out } = await run({ DATABASE_URL: data, SUBJECT_KEYS_URL: keys }, "migrate")
  expect([code, out.includes("Migration applied: 0001_create_subject_keys.sql")]).toEqual([0, true])
  const { err } = await run({ DATABASE_URL: data, SUBJECT_KEYS_URL: "postgres://somebody:opensesame@127.0.0.1:1/x" }, "migrate")
  expect(err).toMatch(/cannot be reached: .*ECONNREFUSED.* at SUBJECT_KEYS_URL/)
  expect(err).not.toContain("opensesame")
})

test("what opens entries asks for the keyring, and nothing else does", async () => {
  const without = { DATABASE_URL: url, REDIS_URL: NOWHERE }
  expect(await run(without, "queue", "replay", "--dry-run")).toEqual({ code: 1, out: "", err: "KEYRING_FILE is needed: name the keyring of the service.\n" })
  for (const args of [["queue", "ls"], ["api-keys", "list"], ["migrate"]]) expect((await run(without, ...args)).code).toBe(0)
})

test("a database that was not migrated is refused, with what to run", async () => {
  const fresh = await createDatabase()
  onTestFinished(() => dropDatabase(fresh))
  const { code, err } = await run({ DATABASE_URL: fresh }, "api-keys", "list")
  expect(code).toBe(1)
  expect(err).toContain("Run `npm run migrate`")
})

test("a database that does not answer is named as the reason, without its password", async () => {
  for (const args of [["migrate"], ["queue", "ls"]]) {
    const { code, out, err } = await run({ DATABASE_URL: "postgres://somebody:opensesame@127.0.0.1:1/x" }, ...args)
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err).toMatch(/The database cannot be reached: .*ECONNREFUSED/)
    expect(err).not.toContain("opensesame")
  }
})

test("every fault of the configuration is listed at once", async () => {
  const { code, err } = await run({ DATABASE_URL: "mysql://x", PORT: "-1" }, "queue", "ls")
  expect(code).toBe(1)
  expect(err).toMatch(/PORT[^]*DATABASE_URL/)
})

test("a key is printed once, is kept hashed, and is listed without its secret until it is revoked", async () => {
  const made = await run(here(), "api-keys", "create", "--name", "shop", "--scopes", "catalog:read, ops:read")
  expect(made).toMatchObject({ code: 0, err: "" })
  const [, id, secret] = /^hf_([a-z0-9]{12})_(\w{43})\n$/.exec(made.out)!
  expect(JSON.stringify(await ask("select id, name, scopes, encode(secret_hash, 'escape') from api_keys"))).not.toContain(secret)

  const listed = await run(here(), "api-keys", "list")
  expect(listed.out).toMatch(new RegExp(`${id} .* - +shop +catalog:read,ops:read\n`))
  expect(listed.out).not.toContain(secret)

  expect(await run(here(), "api-keys", "revoke", id!)).toMatchObject({ code: 0 })
  expect((await run(here(), "api-keys", "list")).out).toMatch(new RegExp(`${id}  \\S+Z  \\S+Z  shop`))
  expect(await run(here(), "api-keys", "revoke", id!)).toEqual({ code: 1, out: "", err: "There is no key with this id that is not revoked already.\n" })
})

test("every wrong scope is named, and a name that a terminal would act on is refused", async () => {
  const { code, err } = await run(here(), "api-keys", "create", "--name", "x", "--scopes", "catalog:read,catalogue,ops")
  expect(code).toBe(1)
  expect(err).toContain("Unknown: \"catalogue\", \"ops\". There are catalog:read, ")
  expect(await run(here(), "api-keys", "create", "--name", "\u001b[2J", "--scopes", "ops:read")).toMatchObject({ code: 1 })
})

test("a keyring is made for its owner alone, and never overwritten", async () => {
  const place = await folder()
  const file = join(place, "new", "keyring.json")
  expect(await run({}, "keys", "generate", "--file", file)).toMatchObject({ code: 0 })
  const text = await readFile(file, "utf8")
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await run({ DATABASE_URL: url, KEYRING_FILE: file }, "queue", "ls")).code).toBe(0)

  // Where nothing is said, the file is the one that the configuration names.
  const again = await run({ KEYRING_FILE: file }, "keys", "generate")
  expect(again).toMatchObject({ code: 1, out: "" })
  expect(again.err).toContain("exists already")
  expect(await readFile(file, "utf8")).toBe(text)

  expect((await run({}, "keys", "generate", "--file", join(file, "below"))).err).toContain("The keyring was not made")
  expect((await run({ HOLDFAST_FOLDER: place }, "keys", "generate")).out).toContain(join(place, "keyring.json"))
})

const ids = Array.from({ length: 205 }, (_, i) => `00000000-0000-7000-8000-${String(i).padStart(12, "0")}`)

/** 205 products at version 3 that the cache is owed: the first is dead, the second delayed. */
const owe = async () => {
  await ask("truncate products, sync_retry_queue")
  await ask(`insert into products (id, version_id, updated_at_ns, event_seq, sku, name, price_amount, price_currency, stock, status)
    select id, 3, 1, 1, id::text, 'n', 1, 'EUR', 1, 'active' from unnest($1::uuid[]) id`, [ids])
  await ask("insert into sync_retry_queue (kind, entity_id, version_id, reason) select 'product', id, 3, 'store missed' from unnest($1::uuid[]) id", [ids])
  await ask("update sync_retry_queue set dead = true where entity_id = $1", [ids[0]])
  await ask("update sync_retry_queue set next_attempt_at = now() + interval '1 hour' where entity_id = $1", [ids[1]])
}

test("the queue is listed to its end, and by state", async () => {
  await owe()
  const all = await run(here(), "queue", "ls")
  expect(all.out.trimEnd().split("\n")).toHaveLength(207)
  expect(all.out).toMatch(/205 in the queue: 203 due, 1 delayed, 1 dead\n$/)
  const dead = await run(here(), "queue", "ls", "--state", "dead")
  expect(dead.out).toMatch(new RegExp(`^STATE.*\ndead     product   ${ids[0]}  3 .*store missed\n205 in the queue`))
  await ask("truncate sync_retry_queue")
  expect((await run(here(), "queue", "ls")).out).toMatch(/^STATE.*\n0 in the queue/)
})

test("a replay makes everything due but what is dead; a dead row by its name", async () => {
  await owe()
  expect((await run(here(), "queue", "replay")).out).toBe("204 released: the relay replays them now.\n")
  expect((await run(here(), "queue", "ls")).out).toContain("204 due, 0 delayed, 1 dead")
  expect((await run(here(), "queue", "replay", "--kind", "product", "--id", ids[0]!)).out).toMatch(/^1 released/)
  expect((await run(here(), "queue", "ls")).out).toContain("205 due, 0 delayed, 0 dead")
})

test("a replay of one entity wants its kind and its id", async () => {
  for (const args of [["--kind", "product"], ["--id", ids[0]!], ["--kind", "product", "--id", "7"], ["--kind", "planet", "--id", ids[0]!]]) {
    expect(await run(here(), "queue", "replay", ...args)).toMatchObject({ code: 1, out: "" })
  }
})

test("a dry run compares with the cache, and changes nothing", async () => {
  await owe()
  const redis = await startRedis()
  onTestFinished(redis.stop)
  const before = await ask("select * from sync_retry_queue order by entity_id")
  const selected = await run({ ...here(), REDIS_URL: redis.url }, "queue", "replay", "--dry-run")
  expect(selected).toEqual({ code: 0, out: "205 selected: 205 would be stored, 0 are current already.\n", err: "" })
  expect(await ask("select * from sync_retry_queue order by entity_id")).toEqual(before)
  expect(await redis.cli("DBSIZE")).toBe(0)
})

test("where there is no cache to compare with, a dry run says so", async () => {
  await owe()
  expect((await run(here(), "queue", "replay", "--dry-run")).out).toBe("205 selected. Not compared: the cache cannot be reached.\n")
  const inMemory = await run({ DATABASE_URL: url, KEYRING_FILE: inject("keyringFile"), CACHE_PROVIDER: "memory" }, "queue", "replay", "--dry-run", "--kind", "product", "--id", ids[1]!)
  expect(inMemory.out).toMatch(/^1 selected\. Not compared: the cache is in the memory of the service/)
})

test("without DATABASE_URL a command starts the embedded Postgres for its moment, or uses the one that runs", { timeout: 60_000 }, async () => {
  const HOLDFAST_FOLDER = await folder()
  const { out: key } = await run({ HOLDFAST_FOLDER }, "api-keys", "create", "--name", "first", "--scopes", "ops:read")
  expect(key).toMatch(/^hf_/)
  const server = await startEmbeddedPostgres({ folder: HOLDFAST_FOLDER, persistent: true })
  onTestFinished(server.stop)
  const listed = await run({ HOLDFAST_FOLDER }, "api-keys", "list")
  expect(listed.code).toBe(0)
  expect(listed.out).toContain(" first ")
  // The keyring beside the data is the service's; one is made where there is none.
  const dry = () => run({ HOLDFAST_FOLDER, REDIS_URL: NOWHERE }, "queue", "replay", "--dry-run")
  expect((await dry()).err).toContain("A keyring was made")
  expect(await dry()).toMatchObject({ code: 0, out: "0 selected. Not compared: the cache cannot be reached.\n", err: expect.not.stringContaining("A keyring was made") })
  // What a server leaves behind that was killed is no server.
  server.kill("SIGKILL")
  await server.stop()
  expect(await run({ HOLDFAST_FOLDER }, "api-keys", "list")).toMatchObject({ code: 0, out: listed.out })
})

test("the program writes what was asked for to one stream, and what is wrong to the other", async () => {
  const { argv } = process
  const out = vi.spyOn(process.stdout, "write").mockReturnValue(true), err = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  onTestFinished(() => {
    vi.restoreAllMocks()
    process.argv = argv
    process.exitCode = undefined
  })
  const start = async (...args: readonly string[]) => {
    process.argv = ["node", "main.ts", ...args]
    vi.resetModules()
    await import("./main.ts")
    return process.exitCode
  }
  expect(await start("queue", "--help")).toBe(0)
  expect(out.mock.calls.join("")).toContain("sync_retry_queue")
  expect(await start("queue", "jump")).toBe(1)
  expect(err.mock.calls.join("")).toContain("unknown command")
})
