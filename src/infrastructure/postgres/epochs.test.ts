import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import pg from "pg"
import { expect, test } from "vitest"
import { administer, databaseUrl } from "../../../test/support/administer.ts"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { afterwards, creating, freshDatabase, freshRedis, keptLog, openServices, renaming, run } from "../../../test/support/services.ts"
import { Cache } from "../../domain/cache/Cache.ts"
import { CacheAccess } from "../../domain/cache/CacheAccess.ts"
import { formatCheckpoint } from "../../domain/cache/Checkpoint.ts"
import { Entries } from "../../domain/cache/Entries.ts"
import { entryOf } from "../../domain/cache/Entry.ts"
import { Keyspace } from "../../domain/cache/Keyspace.ts"
import { newestEpoch } from "../../domain/cache/newestEpoch.ts"
import { Commands } from "../../domain/Commands.ts"
import { ANY } from "../../domain/Freshness.ts"
import { product } from "../../domain/kinds/product.ts"
import { Epochs, knownEpochs } from "../../domain/ledger/Epochs.ts"
import { Ledger } from "../../domain/ledger/Ledger.ts"
import { Queries } from "../../domain/Queries.ts"
import { SubjectKeys } from "../../domain/secrets/SubjectKeys.ts"
import { holdfast } from "../../cli/holdfast.ts"
import { admitByEpoch } from "./epochs.ts"
import { Postgres } from "./Postgres.ts"

const NOBODY = "redis://127.0.0.1:1"

/** As a dump restored beside what was there: another database in the same cluster, with the rows of the first. */
const restored = async (from: string) => {
  const name = `test_${randomUUID().replaceAll("-", "")}`, to = databaseUrl(from, name)
  await administer(from.replace(new URL(from).pathname, "/postgres"), `create database ${name} template ${new URL(from).pathname.slice(1)}`)
  const client = new pg.Client({ connectionString: to })
  await client.connect()
  afterwards(async () => {
    await client.end()
    await dropDatabase(to)
  })
  return { url: to, query: async (text: string, values: unknown[] = []): Promise<any[]> => (await client.query(text, values)).rows }
}
/** One whose place is known, as after a migration, and that nobody is connected to. */
const original = async () => {
  const url = await createDatabase({ migrated: true })
  afterwards(() => dropDatabase(url))
  await administer(url, "update database_epochs set place = (select place from database_life())")
  return url
}
const epochsIn = async ({ query }: { readonly query: (text: string) => Promise<any[]> }) => (await query("select epoch from database_epochs order by epoch")).map(({ epoch }) => Number(epoch))
const said = ({ lines }: { readonly lines: readonly { readonly message: string }[] }, text: string) => lines.filter(({ message }) => message.startsWith(text)).length

test("a database that is where it was keeps its epoch, whoever connects how often", async () => {
  const database = await freshDatabase(), before = await epochsIn(database)
  await database.query("update database_epochs set place = (select place from database_life())")
  for (let n = 0; n < 2; n++) {
    const services = await openServices({ database: database.url })
    expect(services.get(Epochs).newest()).toBe(before[0])
    expect(said(services, "A new life")).toBe(0)
  }
  expect(await epochsIn(database)).toEqual(before)
})

test("a dump that was restored in the same cluster is a new life, of which all who find it at once make one", async () => {
  const copy = await restored(await original()), [before] = await epochsIn(copy)
  const all = await Promise.all(Array.from({ length: 4 }, () => openServices({ database: copy.url })))
  const epochs = await epochsIn(copy)
  expect(epochs).toEqual([before, expect.any(Number)])
  expect(epochs[1]).toBeGreaterThan(Date.now() - 60_000)
  for (const services of all) {
    expect(services.get(Epochs).newest()).toBe(epochs[1])
    expect((await run(services.get(Commands).create(creating()))).token.epoch).toBe(epochs[1])
  }
  expect(all.reduce((sum, services) => sum + said(services, "A new life of the database"), 0)).toBeGreaterThan(0)
})

test("its number is more than every number in the table and in the cache's checkpoints, whatever the clock says", async () => {
  const redis = await freshRedis(), hour = 3_600_000
  const from = await original(), cached = Date.now() + 2 * hour
  await redis.cli("SET", "hf:{00}", formatCheckpoint({ is: "purge", epoch: 1, mark: "0".repeat(16), pieces: 0 }))
  const tags = (await openServices({ database: (await freshDatabase()).url, redis: redis.url })).get(Cache)
  await eventually(() => tags.ping())
  expect(await tags.mark(5, null, formatCheckpoint({ is: "purge", epoch: cached, mark: "0".repeat(16), pieces: 0 }))).toBe(true)
  // No clock is so far ahead: somebody wrote it, and must not use the numbers up.
  expect(await tags.mark(6, null, formatCheckpoint({ is: "purge", epoch: 0xffff_ffff_ffff, mark: "0".repeat(16), pieces: 0 }))).toBe(true)
  const copy = await eventually(async () => {
    const copy = await restored(from), services = await openServices({ database: copy.url, redis: redis.url })
    // A machine that stalls for as long as the cache is asked is told of, and is another matter.
    expect(said(services, "The number of the new life is the clock's alone")).toBe(0)
    return copy
  }, { within: 20_000 })
  expect((await epochsIn(copy)).at(-1)).toBe(cached + 1)

  const ahead = await restored(from), known = Date.now() + hour
  await ahead.query("update database_epochs set epoch = $1", [known])
  await openServices({ database: ahead.url })
  expect((await epochsIn(ahead)).at(-1)).toBe(known + 1)
})

test("nor is it less than the process has seen, of a database that this one knows nothing of", async () => {
  const copy = await restored(await original()), epochs = knownEpochs(), known = Date.now() + 3_600_000, { log } = keptLog()
  const client = new pg.Client({ connectionString: copy.url })
  await client.connect()
  afterwards(() => client.end())
  epochs.seen(known)
  expect(await admitByEpoch(epochs, async () => null, log)(client)).toMatchObject({ epoch: known + 1 })
})

test("with the cache away the clock has to do, and that is said", async () => {
  const copy = await restored(await original())
  const services = await openServices({ database: copy.url, redis: NOBODY, trusting: false })
  const [, epoch] = await epochsIn(copy)
  expect(Math.abs(epoch! - Date.now())).toBeLessThan(60_000)
  expect(services.lines).toContainEqual(expect.objectContaining({ message: "The number of the new life is the clock's alone: the cache could not be asked", fields: { epoch } }))
  expect(await run(newestEpoch(services.get(Cache), 64))).toBeNull()
})

test("a connection whose life cannot be asked for is used by nobody", async () => {
  const database = await freshDatabase()
  await database.query("alter table database_epochs rename column place to somewhere")
  await expect(openServices({ database: database.url })).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
})

test("a database that was not migrated is refused for that", async () => {
  const url = await createDatabase()
  afterwards(() => dropDatabase(url))
  await expect(openServices({ database: url })).rejects.toMatchObject({ _tag: "SchemaRefused", message: expect.stringContaining("Run `npm run migrate`") })
})

// A connection that knows no epoch is of no life that the process knows: it was made again and again, for as long as anybody waited.
test("a database that has its schema no more is refused for that at once, and used as soon as it has it back", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url, environment: { DATABASE_POOL_MAX: "4" } })
  const create = services.get(Commands).create
  await run(create(creating()))
  await database.query("alter function current_epoch() rename to current_epoch_away")
  const bringBack = () => database.query("alter function current_epoch_away() rename to current_epoch")
  afterwards(() => bringBack().catch(() => undefined))
  await database.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
  // A read may still be answered by a connection that ends only now.
  await eventually(async () => expect(await run(Effect.flip(services.get(Ledger).rows(product, [])))).toMatchObject({ _tag: "DatabaseUnavailable" }), { within: 20_000 })
  let usable = 0
  services.get(Postgres).pool.on("connect", () => usable++)
  for (let n = 0; n < 10; n++) await expect(run(create(creating()))).rejects.toMatchObject({ _tag: "DatabaseUnavailable", reason: "the database has not the schema of Holdfast any more" })
  expect(usable).toBe(0)
  expect(services.lines).toContainEqual(expect.objectContaining({ message: "A Postgres server is not used", fields: { reason: "the database has not the schema of Holdfast any more" } }))
  await bringBack()
  expect(await run(create(creating()))).toMatchObject({ version: 1 })
  expect(usable).toBeGreaterThan(0)
})

/** The command line; answers when it is over. */
const epochNew = async (url: string, redis: string) => {
  let out = "", err = ""
  const code = await holdfast(["epoch", "new"], { DATABASE_URL: url, REDIS_URL: redis }, { out: (text) => { out += text }, err: (text) => { err += text } })
  return { code, out, err }
}
// Of this database alone: those of others wait as well, and a table has the same number in every clone.
const WAITS = "select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())"
const waiting = (query: (text: string) => Promise<any[]>) => eventually(async () =>
  (await query(`${WAITS} and relation = 'database_epochs'::regclass and mode = 'AccessExclusiveLock'`)).length === 1, { within: 20_000 })
const patient = (url: string, milliseconds: number) => {
  const to = new URL(url)
  to.searchParams.set("options", `-c lock_timeout=${milliseconds} -c timezone=UTC`)
  return to.href
}

test("a life begun by hand waits for every statement that says the old epoch, and whatever comes meanwhile says the new one", async () => {
  // Who begins a life lets the others pass after so long; until then they wait.
  const database = await freshDatabase(), services = await openServices({ database: patient(database.url, 30_000) })
  const { id, token: { epoch } } = await run(services.get(Commands).create(creating()))
  const early = await database.connect()
  await early.query("begin")
  expect(Number((await early.query("select max(epoch) as epoch from database_epochs")).rows[0].epoch)).toBe(epoch)
  let over = false
  const begun = epochNew(patient(database.url, 6_000), NOBODY).finally(() => { over = true })
  await waiting(database.query)
  const late = run(services.get(Commands).change(renaming(id, "Torch")))
  // It has had to let the others pass once, and comes again.
  await eventually(async () => (await database.query(WAITS)).length === 0, { within: 20_000 })
  await late
  await waiting(database.query)
  const later = run(services.get(Commands).change(renaming(id, "Lantern")))
  await eventually(async () => (await database.query(WAITS)).length >= 2, { within: 20_000 })
  expect(over).toBe(false)
  await early.query("commit")
  const { code, out } = await begun
  expect([code, out]).toEqual([0, expect.stringMatching(/^A new life of the database begins: epoch \d{13}\.\nThe cache could not be asked/)])
  const [, newest] = await epochsIn(database)
  expect((await later).token.epoch).toBe(newest)
  expect((await database.query("select epoch from outbox order by xid")).map((row) => Number(row.epoch))).toEqual([epoch, epoch, newest])
  expect(services.get(Epochs).newest()).toBe(newest)
})

test("it is more than the cache knows, and every process hears of it from its next statement: what the cache holds is not read until it is settled", async () => {
  const redis = await freshRedis(), database = await freshDatabase()
  const services = await openServices({ database: database.url, redis: redis.url }), access = services.get(CacheAccess)
  await eventually(() => services.get(Cache).ping())
  const cached = (await epochsIn(database))[0]! + 10_000_000
  await services.get(Cache).mark(5, null, formatCheckpoint({ is: "purge", epoch: cached, mark: "0".repeat(16), pieces: 0 }))
  const heard: number[] = [], stop = services.get(Epochs).onChange((epoch) => { heard.push(epoch) })
  expect(await epochNew(database.url, redis.url)).toEqual({ code: 0, out: `A new life of the database begins: epoch ${cached + 1}.\n`, err: "" })
  await run(services.get(Ledger).rows(product, []))
  expect(access.distrusted()).toHaveLength(64)
  expect(heard).toEqual([cached + 1])
  expect(services.lines.filter(({ message }) => message === "A new life of the database").map(({ fields }) => fields)).toEqual([{ epoch: cached + 1 }])
  stop()
  expect(await epochNew(database.url, redis.url)).toMatchObject({ code: 0 })
  await run(Effect.ignore(services.get(Ledger).snapshot))
  expect(heard).toHaveLength(1)
})

// It had heard of no change of epoch, and took what a cache brought back that was restored from before the purge.
test("a process that was started in a new life refuses the entries of the old one from the start", async () => {
  const database = await freshDatabase(), open = () => openServices({ database: database.url }), before = await open()
  const { id } = await run(before.get(Commands).create(creating({ name: "of the life before" })))
  const row = (await run(before.get(Ledger).rows(product, [id]))).rows.get(id)!, old = before.get(Entries).write(product, id, entryOf(product, row))
  const [{ epoch }] = await database.query("select begin_epoch(0, true) as epoch")
  await database.query("update products set name = 'of this life' where id = $1", [id])
  const fresh = await open(), cache = fresh.get(Cache), key = fresh.get(Keyspace).keyOf("product", id)
  expect(fresh.get(Epochs).newest()).toBe(Number(epoch))
  await cache.lease([key], "put back")
  expect(await cache.store([{ key, value: old, lease: "put back", ttlMilliseconds: 60_000 }])).toEqual(["stored"])
  expect(fresh.get(Entries).open(product, id, old)).toMatchObject({ version: 1 })
  const read = async () => {
    const { entry, source } = await fresh.get(Queries).read(product, id, ANY)
    return { name: JSON.parse(Buffer.from(entry.payload).toString()).name, epoch: entry.epoch, from: source.from }
  }
  expect(await read()).toEqual({ name: "of this life", epoch: Number(epoch), from: "stale" })
  expect(await read()).toEqual({ name: "of this life", epoch: Number(epoch), from: "hit" })
})

test("a connection from before a life that was begun by hand is given out no more, though its server is the same: what is decided now is committed", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url, environment: { DATABASE_POOL_MAX: "4" } })
  const commands = services.get(Commands), { id } = await run(commands.create(creating()))
  const [{ epoch }] = await database.query("select begin_epoch(0, true) as epoch")
  await run(Effect.ignore(services.get(Ledger).snapshot))
  expect(services.get(Epochs).newest()).toBe(Number(epoch))
  expect(await run(commands.change(renaming(id, "Torch")))).toMatchObject({ version: 2, token: { epoch: Number(epoch) } })
})

test("with a new life of the data the kept keys of persons go: they may be lost where they were", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url }), keys = services.get(SubjectKeys), person = randomUUID()
  expect(await run(keys.make(person))).not.toBeNull()
  await run(services.get(Ledger).snapshot)
  await database.query("delete from subject_keys")
  expect(await run(keys.find(person))).not.toBeNull()
  await database.query("select begin_epoch(0, true)")
  await run(services.get(Ledger).snapshot)
  expect(await run(keys.find(person))).toBeNull()
})

test("a schema that is behind begins no life", async () => {
  const url = await createDatabase()
  afterwards(() => dropDatabase(url))
  expect(await epochNew(url, NOBODY)).toMatchObject({ code: 1, err: expect.stringContaining("Run `npm run migrate`") })
})
