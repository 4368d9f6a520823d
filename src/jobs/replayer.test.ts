import { Context } from "effect"
import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { behindProxy, creating, freshDatabase, freshRedis, openJobs, openServices, renaming, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Cache } from "../domain/cache/Cache.ts"
import { CacheAccess } from "../domain/cache/CacheAccess.ts"
import { Commands } from "../domain/Commands.ts"
import { layerReplayer } from "./replayer.ts"

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
const create = async (services: Services) => (await run(services.get(Commands).create(creating()))).id
const owe = async (services: Services, after = "0 s") => {
  const id = await create(services)
  await database.query("insert into sync_retry_queue (kind, entity_id, version_id, reason, first_failed_at, next_attempt_at) values ('product', $1, 1, 'store missed', now() - interval '1 minute', now() + $2::interval) on conflict (kind, entity_id) do update set reason = excluded.reason, first_failed_at = excluded.first_failed_at, next_attempt_at = excluded.next_attempt_at", [id, after])
}
const size = async () => (await database.query("select count(*)::integer as size from sync_retry_queue"))[0].size as number
/** Until some process holds the lease. */
const held = () => eventually(async () => (await database.query("select 1 from pgboss.job where name = 'replayer' and state = 'active'")).length === 1, { within: 30_000 })

test("what is due is replayed, and what is not waits", async () => {
  const services = await open()
  await owe(services)
  await owe(services, "1 hour")
  await openJobs(services, layerReplayer)
  await eventually(async () => await size() === 1, { within: 30_000 })
})

test("while the cache is away nothing is tried, and when it is back everything is due at once", async () => {
  const services = await open(), access = services.get(CacheAccess)
  let away = 0
  const state = () => {
    if (access.state() === "open") away++
    return access.state()
  }
  await openJobs({ ...services, context: Context.add(services.context, CacheAccess, CacheAccess.of({ ...access, state })) }, layerReplayer)
  await held()
  const id = await create(services)
  await redis.kill()
  await eventually(() => access.state() === "open")
  await run(services.get(Commands).change(renaming(id, "Torch")))
  await database.query("update sync_retry_queue set next_attempt_at = now() + interval '1 hour', attempts = 12")
  // A cache that is back sooner than the next round looks was not away for it.
  const before = away
  await eventually(() => away > before)
  expect(await size()).toBe(1)
  await redis.start()
  await eventually(async () => await size() === 0)
})

test("a round that fails is said and tried again", async () => {
  const postgres = await behindProxy(database.url), services = await open({ database: postgres.to }), writer = await open()
  await openJobs(services, layerReplayer)
  await held()
  await postgres.cut()
  await eventually(() => expect(services.lines.map(({ message }) => message)).toContain("A round of the replayer failed; it is tried again"))
  await postgres.restore()
  await owe(writer)
  await eventually(async () => await size() === 0, { within: 30_000 })
})

test("whoever sees a row wait for more than three seconds replays it, whoever holds the lease", async () => {
  const proxy = await behindProxy(redis.url), holder = await open({ redis: proxy.to })
  await openJobs(holder, layerReplayer)
  await held()
  // It holds the lease, and cannot reach the cache.
  await proxy.cut()
  await eventually(() => holder.get(CacheAccess).state() === "open")
  const other = await open()
  await openJobs(other, layerReplayer)
  for (let i = 0; i < 3; i++) await owe(other)
  await eventually(async () => await size() === 0, { within: 30_000 })
})
