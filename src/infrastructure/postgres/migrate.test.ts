import { Effect, Layer, Result } from "effect"
import pg from "pg"
import { afterEach, expect, test } from "vitest"
import { createDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { startProxy } from "../../../test/support/proxy.ts"
import { Log } from "../../domain/observe/Log.ts"
import { checkSchema, migrate } from "./migrate.ts"
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
const check = (url: string, partitions = 64) =>
  Effect.runPromise(Effect.result(Effect.provide(checkSchema({ partitions }), Layer.provide(Postgres.layer({ url, poolMax: 1 }), Layer.succeed(Log, log)))))

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
  await eventually(async () => (await other.query("select from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and locktype = 'advisory' and not granted")).rowCount === 1)
  await proxy.cut()
  expect(await waiting).toMatchObject({ failure: { _tag: "DatabaseUnavailable" } })
  expect(await run(url.href)).toMatchObject({ failure: { _tag: "DatabaseUnavailable" } })
})
