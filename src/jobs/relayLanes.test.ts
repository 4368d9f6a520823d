import { Context } from "effect"
import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { behindProxy, cause, creating, freshDatabase, freshRedis, openJobs, openServices, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Cache } from "../domain/cache/Cache.ts"
import { CacheAccess } from "../domain/cache/CacheAccess.ts"
import { decodeEntry } from "../domain/cache/Entry.ts"
import { Keyspace } from "../domain/cache/Keyspace.ts"
import { Commands } from "../domain/Commands.ts"
import { product } from "../domain/kinds/product.ts"
import { Ledger } from "../domain/ledger/Ledger.ts"
import { RelayLag } from "../domain/sync/RelayLag.ts"
import { layerRelayLanes } from "./relayLanes.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>, redis: Awaited<ReturnType<typeof freshRedis>>
beforeEach(async () => {
  database = await freshDatabase()
  redis = await freshRedis()
})

const open = async (environment: { readonly database?: string; readonly redis?: string } = {}) => {
  const services = await openServices({ database: database.url, redis: redis.url, ...environment })
  await eventually(() => services.get(Cache).ping())
  return services
}
/** A change whose writer died between its commit and its store. */
const miss = async (services: Services) => {
  const ledger = services.get(Ledger), { id } = await run(services.get(Commands).create(creating()))
  const before = (await run(ledger.rows(product, [id]))).rows.get(id)!.state!
  await run(ledger.commit({
    kind: product, id, expected: 1, event: { type: "ProductChanged", data: { name: "Torch" } }, before, after: { ...before, name: "Torch" }, key: null, status: 200, cause, also: [], holds: [], owed: false
  }))
  // Nothing that is older stands there.
  return {
    settled: async () => {
      const { value } = await services.get(Cache).describe(services.get(Keyspace).keyOf("product", id))
      return value === null || decodeEntry(value)?.version === 2
    }
  }
}
const messages = (services: Services) => services.lines.map(({ message }) => message)
/** Until both lanes have a holder. */
const held = () => eventually(async () => (await database.query("select 1 from pgboss.job where name like 'relay-lane-%' and state = 'active'")).length === 2, { within: 30_000 })
const settledUp = (services: Services) => eventually(async () => (await run(services.get(RelayLag).now)).events === 0 && (await services.get(Cache).checkpoints(Array.from({ length: 64 }, (_, partition) => partition))).every((text) => text?.startsWith("C")), { within: 30_000 })
/** These services, and how often a job of theirs has found the cache to be away. */
const watching = (services: Services) => {
  const access = services.get(CacheAccess)
  let away = 0
  const state = () => {
    if (access.state() === "open") away++
    return access.state()
  }
  return { watched: { ...services, context: Context.add(services.context, CacheAccess, CacheAccess.of({ ...access, state })) }, away: () => away }
}

test("what a writer missed is settled within moments, in every partition", async () => {
  const services = await open()
  await openJobs(services, layerRelayLanes)
  await settledUp(services)
  const missed = await Promise.all(Array.from({ length: 8 }, () => miss(services)))
  for (const { settled } of missed) await eventually(settled)
})

test("a round that fails is said and tried again, and while the cache is away nothing is said", async () => {
  const postgres = await behindProxy(database.url), services = await open({ database: postgres.to }), writer = await open(), { watched, away } = watching(services)
  await openJobs(watched, layerRelayLanes)
  await settledUp(writer)
  await held()
  await postgres.cut()
  await eventually(() => expect(messages(services)).toContain("A round of the relay failed; it is tried again"))
  await postgres.restore()
  const missed = await miss(writer)
  await eventually(missed.settled, { within: 30_000 })
  await redis.kill()
  await eventually(() => services.get(CacheAccess).state() === "open")
  const said = messages(services).length, failed = away()
  await eventually(() => away() > failed + 2)
  expect(messages(services).slice(said)).not.toContain("A round of the relay failed; it is tried again")
  await redis.start()
  await eventually(() => services.get(CacheAccess).state() === "closed")
})

test("whoever sees a lane neglected works it, until its holder is back", async () => {
  const proxy = await behindProxy(redis.url), holder = await open({ redis: proxy.to })
  await openJobs(holder, layerRelayLanes)
  await settledUp(holder)
  await held()
  const other = await open()
  await openJobs(other, layerRelayLanes)
  // The holder has its lease and its database, and cannot reach the cache.
  await proxy.cut()
  const missed = await miss(other)
  await eventually(missed.settled, { within: 30_000 })
  // On a busy machine there may have been nothing to settle: where its lease comes too late a writer leaves no entry.
  await eventually(() => expect(messages(other)).toContain("A lane of the relay is neglected; this process works it meanwhile"))
  await proxy.restore()
  await eventually(() => holder.get(CacheAccess).state() === "closed")
  await settledUp(other)
})
