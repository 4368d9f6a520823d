import { describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { creating, freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { parseCheckpoint } from "../cache/Checkpoint.ts"
import { checkpointKey, Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
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
