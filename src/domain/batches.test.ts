import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { patient } from "../../test/support/patient.ts"
import { keyOf, registering } from "../../test/support/requests.ts"
import { cause, creating, failing, freshDatabase, openServices, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Cache } from "./cache/Cache.ts"
import { decodeEntry } from "./cache/Entry.ts"
import { Keyspace } from "./cache/Keyspace.ts"
import { Commands } from "./Commands.ts"
import type { Item } from "./Commands.ts"
import { invalid, refused } from "./Kind.ts"
import type { State, World } from "./Kind.ts"
import { customer } from "./kinds/customer.ts"
import { product } from "./kinds/product.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
let services: Services, commands: Commands["Service"]
beforeEach(async () => {
  database = await freshDatabase()
  services = await openServices({ database: patient(database.url) })
  commands = services.get(Commands)
})

const create = async (fields: State = {}) => (await run(commands.create(creating(fields)))).id
const entryAt = async (id: string) => {
  const { value } = await services.get(Cache).describe(services.get(Keyspace).keyOf("product", id))
  return value === null ? null : decodeEntry(value)
}
/** Whether any key of the cache still holds a lease. */
const leases = async ({ get } = services) => {
  let found = 0
  for await (const keys of get(Cache).scan()) {
    for (const text of keys) if ((await get(Cache).describe({ text, partition: 0 })).value?.[0] === 0x4c) found++
  }
  return found
}

const batch = (items: readonly Item<string>[], more = {}) => ({ kind: product, command: "CreateProduct", items, key: null, cause, granted: () => false, ...more })
const item = (sku: string): Item<string> => ({ input: creating({ sku }).input })

test("each item stands for itself: made, invalid, or taken by another", async () => {
  await create({ sku: "taken" })
  const answer = await run(commands.createMany(batch([item("a"), { fault: "no name" }, item("taken"), item("a"), item("b")])))
  expect(answer.results).toEqual([
    { status: 201, id: expect.any(String) }, { status: 422, fault: "no name" }, { status: 409, problem: "sku-taken" }, { status: 409, problem: "sku-taken" }, { status: 201, id: expect.any(String) }
  ])
  expect(answer).toMatchObject({ synced: "stored", replayed: false })
  for (const result of answer.results) if (result.status === 201) expect(await entryAt(result.id)).toMatchObject({ version: 1 })
  expect(await leases()).toBe(0)
})

test("an item that the domain refuses is refused with its problem", async () => {
  const strict = { ...product, decide: (command: string, input: State, state: State | null, world: World) => input["stock"] === 0 ? refused("invalid", "Empty.") : product.decide(command, input, state, world) }
  const { results } = await run(commands.createMany({ ...batch([{ input: creating({ stock: 0 }).input }, item("a")]), kind: strict }))
  expect(results).toEqual([{ status: 409, problem: "invalid" }, { status: 201, id: expect.any(String) }])
})

test("of which nothing is made has no token, and leaves no lease", async () => {
  await create({ sku: "taken" })
  expect(await run(commands.createMany(batch([item("taken"), { fault: "no name" }])))).toMatchObject({ token: null, synced: "nothing" })
  expect(await run(commands.createMany(batch([{ fault: "no name" }])))).toMatchObject({ token: null, synced: "nothing" })
  expect(await leases()).toBe(0)
})

test("a repetition has the same results, and another request is refused", async () => {
  await create({ sku: "taken" })
  const request = batch([item("a"), item("taken"), { fault: "no name" }], { key: keyOf("k") })
  const first = await run(commands.createMany(request))
  expect(await run(commands.createMany(request))).toEqual({ ...first, synced: "nothing", replayed: true })
  expect(await failing(commands.createMany({ ...request, key: keyOf("k", "another request") }))).toMatchObject({ _tag: "KeyReused" })
})

test("of two with one key at once, one makes them and the other has its answer", async () => {
  const request = batch([item("a")], { key: keyOf("k") }), gate = await database.connect()
  await gate.query("begin")
  await gate.query("lock table products in exclusive mode")
  const both = [run(commands.createMany(request)), run(commands.createMany(request))]
  await eventually(async () => (await database.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).length === 2)
  await gate.query("commit")
  const [a, b] = await Promise.all(both)
  expect([a!.replayed, b!.replayed].sort()).toEqual([false, true])
  expect(a!.results).toEqual(b!.results)
  expect(await database.query("select 1 from products")).toHaveLength(1)
  expect(await leases()).toBe(0)
})

test("one that waits for others for two seconds gives up, and gives its leases back", async () => {
  const holder = await database.connect(), impatient = await openServices({ database: database.url })
  await holder.query("begin")
  await holder.query("lock table products in exclusive mode")
  expect(await failing(impatient.get(Commands).createMany(batch([item("a")])))).toMatchObject({ _tag: "TooContended" })
  await holder.query("rollback")
  expect(await leases(impatient)).toBe(0)
})

test("an item that cannot be held, as the kind judges it, has its faults, by pointers into the item, also when it is repeated", async () => {
  const faults = [{ pointer: "#/stock", detail: "is too few" }]
  const strict = { ...product, decide: (command: string, input: State, state: State | null, world: World) => input["stock"] === 0 ? invalid(faults) : product.decide(command, input, state, world) }
  const request = { ...batch([item("a"), { input: creating({ stock: 0 }).input }, { fault: "no name" }], { key: keyOf("k") }), kind: strict }
  const results = [{ status: 201, id: expect.any(String) }, { status: 422, faults }, { status: 422, fault: "no name" }]
  const first = await run(commands.createMany(request))
  expect(first).toMatchObject({ results, replayed: false })
  expect(await run(commands.createMany(request))).toMatchObject({ results: first.results, replayed: true })
  expect(await database.query("select 1 from products")).toHaveLength(1)
  expect(await leases()).toBe(0)
})

test("an item is decided with the scopes of who sent it, under the id that it is given, and finds nobody else", async () => {
  const worlds: World[] = []
  const curious = { ...product, decide: (command: string, input: State, state: State | null, world: World) => {
    worlds.push(world)
    return product.decide(command, input, state, world)
  } }
  const { results } = await run(commands.createMany({ ...batch([item("a")]), kind: curious, granted: (scope: string) => scope === "catalog:import" }))
  expect(results).toEqual([{ status: 201, id: worlds[0]!.id }])
  expect([worlds[0]!.granted("catalog:import"), worlds[0]!.granted("other"), worlds[0]!.find(product, worlds[0]!.id)]).toEqual([true, false, undefined])
})

describe("of persons", () => {
  const person = (email: string): Item<string> => ({ input: registering({ email }).input })
  const persons = (items: readonly Item<string>[], more = {}) => ({ ...batch(items, more), kind: customer, command: "RegisterCustomer" })
  const subjects = async () => (await database.query("select subject from subject_keys order by subject")).map(({ subject }) => subject)
  const people = async () => (await database.query("select id from customers order by id")).map(({ id }) => id)

  test("each who is registered has a key, and who is not has none", async () => {
    const { results } = await run(commands.createMany(persons([person("ada@example.org"), person("ADA@example.org "), person("grace@example.org"), { fault: "no name" }])))
    expect(results).toEqual([{ status: 201, id: expect.any(String) }, { status: 409, problem: "email-taken" }, { status: 201, id: expect.any(String) }, { status: 422, fault: "no name" }])
    expect(await subjects()).toEqual(await people())
    expect(await people()).toHaveLength(2)
  })

  test("a repetition makes no keys, also of one that comes while the first is under way", async () => {
    const request = persons([person("ada@example.org")], { key: keyOf("k") }), gate = await database.connect()
    await gate.query("begin")
    await gate.query("lock table customers in exclusive mode")
    const both = [run(commands.createMany(request)), run(commands.createMany(request))]
    await eventually(async () => (await database.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).length === 2)
    await gate.query("commit")
    expect((await Promise.all(both)).map(({ replayed }) => replayed).sort()).toEqual([false, true])
    expect((await run(commands.createMany(request))).replayed).toBe(true)
    expect(await subjects()).toEqual(await people())
  })

  test("that fails gives its keys back, but not where its outcome is unknown", async () => {
    const gate = await database.connect(), impatient = await openServices({ database: database.url })
    const waiting = "pid in (select pid from pg_stat_activity where datname = current_database()) and not granted"
    await gate.query("begin")
    await gate.query("lock table customers in exclusive mode")
    expect(await failing(impatient.get(Commands).createMany(persons([person("ada@example.org")])))).toMatchObject({ _tag: "TooContended" })
    expect(await subjects()).toEqual([])
    const unknown = failing(commands.createMany(persons([person("ada@example.org")])))
    await eventually(async () => (await database.query(`select pg_terminate_backend(pid) from pg_locks where ${waiting}`)).length === 1)
    expect(await unknown).toMatchObject({ _tag: "UnknownOutcome" })
    expect(await subjects()).toHaveLength(1)
    await gate.query("rollback")
    expect([await leases(impatient), await leases()]).toEqual([0, 0])
  })
})
