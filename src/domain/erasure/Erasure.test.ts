import { randomBytes, randomUUID } from "node:crypto"
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { patient } from "../../../test/support/patient.ts"
import { afterwards, behindProxy, cause, creating, failing, freshDatabase, freshRedis, keptLog, openServices, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { migrate } from "../../infrastructure/postgres/migrate.ts"
import { Cache } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { Commands } from "../Commands.ts"
import type { Answer, CommandRequest } from "../Commands.ts"
import { kindOf } from "../kinds/kinds.ts"
import { SubjectKeys } from "../secrets/SubjectKeys.ts"
import { Sessions } from "../sessions/Sessions.ts"
import { Erasure } from "./Erasure.ts"

const customer = kindOf("customer")!, order = kindOf("order")!
const sending = (kind: typeof customer, command: string, input: object, more: Partial<CommandRequest> = {}): CommandRequest =>
  ({ kind, command, input: kind.commands[command]!.read({ ...input }), versions: null, key: null, cause, granted: () => true, ...more })

const register = async (services: Services) =>
  (await run(services.get(Commands).create(sending(customer, "RegisterCustomer", { name: "Maria Anders", email: `${randomUUID()}@example.org`, marketingConsent: true })))).id
const stock = async (services: Services) => (await run(services.get(Commands).create(creating({ stock: 1_000 })))).id
const placing = (customerId: string, productId: string) => sending(order, "PlaceOrder", {
  customerId, lines: [{ productId, quantity: 1 }], shippingAddress: { name: "Maria Anders", line1: "Obere Str. 57", city: "Berlin", postcode: "12209", country: "Germany" }
})
const place = async (services: Services, customerId: string) => (await run(services.get(Commands).create(placing(customerId, await stock(services))))).id
const erasing = (id: string | null, more: Partial<CommandRequest> = {}) => ({ ...sending(customer, "EraseCustomer", {}, more), id })
const erase = (services: Services, id: string | null, more: Partial<CommandRequest> = {}) => services.get(Erasure).erase(erasing(id, more))
const newKey = () => ({ digest: randomBytes(32), request: randomBytes(32) })
const certificateOf = ({ payload }: Answer) => JSON.parse(Buffer.from(payload!).toString())
const session = (customerId: string) => ({ data: {}, ttlSeconds: 600, customerId })

/** A database of their own for the keys, migrated, seen through a proxy. */
const keysApart = async (data: string) => {
  const url = await createDatabase()
  afterwards(() => dropDatabase(url))
  await run(migrate(data, { partitions: 64, log: keptLog().log, subjectKeysUrl: url }))
  return behindProxy(url)
}

type Database = Awaited<ReturnType<typeof freshDatabase>>
/** Until it is let go, the statement that changes these rows is answered as by a server that has no room. */
const failAt = async ({ query }: Database, table: string, condition: string) => {
  await query("create or replace function fail() returns trigger language plpgsql as 'begin raise exception using errcode = ''53100''; end'")
  await query(`create trigger fail before update on ${table} for each row when (${condition}) execute function fail()`)
  return () => query(`drop trigger fail on ${table}`)
}

/** What is left of a person in the rows, and what is owed. */
const left = async ({ query }: Database, id: string) => ({
  certificates: (await query("select id from customers where id = $1 and certificate is not null", [id])).length,
  addresses: (await query("select id from orders where customer_id = $1 and personal is not null", [id])).length,
  versions: (await query("select version_id from orders where customer_id = $1 order by id", [id])).map(({ version_id }) => Number(version_id)),
  unfinished: (await query("select entity_id from unfinished_erasures")).length
})
const DONE = { certificates: 1, addresses: 0, unfinished: 0 }

describe("an erasure", () => {
  test("takes the person out of row, orders, sessions and keys, and certifies it", async () => {
    const database = await freshDatabase(), services = await openServices({ database: database.url })
    const [id, other] = [await register(services), await register(services)]
    await run(services.get(Commands).change({ ...sending(customer, "ChangeCustomer", { name: "Maria A." }), id }))
    // Holds nothing personal.
    await run(services.get(Commands).change({ ...sending(customer, "ChangeCustomer", { marketingConsent: false }), id }))
    for (const whose of [id, id, other]) await place(services, whose)
    for (const [name, whose] of [["a", id], ["b", other]] as const) await run(services.get(Sessions).set(name, session(whose)))
    const answer = await run(erase(services, id))
    expect(answer).toMatchObject({ status: 200, id, version: 4, replayed: false })
    expect(certificateOf(answer)).toEqual({
      erasedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), keyDestroyed: true, events: 2, cache: "tombstoned", orders: 2, sessions: 1, backups: "keys-share-backup"
    })
    expect(await left(database, id)).toEqual({ ...DONE, versions: [2, 2] })
    expect(await left(database, other)).toMatchObject({ certificates: 0, addresses: 1, versions: [1] })
    expect(await database.query("select personal, email_index, email_hash, pii_ref from customers where id = $1", [id])).toEqual([{ personal: null, email_index: null, email_hash: null, pii_ref: null }])
    expect(await run(services.get(SubjectKeys).find(id))).toBeNull()
    expect([await run(services.get(Sessions).get("a")), await run(services.get(Sessions).get("b")) === null]).toEqual([null, false])
    expect(await failing(erase(services, id))).toMatchObject({ _tag: "Deleted" })
  })

  test("is decided like every change: of nobody it is not found, and at another version nothing is destroyed", async () => {
    const database = await freshDatabase(), services = await openServices({ database: database.url }), id = await register(services)
    for (const nobody of [randomUUID(), null]) expect(await failing(erase(services, nobody))).toMatchObject({ _tag: "NotFound" })
    expect(await failing(erase(services, id, { versions: [7] }))).toMatchObject({ _tag: "VersionMismatch" })
    expect(await run(services.get(SubjectKeys).find(id))).not.toBeNull()
  })

  test("that is repeated with its idempotency key has the same certificate, byte for byte", async () => {
    const database = await freshDatabase(), services = await openServices({ database: database.url }), id = await register(services), key = newKey()
    const first = await run(erase(services, id, { key }))
    const again = await run(erase(services, id, { key }))
    expect([again.status, again.replayed, again.version]).toEqual([200, true, first.version])
    expect(again.payload).toEqual(first.payload)
  })

  test("of a person with more orders than one page takes all of them", async () => {
    const database = await freshDatabase(), services = await openServices({ database: database.url }), id = await register(services)
    await place(services, id)
    await database.query(`insert into orders (id, version_id, updated_at_ns, event_seq, customer_id, status, lines, total_amount, total_currency)
      select gen_random_uuid(), 1, 1, 1, $1, 'placed', '[]', 1, 'EUR' from generate_series(1, 1500)`, [id])
    expect(certificateOf(await run(erase(services, id)))).toMatchObject({ orders: 1_501 })
    expect(await left(database, id)).toMatchObject(DONE)
  })

  test("and orders at the same moment: what was placed is erased with it, and what comes later is refused", async () => {
    const database = await freshDatabase(), services = await openServices({ database: patient(database.url) }), id = await register(services), lamp = await stock(services)
    const placed = Array.from({ length: 12 }, () => run(Effect.result(services.get(Commands).create(placing(id, lamp)))))
    const erased = await run(erase(services, id))
    const made = (await Promise.all(placed)).filter(({ _tag }) => _tag === "Success").length
    expect(certificateOf(erased)).toMatchObject({ orders: made })
    expect(await left(database, id)).toMatchObject({ ...DONE, versions: Array.from({ length: made }, () => 2) })
  })

  test("that two finish at once has one certificate", async () => {
    const database = await freshDatabase(), services = await openServices({ database: patient(database.url) }), id = await register(services)
    await run(services.get(Commands).change(erasing(id)))
    const person = { kind: customer, id }
    await Promise.all([1, 2, 3].map(() => run(services.get(Erasure).finish(person))))
    const kept = await database.query("select certificate::text from customers")
    await run(services.get(Erasure).finish(person))
    expect(await database.query("select certificate::text from customers")).toEqual(kept)
  })
})

describe("an erasure that stopped on its way is unavailable, and is finished later", () => {
  const STEPS = {
    "before the key is destroyed": async (_: Database, keys: Awaited<ReturnType<typeof keysApart>>) => {
      await keys.cut()
      return keys.restore
    },
    "before the orders are scrubbed": (database: Database) => failAt(database, "orders", "true"),
    "before it is certified": (database: Database) => failAt(database, "customers", "new.certificate is not null")
  }
  test.each(Object.entries(STEPS))("%s", async (_, stop) => {
    const database = await freshDatabase(), keys = await keysApart(database.url)
    const services = await openServices({ database: database.url, environment: { SUBJECT_KEYS_URL: keys.to } })
    const id = await register(services), key = newKey(), erasure = services.get(Erasure)
    await place(services, id)
    const goOn = await stop(database, keys)
    expect(await failing(erase(services, id, { key }))).toMatchObject({ _tag: "DatabaseUnavailable" })
    // The request that stopped may still be at work as far as others know.
    expect(await run(erasure.pending(60))).toEqual([])
    expect(await run(erasure.pending(0))).toEqual([{ kind: customer, id }])
    expect(await failing(erasure.finish({ kind: customer, id }))).toMatchObject({ _tag: "DatabaseUnavailable" })
    await goOn()
    // By the same request, sent again, or by the job.
    const again = await eventually(() => run(erase(services, id, { key })))
    expect(certificateOf(again)).toMatchObject({ events: 1, orders: 1, backups: "unreadable", cache: "queued" })
    expect([again.status, again.replayed]).toEqual([200, true])
    await run(erasure.finish({ kind: customer, id }))
    expect((await run(erase(services, id, { key }))).payload).toEqual(again.payload)
    expect(await left(database, id)).toEqual({ ...DONE, versions: [2] })
    expect(await run(services.get(SubjectKeys).find(id))).toBeNull()
    expect(await run(erasure.pending(0))).toEqual([])
  })

  test("while the cache is away it is certified all the same, and stays unfinished until the sessions are ended", async () => {
    const database = await freshDatabase(), redis = await freshRedis(), proxy = await behindProxy(redis.url), services = await openServices({ database: database.url, redis: proxy.to })
    await eventually(() => services.get(Cache).ping())
    // They have a connection of their own.
    await eventually(() => run(services.get(Sessions).get("nobody's")).then(() => true))
    const id = await register(services), sessions = services.get(Sessions), erasure = services.get(Erasure)
    await place(services, id)
    await run(sessions.set("a", session(id)))
    await proxy.cut()
    const answer = await run(erase(services, id))
    expect(answer).toMatchObject({ status: 200 })
    expect(certificateOf(answer)).toMatchObject({ keyDestroyed: true, orders: 1, sessions: 0, cache: "queued" })
    expect(await left(database, id)).toMatchObject({ certificates: 1, addresses: 0, unfinished: 1 })
    expect(await run(erasure.pending(0))).toEqual([{ kind: customer, id }])
    await run(erasure.finish({ kind: customer, id }))
    expect(await left(database, id)).toMatchObject({ unfinished: 1 })
    await proxy.restore()
    await eventually(() => services.get(CacheAccess).state() !== "open")
    await eventually(async () => {
      await run(erasure.finish({ kind: customer, id }))
      expect(await left(database, id)).toMatchObject(DONE)
    })
    expect(await run(sessions.get("a"))).toBeNull()
    expect(await run(erasure.pending(0))).toEqual([])
    // What was answered stands.
    expect((await database.query("select certificate::text as text from customers where id = $1", [id]))[0].text).toBe(Buffer.from(answer.payload!).toString())
  })
})

test("whom a restored database has back is erased again, by the list beside the keys; nobody else is", async () => {
  const database = await freshDatabase(), keys = await keysApart(database.url)
  const services = await openServices({ database: database.url, environment: { SUBJECT_KEYS_URL: keys.to } }), { restore } = services.get(Erasure)
  expect(await run(restore)).toBe(0)
  const [id, erased, other] = [await register(services), await register(services), await register(services)]
  await place(services, id)
  for (const table of ["customers", "orders"]) await database.query(`create table saved_${table} as select * from ${table} where $1 in (id, ${table === "orders" ? "customer_id" : "id"})`, [id])
  for (const person of [id, erased]) await run(erase(services, person))
  expect(await run(restore)).toBe(0)
  for (const table of ["orders", "customers"]) {
    await database.query(`delete from outbox where version_id > 1 and entity_id in (select id from saved_${table})`)
    await database.query(`delete from ${table} where id in (select id from saved_${table})`)
    await database.query(`insert into ${table} select * from saved_${table}`)
  }
  expect(await left(database, id)).toMatchObject({ certificates: 0, addresses: 1 })
  expect(await run(restore)).toBe(1)
  expect(await left(database, id)).toEqual({ ...DONE, versions: [2] })
  expect(await database.query("select metadata->>'actor' as actor from outbox where entity_id = $1 order by version_id", [id])).toEqual([{ actor: "tester" }, { actor: "restore" }])
  expect(await run(services.get(SubjectKeys).find(other))).not.toBeNull()
  expect(await run(restore)).toBe(0)
})
