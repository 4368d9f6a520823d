import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { behindProxy, cause, freshDatabase, freshRedis, openJobs, openServices, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Commands } from "../domain/Commands.ts"
import { Cache } from "../domain/cache/Cache.ts"
import { Erasure } from "../domain/erasure/Erasure.ts"
import { customer } from "../domain/kinds/customer.ts"
import { Sessions } from "../domain/sessions/Sessions.ts"
import { layerErasures } from "./erasures.ts"

const SOON = layerErasures({ every: "50 millis", olderThanSeconds: 0 })
const request = (command: string, input: object) => ({ kind: customer, command, input: customer.commands[command]!.read({ ...input }), versions: null, key: null, cause, granted: () => true })
const register = async (services: Services) =>
  (await run(services.get(Commands).create(request("RegisterCustomer", { name: "Maria", email: `${randomUUID()}@example.org`, marketingConsent: true })))).id

type Database = Awaited<ReturnType<typeof freshDatabase>>
const unfinished = ({ query }: Database) => query("select id from customers where deleted_at is not null and certificate is null union all select entity_id from unfinished_erasures")

test("a tombstone without a certificate is finished, whoever made it; one that cannot be finished is said and does not hold up the others", async () => {
  const database = await freshDatabase(), proxy = await behindProxy(database.url), services = await openServices({ database: proxy.to }), writer = await openServices({ database: database.url })
  const ids = [await register(writer), await register(writer)].sort()
  for (const id of ids) await run(writer.get(Commands).change({ ...request("EraseCustomer", {}), id }))
  await database.query("create function fail() returns trigger language plpgsql as 'begin raise exception using errcode = ''53100''; end'")
  await database.query(`create trigger fail before update on customers for each row when (new.id = '${ids[0]}') execute function fail()`)
  await openJobs(services, SOON)
  await eventually(async () => expect(await unfinished(database)).toEqual([{ id: ids[0] }]), { within: 20_000 })
  await eventually(() => services.lines.some(({ message }) => message === "An erasure could not be finished; it is tried again"), { within: 20_000 })
  await proxy.cut()
  await eventually(() => services.lines.some(({ message }) => message === "A round of the erasures failed; it is tried again"), { within: 20_000 })
  await proxy.restore()
  await database.query("drop trigger fail on customers")
  await eventually(async () => expect(await unfinished(database)).toEqual([]), { within: 20_000 })
})

test("sessions that a cache which was killed has kept are ended when it is back", async () => {
  const database = await freshDatabase(), redis = await freshRedis({ persistent: true }), proxy = await behindProxy(redis.url)
  const services = await openServices({ database: database.url, redis: proxy.to })
  await eventually(() => services.get(Cache).ping(), { within: 20_000 })
  // They have a connection of their own.
  await eventually(() => run(services.get(Sessions).get("nobody's")).then(() => true), { within: 20_000 })
  const id = await register(services), sessions = services.get(Sessions)
  await run(sessions.set("a", { data: {}, ttlSeconds: 600, customerId: id }))
  await redis.kill()
  await proxy.cut()
  await run(services.get(Erasure).erase({ ...request("EraseCustomer", {}), id }))
  expect(await unfinished(database)).toEqual([{ id }])
  await openJobs(services, SOON)
  await redis.start()
  expect(await redis.cli("keys", "hf-session:*")).toHaveLength(1)
  // For the service it is back now: the job does not come before that look.
  await proxy.restore()
  await eventually(async () => expect(await unfinished(database)).toEqual([]), { within: 20_000 })
  await eventually(async () => expect(await run(sessions.get("a"))).toBeNull(), { within: 20_000 })
})

test("whom a new life of the database has back is erased again, without a start", async () => {
  const [database, keys] = [await freshDatabase(), await freshDatabase()]
  await database.query("update installation set subject_keys_apart = true")
  const services = await openServices({ database: database.url, environment: { SUBJECT_KEYS_URL: keys.url } }), id = await register(services)
  const [{ row }] = await database.query("select to_jsonb(c)::text as row from customers c")
  await run(services.get(Erasure).erase({ ...request("EraseCustomer", {}), id }))
  await openJobs(services, SOON)
  await eventually(async () => expect(await database.query("select from pgboss.job where name = 'erasures' and state = 'active'")).toHaveLength(1), { within: 20_000 })
  await database.query("delete from outbox where version_id = 2")
  await database.query("delete from customers")
  await database.query("insert into customers select * from jsonb_populate_record(null::customers, $1::jsonb)", [row])
  await database.query("select begin_epoch(0, true)")
  await eventually(async () => expect(await database.query("select id from customers where deleted_at is not null and certificate is not null")).toEqual([{ id }]), { within: 20_000 })
  // The work goes on behind that.
  const other = await register(services)
  await run(services.get(Commands).change({ ...request("EraseCustomer", {}), id: other }))
  await eventually(async () => expect(await unfinished(database)).toEqual([]), { within: 20_000 })
})

test("an erasure whose request may still be at work is left to it", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  // A round goes by the ids: who is left is looked at before who is not.
  const [young, old] = [await register(services), await register(services)].sort()
  for (const id of [young!, old!]) await run(services.get(Commands).change({ ...request("EraseCustomer", {}), id }))
  await database.query("update customers set deleted_at = deleted_at - interval '1 minute' where id = $1", [old])
  await openJobs(services, layerErasures())
  await eventually(async () => {
    // However long it takes until the lease is held and a round is made.
    await database.query("update customers set deleted_at = now() where id = $1", [young])
    expect(await unfinished(database)).toEqual([{ id: young }])
  }, { within: 30_000 })
  await database.query("update customers set deleted_at = deleted_at - interval '1 minute'")
  await eventually(async () => expect(await unfinished(database)).toEqual([]), { within: 20_000 })
})
