import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { creating, freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { formatCheckpoint, parseCheckpoint } from "../cache/Checkpoint.ts"
import { Commands } from "../Commands.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { parseSnapshot } from "../ledger/Snapshot.ts"
import { Relay } from "./Relay.ts"
import { RelayLag } from "./RelayLag.ts"

const everyPartition = Array.from({ length: 64 }, (_, partition) => partition)

test("events that no checkpoint shows are the lag; where there is no checkpoint nothing is settled; and while the cache is away those last seen count", async () => {
  const database = await freshDatabase(), redis = await freshRedis(), services = await openServices({ database: database.url, redis: redis.url })
  await eventually(() => services.get(Cache).ping())
  const lag = services.get(RelayLag), lane = services.get(Relay).lane(everyPartition)
  const create = () => run(services.get(Commands).create(creating()))
  expect(await run(lag.now)).toEqual({ events: 0, seconds: 0 })
  const began = performance.now()
  await create()
  // By the database's clock, which need not go as this one does.
  expect(await run(lag.now)).toMatchObject({ events: 1, seconds: expect.toSatisfy((s: number) => s > 0 && s < (performance.now() - began) / 1_000 + 10) })
  // The first round purges, and stands where nothing is left to settle.
  await run(lane.round)
  expect(await run(lag.now)).toEqual({ events: 0, seconds: 0 })
  await create()
  await create()
  expect(await run(lag.now)).toMatchObject({ events: 2 })
  await run(lane.round)
  expect(await run(lag.now)).toEqual({ events: 0, seconds: 0 })
  await redis.kill()
  await create()
  expect(await run(lag.now)).toMatchObject({ events: 1 })
})

test("a checkpoint of a life of the database that is over settles nothing of the new one, though its transactions are far above", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  const cache = services.get(Cache), lag = services.get(RelayLag), lane = services.get(Relay).lane(everyPartition), snapshot = parseSnapshot("900000000000:900000000000:")
  const create = () => run(services.get(Commands).create(creating()))
  await run(lane.round)
  for (const [partition, text] of (await cache.checkpoints(everyPartition)).entries()) {
    const checkpoint = parseCheckpoint(text)
    expect(checkpoint).toMatchObject({ is: "settled" })
    expect(await cache.mark(partition, text, formatCheckpoint({ ...checkpoint as typeof checkpoint & { is: "settled" }, snapshot }))).toBe(true)
  }
  await create()
  expect(await run(lag.now)).toMatchObject({ events: 0 })
  await database.query("select begin_epoch(0, true)")
  await run(services.get(Ledger).snapshot)
  await create()
  expect(await run(lag.now)).toMatchObject({ events: 1 })
})
