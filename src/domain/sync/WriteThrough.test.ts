import { Effect, Layer } from "effect"
import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { lineOf, placing, registering } from "../../../test/support/requests.ts"
import { adjusting, behindProxy, creating, failing, freshDatabase, freshRedis, openServices, renaming, run } from "../../../test/support/services.ts"
import type { ServiceOptions } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { product } from "../kinds/product.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { Metrics } from "../observe/Metrics.ts"
import { ANY } from "../Freshness.ts"
import { Queries } from "../Queries.ts"
import { RetryQueue } from "./RetryQueue.ts"

const open = async (options: Partial<ServiceOptions> = {}) => {
  const database = await freshDatabase(), redis = await freshRedis(), postgres = await behindProxy(database.url)
  const services = await openServices({ database: postgres.to, redis: redis.url, ...options })
  const commands = services.get(Commands), access = services.get(CacheAccess), cache = services.get(Cache)
  await eventually(() => cache.ping())
  return {
    database, redis, postgres, services, access, cache, commands,
    key: (id: string) => services.get(Keyspace).keyOf("product", id),
    create: async () => (await run(commands.create(creating()))).id,
    queued: () => database.query("select entity_id as id, version_id as version, reason from sync_retry_queue"),
    loseCache: async () => {
      await redis.kill()
      await eventually(async () => {
        await services.get(Queries).read(product, crypto.randomUUID(), ANY)
        return access.state() === "open"
      })
    }
  }
}
let one: Awaited<ReturnType<typeof open>>
beforeEach(async () => { one = await open() })

test("a change is stored, and what lease and store cost is measured", async () => {
  expect(await run(one.commands.create(creating()))).toMatchObject({ synced: "stored" })
  expect(one.services.get(Metrics).summary().syncOverheadMs.p50).toBeGreaterThan(0)
})

test("a change of which the cache holds nothing, and is loading something, is owed nothing", async () => {
  const id = await one.create()
  // A lease that does not end before the change comes, however slow the machine is.
  await one.redis.cli("SET", one.key(id).text, "La reader's")
  expect(await run(one.commands.change(renaming(id, "Torch")))).toMatchObject({ synced: "nothing" })
  // The reader read before the change, or may have: its lease is broken.
  expect((await one.cache.describe(one.key(id))).value).toBeNull()
  expect(await one.queued()).toEqual([])
})

test("a change that is refused gives its lease back, so that a reader need not wait for it", async () => {
  const id = await one.create()
  await one.cache.evict(one.key(id))
  expect(await failing(one.commands.change(adjusting(id, -1_000)))).toMatchObject({ _tag: "Refused" })
  expect((await one.cache.describe(one.key(id))).value).toBeNull()
})

/** From now on a store is waited for longer than a lease, and in vain. */
const frozen = async () => {
  one = await open({ environment: { SYNC_BUDGET_MS: "900" }, shortestDeadlineMilliseconds: 50 })
  // The lease or the store of a busy machine may be late; the product is there.
  const id = await one.create()
  await one.database.query("truncate sync_retry_queue")
  await one.redis.freeze()
  return { id }
}

test("a store that is missed is queued, and the change succeeds all the same", async () => {
  const { id } = await frozen()
  expect(await run(one.commands.change(renaming(id, "Torch")))).toMatchObject({ version: 2, synced: "queued" })
  expect(await one.queued()).toEqual([{ id, version: "2", reason: "store missed: no answer" }])
})

test("of a change of several entities each that was missed is queued, under its own kind", async () => {
  const product = await one.create(), { id: person } = await run(one.commands.create(registering()))
  await one.database.query("truncate sync_retry_queue")
  await one.redis.freeze()
  const placed = await run(one.commands.create(placing(person, [lineOf(product)])))
  expect(placed.synced).toBe("queued")
  expect(await one.database.query("select kind, entity_id as id, version_id as version from sync_retry_queue order by kind"))
    .toEqual([{ kind: "order", id: placed.id, version: "1" }, { kind: "product", id: product, version: "2" }])
})

test("while the cache is known to be away the commit itself writes the retry row", async () => {
  const id = await one.create()
  await one.loseCache()
  expect(await run(one.commands.change(renaming(id, "Torch")))).toMatchObject({ version: 2, synced: "queued" })
  expect(await one.queued()).toEqual([{ id, version: "2", reason: "cache unavailable at commit" }])
})

test("a cache that comes back between the commit's decision and its store is still owed the change", async () => {
  const id = await one.create()
  await one.loseCache()
  const ledger = one.services.get(Ledger)
  // After the commit, and before whoever changes hears of it.
  const slow = Ledger.of({
    ...ledger,
    commit: (change) => Effect.tap(ledger.commit(change), () => Effect.promise(async () => {
      expect(one.access.state()).toBe("open")
      await one.redis.start()
      await eventually(() => one.access.state() !== "open", { within: 20_000 })
    }))
  })
  const commands = await run(Effect.service(Commands).pipe(Effect.provide(Commands.layer.pipe(
    Layer.provide(Layer.succeed(Ledger, slow)), Layer.provide(Layer.succeedContext(one.services.context))
  ))) as Effect.Effect<Commands["Service"]>)
  expect(await run(commands.change(renaming(id, "Torch")))).toMatchObject({ version: 2, synced: "queued" })
  expect(await one.services.get(RetryQueue).size.pipe(run)).toMatchObject({ size: 1 })
})

test("a missed store that cannot be queued either is left to the relay, and said", async () => {
  const { id } = await frozen()
  // Whoever queues something waits there until he is cut off.
  await one.database.query("create function never() returns trigger language plpgsql as $$ begin loop perform pg_sleep(0.01); end loop; end $$")
  await one.database.query("create trigger never before insert on sync_retry_queue for each row execute function never()")
  const changing = run(one.commands.change(renaming(id, "Torch")))
  await eventually(async () => (await one.database.query("select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()")).length === 1, { within: 20_000 })
  await one.postgres.cut()
  expect(await changing).toMatchObject({ version: 2, synced: "queued" })
  expect(one.services.lines.map(({ message }) => message)).toContain("A missed store could not be queued; the relay will find it")
  expect(await one.queued()).toEqual([])
})
