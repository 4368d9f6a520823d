import { expect, onTestFinished, test } from "vitest"
import { Cache } from "../../src/domain/cache/Cache.ts"
import { CacheAccess } from "../../src/domain/cache/CacheAccess.ts"
import { decodeEntry } from "../../src/domain/cache/Entry.ts"
import { Keyspace } from "../../src/domain/cache/Keyspace.ts"
import { Commands } from "../../src/domain/Commands.ts"
import { product } from "../../src/domain/kinds/product.ts"
import { Ledger } from "../../src/domain/ledger/Ledger.ts"
import { ANY } from "../../src/domain/Freshness.ts"
import { Queries } from "../../src/domain/Queries.ts"
import { Relay } from "../../src/domain/sync/Relay.ts"
import { migrate } from "../../src/infrastructure/postgres/migrate.ts"
import { eventually } from "../support/eventually.ts"
import { startPostgres } from "../support/postgres.ts"
import { behindProxy, cause, creating, freshDatabase, freshRedis, keptLog, openServices, renaming, run } from "../support/services.ts"

const everyPartition = Array.from({ length: 64 }, (_, partition) => partition)

test("a process that starts after an outage serves nothing that changed meanwhile", async () => {
  const [database, redis] = await Promise.all([freshDatabase(), freshRedis()])
  const network = await behindProxy(redis.url)
  const before = await openServices({ database: database.url, redis: network.to })
  await eventually(() => before.get(Cache).ping())
  const { id } = await run(before.get(Commands).create(creating()))
  await network.cut()
  await eventually(() => before.get(CacheAccess).state() === "open")
  await run(before.get(Commands).change(renaming(id, "Newer")))
  const after = await openServices({ database: database.url, redis: redis.url, trusting: false })
  await eventually(() => after.get(Cache).ping())
  expect(await after.get(Queries).read(product, id, ANY)).toMatchObject({ entry: { version: 2 } })
})

/** A change that Postgres, after a crash, gave a transaction id that an aborted transaction had before it; its process died before the store. */
const reused = async () => {
  const [postgres, redis] = await Promise.all([startPostgres({ settings: { wal_writer_delay: "10s" } }), freshRedis()])
  onTestFinished(postgres.stop)
  await run(migrate(postgres.url, { partitions: 64, log: keptLog().log }))
  const services = await openServices({ database: postgres.url, redis: redis.url })
  const cache = services.get(Cache), commands = services.get(Commands), lane = services.get(Relay).lane(everyPartition)
  await eventually(() => cache.ping())
  await run(lane.round)
  const { id } = await run(commands.create(creating({ sku: "one" })))
  const key = services.get(Keyspace).keyOf("product", id)
  const checkpoint = async () => (await cache.checkpoints([key.partition]))[0]
  while (await run(lane.round)) { /* until all is settled */ }
  // A refusal by the database: aborted, its id is used up, and nobody waits for that to be written down.
  await expect(run(commands.create(creating({ sku: "one" })))).rejects.toMatchObject({ problem: "sku-taken" })
  const seen = await checkpoint()
  await eventually(async () => {
    await run(lane.round)
    return await checkpoint() !== seen
  })
  await postgres.kill()
  await postgres.start()
  const ledger = services.get(Ledger)
  const row = await eventually(async () => (await run(ledger.load(product, id, null))).row!)
  const event = { type: "ProductChanged", data: { name: "Newer" } }
  const { row: now, transaction } = (await run(ledger.commit({
    kind: product, id, expected: 1, event, before: row.state, after: { ...row.state, name: "Newer" }, key: null, status: 200, cause, also: [], holds: [], owed: false
  })))!
  return { services, id, token: { epoch: now.epoch, sequence: now.sequence, transaction, entity: null }, entry: async () => decodeEntry((await cache.describe(key)).value!) }
}

test("after a crash of Postgres no read is older than the token of a change that came later", async () => {
  const { services, id, token } = await reused()
  expect(await services.get(Queries).read(product, id, { ...ANY, tokens: [token] })).toMatchObject({ entry: { version: 2 } })
}, 150_000)

test("after a crash of Postgres the relay settles every change that came later", async () => {
  const { services, entry } = await reused()
  const lane = services.get(Relay).lane(everyPartition)
  for (let n = 0; n < 5; n++) {
    await run(services.get(Commands).create(creating()))
    await run(lane.round)
  }
  expect(await entry()).toMatchObject({ version: 2 })
}, 150_000)
