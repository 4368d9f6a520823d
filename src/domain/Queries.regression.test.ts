import { expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { patient } from "../../test/support/patient.ts"
import { creating, freshDatabase, freshRedis, openServices, renaming, run } from "../../test/support/services.ts"
import { Cache } from "./cache/Cache.ts"
import { CacheAccess } from "./cache/CacheAccess.ts"
import { Commands } from "./Commands.ts"
import { product } from "./kinds/product.ts"
import { Metrics } from "./observe/Metrics.ts"
import { ANY } from "./Freshness.ts"
import { Queries } from "./Queries.ts"

/** Two processes; the reader's cache is away. */
const open = async (reading = (url: string) => url) => {
  const [database, redis] = await Promise.all([freshDatabase(), freshRedis()])
  const writer = await openServices({ database: database.url })
  const reader = await openServices({ database: reading(database.url), redis: redis.url })
  await eventually(() => reader.get(Cache).ping())
  await redis.kill()
  await eventually(() => reader.get(CacheAccess).state() === "open")
  return { database, writer: writer.get(Commands), reader, queries: reader.get(Queries) }
}

// It used to share such a load, and answered with what had been before an acknowledged change.
test("without the cache, too, no-cache never joins a load that began before it", async () => {
  const { database, writer, queries } = await open((url) => {
    const named = new URL(patient(url))
    named.searchParams.set("application_name", "reader")
    return named.href
  })
  const { id } = await run(writer.create(creating()))
  // A read has its snapshot, and waits.
  await database.query(`create function gate() returns boolean language plpgsql as $$ begin
    if current_setting('application_name') = 'reader' and current_query() like '%products r on%' then perform pg_advisory_xact_lock_shared(4711); end if;
    return true; end $$`)
  await database.query("alter table database_epochs rename to epochs")
  await database.query("create view database_epochs as select * from epochs where gate()")
  await database.query("select pg_advisory_lock(4711)")
  const waiting = (count: number) => eventually(async () =>
    (await database.query("select from pg_stat_activity where application_name = 'reader' and wait_event = 'advisory' and datname = current_database()")).length === count)
  const early = queries.read(product, id, ANY)
  await waiting(1)
  await run(writer.change(renaming(id, "Newer")))
  const late = queries.read(product, id, { ...ANY, noCache: true })
  await waiting(2)
  await database.query("select pg_advisory_unlock(4711)")
  expect((await early).entry.version).toBe(1)
  expect(await late).toMatchObject({ entry: { version: 2 }, source: { from: "bypass", collapsed: false } })
})

// They used to count as misses, so that the rate of reads past the cache was too low during an outage, and too few hits were to blame.
test("bodies of a list that the cache is not there for count as past the cache", async () => {
  const { writer, reader, queries } = await open()
  for (let n = 0; n < 3; n++) await run(writer.create(creating()))
  const page = { after: null, limit: 10, where: {} }
  await run(queries.list(product, page, ANY))
  await run(queries.list(product, page, { ...ANY, noCache: true }))
  expect(reader.get(Metrics).summary().reads).toEqual({ hit: 0, miss: 0, stale: 0, request: 3, bypass: 3 })
})
