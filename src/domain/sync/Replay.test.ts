import { randomUUID } from "node:crypto"
import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { registering } from "../../../test/support/requests.ts"
import { creating, deleting, failing, freshDatabase, freshRedis, openServices, renaming, run, unencodable } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { Entries } from "../cache/Entries.ts"
import { decodeEntry } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { customer } from "../kinds/customer.ts"
import { product } from "../kinds/product.ts"
import { Replay } from "./Replay.ts"
import { RetryQueue } from "./RetryQueue.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const using = (services: Services) => {
  const key = (id: string) => services.get(Keyspace).keyOf("product", id), cache = services.get(Cache)
  return {
    services, cache, key,
    replay: services.get(Replay), queue: services.get(RetryQueue),
    create: async () => (await run(services.get(Commands).create(creating()))).id,
    rename: (id: string) => run(services.get(Commands).change(renaming(id, randomUUID()))),
    owe: (...ids: readonly string[]) => run(services.get(RetryQueue).owe(ids.map((id) => ({ kind: "product", id, version: 1, reason: "store missed" })))),
    entry: async (id: string) => {
      const { value } = await cache.describe(key(id))
      return value === null ? null : decodeEntry(value)
    },
    evict: (id: string) => cache.evict(key(id))
  }
}
const open = async (options = {}) => using(await openServices({ database: database.url, ...options }))

test("what the cache is owed is brought: created where it is absent, replaced where it is older, tombstones too", async () => {
  const one = await open(), ids = [await one.create(), await one.create(), await one.create()]
  const old = (await one.cache.describe(one.key(ids[1]!))).value!
  await one.evict(ids[0]!)
  await one.rename(ids[1]!)
  await one.evict(ids[1]!)
  await one.cache.lease([one.key(ids[1]!)], "t")
  await one.cache.store([{ key: one.key(ids[1]!), value: old, lease: "t", ttlMilliseconds: 60_000 }])
  await run(one.services.get(Commands).change(deleting(ids[2]!)))
  await one.evict(ids[2]!)
  await one.owe(...ids)
  expect(await run(one.replay.round)).toBe(3)
  expect(await Promise.all(ids.map(one.entry))).toMatchObject([{ version: 1 }, { version: 2 }, { what: "deleted", version: 2 }])
  expect(await run(one.queue.size)).toMatchObject({ size: 0 })
  expect(await run(one.replay.round)).toBe(0)
})

// One such row used to stop the queue for all, and each try of it.
test("an entity that was lost with a life of the database is owed an absence: what the cache has of it goes, and the others of its batch are brought", async () => {
  const one = await open(), [stands, absent, other] = [await one.create(), await one.create(), await one.create()]
  const older = { ...(await one.entry(stands))!, epoch: (await one.entry(stands))!.epoch - 1 }
  for (const id of [stands, absent, other]) await one.evict(id)
  await one.cache.lease([one.key(stands)], "t")
  expect(await one.cache.store([{ key: one.key(stands), value: one.services.get(Entries).write(product, stands, older), lease: "t", ttlMilliseconds: 60_000 }])).toEqual(["stored"])
  await database.query("delete from products where id = any($1)", [[stands, absent]])
  await one.owe(stands, absent, other)
  expect(await run(one.replay.preview(null))).toEqual({ selected: 3, wouldStore: 3, alreadyCurrent: 0 })
  expect(await run(one.replay.round)).toBe(3)
  expect(await Promise.all([stands, absent, other].map(one.entry))).toMatchObject([
    { what: "unknown", version: 0, epoch: older.epoch + 1 }, { what: "unknown", version: 0, epoch: older.epoch + 1 }, { what: "entity", version: 1 }
  ])
  expect(await run(one.queue.size)).toMatchObject({ size: 0 })
  await one.owe(stands, absent, other)
  expect(await run(one.replay.preview(null))).toEqual({ selected: 3, wouldStore: 0, alreadyCurrent: 3 })
  expect(await run(one.replay.preview({ kind: "product", id: stands }))).toEqual({ selected: 1, wouldStore: 0, alreadyCurrent: 1 })
})

test("what is sealed is brought sealed, and known as current where it stands; altered it is not", async () => {
  const one = await open(), { id } = await run(one.services.get(Commands).create(registering()))
  const key = one.services.get(Keyspace).keyOf("customer", id), bytes = async () => Buffer.from((await one.cache.describe(key)).value!)
  const read = async () => one.services.get(Entries).read(customer, id, await bytes())
  await one.cache.evict(key)
  await run(one.queue.owe([{ kind: "customer", id, version: 1, reason: "store missed" }]))
  expect(await run(one.replay.preview(null))).toEqual({ selected: 1, wouldStore: 1, alreadyCurrent: 0 })
  expect(await run(one.replay.round)).toBe(1)
  expect(await read()).toMatchObject({ version: 1, keyId: 1 })
  await run(one.queue.owe([{ kind: "customer", id, version: 1, reason: "store missed" }]))
  expect(await run(one.replay.preview(null))).toEqual({ selected: 1, wouldStore: 0, alreadyCurrent: 1 })
  const altered = await bytes()
  altered[altered.length - 1]! ^= 1
  await one.cache.evict(key)
  await one.cache.lease([key], "forged")
  await one.cache.store([{ key, value: altered, lease: "forged", ttlMilliseconds: 60_000 }])
  expect(await run(one.replay.preview(null))).toEqual({ selected: 1, wouldStore: 1, alreadyCurrent: 0 })
})

test("a row that was owed again while it was replayed stays", async () => {
  const one = await open(), id = await one.create()
  await one.owe(id)
  const [owed] = await run(one.queue.due(1))
  await one.owe(id)
  await run(one.queue.settle([owed!]))
  expect(await run(one.queue.size)).toMatchObject({ size: 1 })
})

test("an unreachable cache puts a row off, and never makes it dead", async () => {
  const redis = await freshRedis(), one = await open({ redis: redis.url })
  await eventually(() => one.cache.ping())
  const id = await one.create()
  await one.owe(id)
  await database.query("update sync_retry_queue set attempts = 1000")
  await redis.kill()
  expect(await run(one.replay.round)).toBe(1)
  expect(await run(one.queue.list({ after: null, limit: 5, state: null }))).toMatchObject([{ id, attempts: 1_001, state: "delayed", reason: expect.any(String) }])
})

test("an entity that cannot be encoded is put off, its entry is removed, and after twenty tries it is dead", async () => {
  const one = await open({ kinds: [unencodable] }), id = await one.create()
  await one.rename(id)
  const old = await one.entry(id)
  expect(old).toMatchObject({ version: 2 })
  // As if the store of version 3 had been missed.
  await database.query("update products set version_id = 3")
  await one.owe(id)
  const [{ now: before }] = await database.query("select now()")
  expect(await run(one.replay.round)).toBe(1)
  expect(await one.entry(id)).toBeNull()
  const [put] = await run(one.queue.list({ after: null, limit: 5, state: null }))
  expect(put).toMatchObject({ id, attempts: 1, reason: "cannot be encoded" })
  // Off by an eighth of a second at least, which may be over by now.
  expect(Date.parse(put!.nextAttemptAt) - before.getTime()).toBeGreaterThanOrEqual(125)
  for (let tries = 1; tries < 20; tries++) {
    expect(await run(one.queue.size)).toMatchObject({ dead: 0 })
    await database.query("update sync_retry_queue set next_attempt_at = now()")
    expect(await run(one.replay.round)).toBe(1)
  }
  expect(await run(one.queue.list({ after: null, limit: 5, state: null }))).toMatchObject([{ attempts: 20, state: "dead" }])
  expect(await run(one.replay.round)).toBe(0)
})

test("a row of a kind that only a newer version knows is put off, and never dead", async () => {
  const one = await open({ kinds: [] }), id = await one.create()
  await one.owe(id)
  await database.query("update sync_retry_queue set attempts = 1000")
  expect(await run(one.replay.preview(null))).toEqual({ selected: 1, wouldStore: 1, alreadyCurrent: 0 })
  expect(await run(one.replay.round)).toBe(1)
  expect(await run(one.queue.list({ after: null, limit: 5, state: null }))).toMatchObject([{ id, attempts: 1_001, state: "delayed", reason: "unknown kind" }])
})

test("a dry run says what a replay would do, and does nothing", async () => {
  const one = await open(), [current, absent, behind] = [await one.create(), await one.create(), await one.create()]
  await one.evict(absent)
  await database.query("update products set version_id = 2 where id = $1", [behind])
  await one.owe(current, absent, behind)
  expect(await run(one.replay.preview(null))).toEqual({ selected: 3, wouldStore: 2, alreadyCurrent: 1 })
  expect(await run(one.replay.preview({ kind: "product", id: current }))).toEqual({ selected: 1, wouldStore: 0, alreadyCurrent: 1 })
  expect(await run(one.replay.preview({ kind: "product", id: randomUUID() }))).toEqual({ selected: 0, wouldStore: 0, alreadyCurrent: 0 })
  expect(await one.entry(absent)).toBeNull()
  expect(await run(one.queue.size)).toMatchObject({ size: 3 })
})

test("a dry run while the cache is away is refused: it would look into it", async () => {
  const redis = await freshRedis(), one = await open({ redis: redis.url })
  await eventually(() => one.cache.ping())
  await one.owe(await one.create())
  await redis.kill()
  expect(await failing(one.replay.preview(null))).toMatchObject({ _tag: "CacheUnavailable" })
})
