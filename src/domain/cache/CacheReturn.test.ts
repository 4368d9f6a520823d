import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { behindProxy, creating, freshDatabase, freshRedis, openServices, renaming, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Commands } from "../Commands.ts"
import { product } from "../kinds/product.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { Metrics } from "../observe/Metrics.ts"
import { ANY } from "../Freshness.ts"
import { Queries } from "../Queries.ts"
import { Relay } from "../sync/Relay.ts"
import { Cache } from "./Cache.ts"
import { CacheAccess } from "./CacheAccess.ts"
import { formatCheckpoint } from "./Checkpoint.ts"

const everyPartition = Array.from({ length: 64 }, (_, partition) => partition)
/** Connections are tried again at growing intervals, and partitions without news are moved along once a second. */
const WITHIN = { within: 30_000 }
const read = (services: Services, id: string) => services.get(Queries).read(product, id, ANY)

/** The API as one process and the relay as another: only the first loses the cache. */
const open = async () => {
  const database = await freshDatabase(), redis = await freshRedis(), proxy = await behindProxy(redis.url), postgres = await behindProxy(database.url)
  const services = await openServices({ database: postgres.to, redis: proxy.to }), relaying = await openServices({ database: database.url, redis: redis.url })
  const access = services.get(CacheAccess), lane = relaying.get(Relay).lane(everyPartition)
  for (const one of [services, relaying]) await eventually(() => one.get(Cache).ping())
  await run(lane.round)
  return { database, redis, proxy, postgres, services, relaying, access, round: () => run(lane.round) }
}
const lose = async ({ proxy, services, access }: Awaited<ReturnType<typeof open>>) => {
  await proxy.cut()
  await eventually(async () => (await read(services, crypto.randomUUID())).source.from === "bypass" && access.state() === "open", WITHIN)
}

test("what changed while the cache was away is never served stale: reads return to a partition when it is settled", async () => {
  const all = await open()
  const { proxy, services, relaying, access, round } = all
  const { id } = await run(services.get(Commands).create(creating({ name: "Lamp" })))
  await round()
  await lose(all)
  // The cache still has version 1, and is owed version 2.
  expect(await run(services.get(Commands).change(renaming(id, "Torch")))).toMatchObject({ version: 2, synced: "queued" })
  expect(await read(relaying, id)).toMatchObject({ entry: { version: 1 } })
  await proxy.restore()
  await eventually(() => access.state() === "half-open", WITHIN)
  expect((await services.get(Metrics).exposition()).body).toMatch(/^holdfast_breaker_open 1$/m)
  // Back, but nothing vouches for what it holds: asked for, it is Postgres that answers.
  expect(await read(services, id)).toMatchObject({ entry: { version: 2 }, source: { from: "bypass" } })
  // Writes use it at once.
  expect(await run(services.get(Commands).create(creating()))).toMatchObject({ synced: "stored" })
  await eventually(async () => {
    await round()
    return access.state() === "closed"
  }, WITHIN)
  expect(await read(services, id)).toMatchObject({ entry: { version: 2 }, source: { from: "hit" } })
  expect(services.lines.map(({ message }) => message)).toContain("The cache is back: used for writes, and for reads as its partitions are settled")
  expect((await services.get(Metrics).exposition()).body).toMatch(/^holdfast_breaker_open 0$/m)
})

test("a cache that goes again before it is trusted is away again, and comes back all the same", async () => {
  const all = await open()
  const { proxy, services, access, round } = all
  await lose(all)
  // Something that the relay has yet to settle.
  await run(services.get(Commands).create(creating()))
  await proxy.restore()
  await eventually(() => access.state() === "half-open", WITHIN)
  await lose(all)
  await proxy.restore()
  await eventually(async () => {
    await round()
    return access.state() === "closed"
  }, WITHIN)
})

test("while Postgres does not say what has to be settled, no partition is trusted", async () => {
  const all = await open()
  const { proxy, postgres, access, round } = all
  await lose(all)
  await postgres.cut()
  await proxy.restore()
  await eventually(() => access.state() === "half-open", WITHIN)
  for (let i = 0; i < 5; i++) await round()
  expect(access.distrusted()).toEqual(everyPartition)
  await postgres.restore()
  await eventually(async () => {
    await round()
    return access.state() === "closed"
  }, WITHIN)
})

test("a checkpoint of an older epoch vouches for nothing", async () => {
  const all = await open()
  const { database, proxy, access, round } = all
  await lose(all)
  await database.query("insert into database_epochs (epoch, system_identifier, timeline) select max(epoch) + 1000, min(system_identifier), min(timeline) from database_epochs")
  await proxy.restore()
  await eventually(() => access.state() === "half-open", WITHIN)
  expect(access.distrusted()).toEqual(everyPartition)
  // The relay purges what is of the older epoch.
  await eventually(async () => {
    await round()
    return access.state() === "closed"
  }, WITHIN)
})

test("a process that starts trusts nothing until the relay has settled what it may have missed", async () => {
  const { database, redis, services, round } = await open()
  // Without it what the relay has settled before shows all that there is.
  await run(services.get(Commands).create(creating()))
  const late = await openServices({ database: database.url, redis: redis.url, trusting: false })
  expect(late.get(CacheAccess).distrusted()).toEqual(everyPartition)
  await eventually(async () => {
    await round()
    return late.get(CacheAccess).state() === "closed"
  }, WITHIN)
})

test("a cache ahead of the database is not read, that is said once, and it is read again when it is right", async () => {
  const { services, relaying, access, redis, round } = await open()
  const { id } = await run(services.get(Commands).create(creating()))
  const cache = relaying.get(Cache), [standing] = await cache.checkpoints([0]), { epoch } = await run(services.get(Ledger).snapshot)
  const ahead = formatCheckpoint({ is: "purge", epoch: epoch + 1, mark: "0".repeat(16), pieces: 0 })
  await cache.mark(0, standing!, ahead)
  const further = formatCheckpoint({ is: "settled", epoch, mark: "0".repeat(16), time: 0, snapshot: { xmin: 1n, xmax: 1n << 40n, open: [1n] } })
  const [other] = await cache.checkpoints([1])
  await cache.mark(1, other!, further)
  await eventually(() => access.distrusted().length === 2, WITHIN)
  expect(access.distrusted()).toEqual([0, 1])
  expect(await read(services, id)).toMatchObject({ entry: { version: 1 } })
  const lines = () => services.lines.filter(({ message }) => message.startsWith("The cache is ahead of the database"))
  expect(lines()).toHaveLength(1)
  await redis.cli("flushall")
  await eventually(async () => {
    await round()
    return access.state() === "closed"
  }, WITHIN)
  expect(lines()).toHaveLength(1)
})
