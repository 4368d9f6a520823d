import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { prune, putBack, RETENTION } from "../../../test/support/retention.ts"
import { creating, freshDatabase, openServices, renaming, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { parseCheckpoint } from "../cache/Checkpoint.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { ANY } from "../Freshness.ts"
import { Queries } from "../Queries.ts"
import { product } from "../kinds/product.ts"
import { Relay } from "./Relay.ts"

const everyPartition = Array.from({ length: 64 }, (_, partition) => partition)

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const open = async (more: { readonly trusting?: boolean } = {}) => {
  const services = await openServices({ database: database.url, environment: RETENTION, ...more })
  const cache = services.get(Cache), lane = services.get(Relay).lane(everyPartition), key = (id: string) => services.get(Keyspace).keyOf("product", id)
  return {
    services, cache, key,
    create: async () => (await run(services.get(Commands).create(creating()))).id,
    rename: (id: string) => run(services.get(Commands).change(renaming(id, "Torch"))),
    rounds: async () => { while (await run(lane.round)) { /* until there is nothing more at once */ } },
    value: async (id: string) => (await cache.describe(key(id))).value,
    checkpoints: () => cache.checkpoints(everyPartition)
  }
}

/** Whether the checkpoints show the last event of a table, and all before it. */
const above = async (checkpoints: readonly (string | null)[], table: string) => {
  const [{ xid }] = await database.query(`select xid from ${table} order by xid desc limit 1`)
  for (const text of checkpoints) {
    const checkpoint = parseCheckpoint(text)
    expect(checkpoint?.is === "settled" && checkpoint.snapshot.xmin > BigInt(xid)).toBe(true)
  }
}

test("a checkpoint from before what was pruned is not gone on from: its partition is purged", async () => {
  const one = await open()
  await one.rounds()
  const id = await one.create(), old = (await one.value(id))!, standing = await one.checkpoints()
  await one.rename(id)
  // The store of the change was missed, and no relay worked until its event was gone.
  await one.cache.evict(one.key(id))
  await one.cache.lease([one.key(id)], "forced")
  expect(await one.cache.store([{ key: one.key(id), value: old, lease: "forced", ttlMilliseconds: 60_000 }])).toEqual(["stored"])
  await prune(one.services, await putBack(database, 4))
  expect(await one.checkpoints()).toEqual(standing)
  await one.rounds()
  expect(await one.value(id)).toBeNull()
  expect((await one.services.get(Queries).read(product, id, ANY)).entry.version).toBe(2)
})

test("a checkpoint that shows all that was pruned is gone on from, also where no event is left", async () => {
  const one = await open(), id = await one.create()
  // A purge comes first: nothing had a checkpoint. Until all of them are above the event, whoever holds the fence.
  await eventually(async () => {
    await one.rounds()
    await above(await one.checkpoints(), "outbox")
  }, { within: 20_000 })
  await one.services.get(Queries).read(product, id, ANY)
  await prune(one.services, await putBack(database, 4))
  for (let i = 0; i < 3; i++) await one.rounds()
  expect(await one.value(id)).not.toBeNull()
  await one.rename(id)
  await one.rounds()
  expect(one.services.lines.filter(({ message }) => message.includes("purged"))).toHaveLength(1)
})

test("where every event was pruned a partition that was purged is read again, and stays as it is", async () => {
  const one = await open({ trusting: false })
  await one.create()
  await prune(one.services, await putBack(database, 4))
  await one.rounds()
  await above(await one.checkpoints(), "pruned_events")
  await eventually(() => one.services.get(CacheAccess).distrusted().length === 0, { within: 20_000 })
  await one.rounds()
  expect(one.services.lines.filter(({ message }) => message.includes("purged"))).toHaveLength(1)
})
