import { Effect, Layer, Result } from "effect"
import pg from "pg"
import { afterEach, expect, test } from "vitest"
import { createDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { startProxy } from "../../../test/support/proxy.ts"
import { Log } from "../../domain/observe/Log.ts"
import { checkSchema, checkSubjectKeys, migrate } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

const lines: string[] = []
const say = (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields)}`)
const log = Log.of({ debug: say, info: say, warn: say, error: say })

const options = { partitions: 64, log }
const run = (url: string) => Effect.runPromise(Effect.result(migrate(url, options)))
const check = (url: string, partitions = 64, more: { subjectKeysApart?: boolean } = {}) =>
  Effect.runPromise(Effect.result(Effect.provide(checkSchema({ partitions, ...more }), Layer.provide(Postgres.layer({ url, poolMax: 1 }), Layer.succeed(Log, log)))))

const migrateBoth = (url: string, subjectKeysUrl: string) => Effect.runPromise(Effect.result(migrate(url, { ...options, subjectKeysUrl })))
const checkKeys = (url: string, apart: boolean) =>
  Effect.runPromise(Effect.result(Effect.provide(checkSubjectKeys({ apart }), Layer.provide(Postgres.layer({ url, poolMax: 1 }), Layer.succeed(Log, log)))))
const KEYS = "0001_create_subject_keys.sql"

const connect = async (url: string) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  undo.push(() => client.end())
  return client
}

const migrated = async () => {
  const url = await createDatabase()
  await Effect.runPromise(migrate(url, options))
  return { url, client: await connect(url) }
}

test("an empty database is refused, by the names of what it lacks, until it is migrated", async () => {
  const url = await createDatabase()
  const refusal = await check(url)
  expect(refusal).toMatchObject({ failure: { _tag: "SchemaRefused", message: expect.stringMatching(/0001_create_entities\.sql, .*Run `npm run migrate`/) } })
  lines.length = 0
  expect(Result.isSuccess(await run(url))).toBe(true)
  expect(lines[0]).toBe('Migration applied {"migration":"0001_create_entities.sql"}')
  expect(await check(url)).toMatchObject({ success: { partitions: 64, id: expect.stringMatching(/^[0-9a-f-]{36}$/) } })
})

test("the installation is made once and keeps its secret", async () => {
  const { url } = await migrated()
  const first = await check(url)
  lines.length = 0
  await run(url)
  expect(lines).toEqual([])
  expect(await check(url)).toEqual(first)
  expect(Result.isSuccess(first) && first.success.tokenSecret.length).toBe(32)
})

test("those who migrate at once wait for each other", async () => {
  const url = await createDatabase()
  const all = await Promise.all([run(url), run(url), run(url)])
  expect(all.every(Result.isSuccess)).toBe(true)
})

test("another number of partitions is refused", async () => {
  const { url } = await migrated()
  expect(await check(url, 128)).toMatchObject({ failure: { message: expect.stringContaining("has 64 partitions, and CACHE_PARTITIONS says 128") } })
})

test("a file that was changed after it was applied is refused", async () => {
  const { url, client } = await migrated()
  await client.query("update schema_migrations set sha256 = 'of other bytes' where number = 3")
  expect(await run(url)).toMatchObject({ failure: { _tag: "SchemaRefused", message: expect.stringContaining("0003_create_command_keys.sql was changed") } })
})

test("a migration that fails leaves nothing behind and is not recorded", async () => {
  const { url, client } = await migrated()
  await client.query("delete from schema_migrations where number = 5")
  await client.query("drop table installation")
  // The file makes this table before the one that is still there.
  expect(await run(url)).toMatchObject({ failure: { _tag: "SchemaRefused", message: expect.stringContaining("already exists") } })
  expect((await client.query("select to_regclass('installation') as made")).rows).toEqual([{ made: null }])
  expect(await check(url)).toMatchObject({ failure: { message: expect.stringContaining("lacks the migrations 0005_create_installation.sql") } })
})

test("a migration that did not come to its end is refused", async () => {
  const { url, client } = await migrated()
  await client.query("delete from installation")
  expect(await check(url)).toMatchObject({ failure: { message: expect.stringContaining("did not finish") } })
})

test("pg-boss finds its schema, and the months and days ahead have their partitions", async () => {
  const { client } = await migrated()
  expect((await client.query("select to_regclass('pgboss.job') is not null as installed")).rows).toEqual([{ installed: true }])
  const { rows } = await client.query("select count(*) filter (where inhparent = 'outbox'::regclass)::integer as months, count(*) filter (where inhparent = 'command_keys'::regclass)::integer as days from pg_inherits")
  expect(rows).toEqual([{ months: 4, days: 10 }])
})

test("a database that cannot be reached, or goes away, is said to be unavailable", async () => {
  const target = new URL(await createDatabase())
  const proxy = await startProxy({ host: target.hostname, port: Number(target.port) })
  undo.push(proxy.stop)
  const url = new URL(target)
  url.port = String(proxy.port)
  url.hostname = "127.0.0.1"
  const other = await connect(target.href)
  await other.query("select pg_advisory_lock(hashtext('holdfast migrate'))")
  const waiting = run(url.href)
  await eventually(async () => (await other.query("select from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and locktype = 'advisory' and not granted")).rowCount === 1, { within: 20_000 })
  await proxy.cut()
  expect(await waiting).toMatchObject({ failure: { _tag: "DatabaseUnavailable" } })
  expect(await run(url.href)).toMatchObject({ failure: { _tag: "DatabaseUnavailable" } })
})

test("the keys of persons have files and a list of their own, in the same database or in another", async () => {
  const beside = await migrated()
  expect(await checkKeys(beside.url, false)).toMatchObject({ _tag: "Success" })
  const [data, keys] = [await createDatabase(), await createDatabase()]
  expect(await checkKeys(keys, true)).toMatchObject({ failure: { _tag: "SchemaRefused", message: `The database at SUBJECT_KEYS_URL lacks the migrations ${KEYS}. Run \`npm run migrate\`.` } })
  expect(await checkKeys(keys, false)).toMatchObject({ failure: { message: `The database lacks the migrations ${KEYS}. Run \`npm run migrate\`.` } })
  expect(Result.isSuccess(await migrateBoth(data, keys))).toBe(true)
  expect(await checkKeys(keys, true)).toMatchObject({ _tag: "Success" })
  const made = "select to_regclass('subject_keys') is not null as keys, to_regclass('customers') is not null as data"
  expect((await (await connect(keys)).query(made)).rows).toEqual([{ keys: true, data: false }])
  expect((await (await connect(data)).query(made)).rows).toEqual([{ keys: false, data: true }])
  lines.length = 0
  await migrateBoth(data, keys)
  expect(lines).toEqual([])
})

test("a database of the keys that cannot be reached, or was changed, stops a migration, and the fault says which of the two it is", async () => {
  const [data, keys] = [await createDatabase(), await createDatabase()]
  const nowhere = "postgres://127.0.0.1:1/keys"
  expect(await migrateBoth(data, nowhere)).toMatchObject({ failure: { _tag: "DatabaseUnavailable", reason: expect.stringMatching(/ECONNREFUSED.* at SUBJECT_KEYS_URL$/) } })
  expect(await checkKeys(nowhere, true)).toMatchObject({ failure: { _tag: "DatabaseUnavailable", reason: "ECONNREFUSED at SUBJECT_KEYS_URL" } })
  expect(await check(data)).toMatchObject({ failure: { message: expect.stringContaining("did not finish") } })
  await migrateBoth(data, keys)
  await (await connect(keys)).query("update subject_keys_migrations set sha256 = 'of other bytes'")
  expect(await migrateBoth(data, keys)).toMatchObject({ failure: { _tag: "SchemaRefused", message: expect.stringContaining(`${KEYS} was changed`) } })
})

const customer = "insert into customers (id, version_id, updated_at_ns, event_seq, status, marketing_consent) values (gen_random_uuid(), 1, 1, 1, 'active', true)"
const hasKeys = async (url: string) => (await (await connect(url)).query("select to_regclass('subject_keys') is not null as made")).rows[0].made
const SAY = { beside: "every customer would look erased. Unset it. .*subject-keys move apart", apart: "every customer would look erased. Set it. .*subject-keys move beside" }
const refusal = (said: string) => ({ failure: { _tag: "SchemaRefused", message: expect.stringMatching(said) } })

test("with a customer the keys of persons are where they were: a migration and a start that have them elsewhere are refused, and change nothing", async () => {
  const { url: beside, client } = await migrated(), [apart, keys] = [await createDatabase(), await createDatabase()]
  await client.query(customer)
  expect(await migrateBoth(beside, keys)).toMatchObject(refusal(SAY.beside))
  expect(await hasKeys(keys)).toBe(false)
  await migrateBoth(apart, keys)
  await (await connect(apart)).query(customer)
  expect(await run(apart)).toMatchObject(refusal(SAY.apart))
  expect(await hasKeys(apart)).toBe(false)
  for (const [url, isApart] of [[beside, false], [apart, true]] as const) {
    expect(await check(url, 64, { subjectKeysApart: isApart })).toMatchObject({ _tag: "Success" })
    expect(await check(url, 64, { subjectKeysApart: !isApart })).toMatchObject(refusal(isApart ? SAY.apart : SAY.beside))
    // A tool that opens no keys does not ask.
    expect(await check(url)).toMatchObject({ _tag: "Success" })
  }
  expect(await run(beside)).toMatchObject({ _tag: "Success" })
  expect(await migrateBoth(apart, keys)).toMatchObject({ _tag: "Success" })
})

test("without a customer they may be elsewhere, once a migration has made their place", async () => {
  const { url } = await migrated(), keys = await createDatabase()
  expect(await check(url, 64, { subjectKeysApart: true })).toMatchObject(refusal("Run `npm run migrate`"))
  for (const isApart of [true, false]) {
    expect(await (isApart ? migrateBoth(url, keys) : run(url))).toMatchObject({ _tag: "Success" })
    expect(await check(url, 64, { subjectKeysApart: isApart })).toMatchObject({ _tag: "Success" })
  }
})

test("an installation from before this was written down has its keys where their tables are", async () => {
  for (const isApart of [false, true]) {
    const url = await createDatabase(), keys = await createDatabase()
    await (isApart ? migrateBoth(url, keys) : run(url))
    const client = await connect(url)
    await client.query(customer)
    await client.query("alter table installation drop column subject_keys_apart")
    await client.query("delete from schema_migrations where number = 10")
    expect(await (isApart ? run(url) : migrateBoth(url, keys))).toMatchObject(refusal(isApart ? SAY.apart : SAY.beside))
    expect(await check(url, 64, { subjectKeysApart: isApart })).toMatchObject({ _tag: "Success" })
  }
})
