import { describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { creating, freshDatabase, freshRedis, openServices, renaming, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { parseCheckpoint } from "../cache/Checkpoint.ts"
import { Entries } from "../cache/Entries.ts"
import { decodeEntry, entryOf } from "../cache/Entry.ts"
import { checkpointKey, Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { product } from "../kinds/product.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { shows } from "../ledger/Snapshot.ts"
import type { Snapshot } from "../ledger/Snapshot.ts"
import { Relay } from "./Relay.ts"

const everyPartition = Array.from({ length: 64 }, (_, partition) => partition)

// One such key used to fail every round, and with it the other partitions of the lane.
describe("a checkpoint that is none counts as lost, and does not hold up the lane:", () => {
  const head = `C${"0".repeat(11)}1${"a".repeat(16)}${"0".repeat(12)}`
  test.each([
    ["a snapshot that ends before it begins", ["SET", `${head}5:3:`]],
    ["a snapshot with transactions out of order", ["SET", `${head}5:9:7,6`]],
    ["a snapshot with a transaction above its end", ["SET", `${head}5:9:5,9`]],
    ["another type", ["LPUSH", "by hand"]]
  ])("%s", async (_, [command, value]) => {
    const [database, redis] = await Promise.all([freshDatabase(), freshRedis()])
    const services = await openServices({ database: database.url, redis: redis.url })
    await eventually(() => services.get(Cache).ping())
    const cache = services.get(Cache), { round } = services.get(Relay).lane(everyPartition)
    await run(round)
    const { id } = await run(services.get(Commands).create(creating()))
    const { partition } = services.get(Keyspace).keyOf("product", id)
    await redis.cli("DEL", checkpointKey(partition))
    await redis.cli(command!, checkpointKey(partition), value!)
    await run(round)
    await run(round)
    expect((await cache.checkpoints(everyPartition)).map((text) => parseCheckpoint(text)?.is)).toEqual(everyPartition.map(() => "settled"))
  })
})

test("a checkpoint of another type does not keep a write from its store", async () => {
  const [database, redis] = await Promise.all([freshDatabase(), freshRedis()])
  const services = await openServices({ database: database.url, redis: redis.url })
  await eventually(() => services.get(Cache).ping())
  for (const partition of everyPartition) await redis.cli("LPUSH", checkpointKey(partition), "by hand")
  expect((await run(services.get(Commands).create(creating()))).synced).toBe("stored")
})

// Its content was asked for again and again, and the round never ended.
test.each(["memory", "Redis"])("an event whose row is gone, with the life of the database that it was read in, ends its round: its entry goes, the others are settled (%s)", async (where) => {
  const database = await freshDatabase(), redis = where === "Redis" ? (await freshRedis()).url : undefined
  const services = await openServices({ database: database.url, redis }), cache = services.get(Cache), commands = services.get(Commands), { keyOf } = services.get(Keyspace)
  await eventually(() => cache.ping())
  const { round } = services.get(Relay).lane(everyPartition), rounds = async () => { while (await run(round)) { /* until there is nothing more at once */ } }
  await rounds()
  const missed = async () => {
    const { id } = await run(commands.create(creating())), key = keyOf("product", id), { rows } = await run(services.get(Ledger).rows(product, [id]))
    const old = services.get(Entries).write(product, id, entryOf(product, rows.get(id)!))
    const { token } = await run(commands.change(renaming(id, "Torch")))
    await cache.evict(key)
    await cache.lease([key], "forced")
    expect(await cache.store([{ key, value: old, lease: "forced", ttlMilliseconds: 60_000 }])).toEqual(["stored"])
    return { id, key, transaction: token.transaction! }
  }
  const gone = await missed(), there = await missed()
  await database.query("delete from products where id = $1", [gone.id])
  await rounds()
  expect((await cache.describe(gone.key)).value).toBeNull()
  expect(decodeEntry((await cache.describe(there.key)).value!)).toMatchObject({ version: 2 })
  for (const { key, transaction } of [gone, there]) {
    const place = parseCheckpoint((await cache.checkpoints([key.partition]))[0]!) as { readonly snapshot: Snapshot }
    expect(shows(place.snapshot, transaction)).toBe(true)
  }
})
