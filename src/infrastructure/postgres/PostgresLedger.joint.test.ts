import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { adjusting, cancelling, changing, erasing, makingCustomer, makingProduct, newKey, openLedger, other, placing } from "../../../test/support/ledgers.ts"
import { patient } from "../../../test/support/patient.ts"
import type { Kind } from "../../domain/Kind.ts"
import { customer } from "../../domain/kinds/customer.ts"
import { order } from "../../domain/kinds/order.ts"
import { product, stockReserved } from "../../domain/kinds/product.ts"
import type { Change, Row } from "../../domain/ledger/Ledger.ts"
import { jointCommits } from "./jointCommit.ts"

let url: string, opened: Awaited<ReturnType<typeof openLedger>>
const undo: (() => unknown)[] = []
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
const query = async (text: string, values: unknown[] = []) => (await opened.postgres.pool.query(text, values)).rows
const commit = (change: Change) => run(opened.ledger.commit(change))
const made = async (change: Change): Promise<Row> => (await commit(change))!.row
const current = async (kind: Kind, id: string): Promise<Row> => (await run(opened.ledger.load(kind, id, null))).row!

beforeAll(async () => {
  url = await createDatabase({ migrated: true })
  opened = await openLedger(patient(url))
})
afterAll(async () => {
  await opened.close()
  await dropDatabase(url)
})
beforeEach(() => query("truncate products, orders, customers, outbox, command_keys, sync_retry_queue"))
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

/** A session that is in the middle of a transaction. */
const holding = async (text: string, values: unknown[]) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  undo.push(() => client.end())
  await client.query("begin")
  await client.query(text, values)
  return client
}
const WAITING = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
const somebodyWaits = () => eventually(async () => (await query(WAITING)).length === 1, { within: 20_000 })

const shop = async (count = 3) => {
  const [person, ...products] = [await made(makingCustomer()), ...await Promise.all(Array.from({ length: count }, () => made(makingProduct())))]
  return { person, products }
}
const everything = async () => ({
  products: await query("select * from products order by id"),
  orders: await query("select * from orders order by id"),
  customers: await query("select * from customers order by id"),
  outbox: await query("select * from outbox order by kind, entity_id, version_id"),
  keys: await query("select * from command_keys"),
  queue: await query("select * from sync_retry_queue")
})

test("an order and its products move in one transaction, each with its event", async () => {
  const { person, products } = await shop()
  const change = placing(person.id, products), committed = (await commit(change))!
  expect(committed.row).toMatchObject({ id: change.id, version: 1, state: change.after })
  expect(committed.also.map(({ kind, row }) => [kind.name, row.id, row.version, row.state!["stock"]])).toEqual(products.map(({ id }) => ["product", id, 2, 999_999]))
  for (const { kind, row } of [{ kind: order, row: committed.row }, ...committed.also]) expect(await current(kind, row.id)).toEqual(row)
  const events = await query("select kind, entity_id, version_id::integer as version, type, seq::integer, data, partition from outbox where xid = $1", [String(committed.transaction)])
  expect(events).toHaveLength(4)
  for (const { kind, row } of committed.also) {
    expect(events.find(({ entity_id }) => entity_id === row.id)).toMatchObject({ kind: kind.name, version: 2, type: "StockReserved", seq: row.sequence, data: { quantity: 1, order: change.id } })
  }
  expect(events.find(({ kind }) => kind === "order")).toMatchObject({ entity_id: change.id, version: 1, type: "OrderPlaced", seq: committed.row.sequence, data: change.event.data })
  // The partition is the id's own, in one event as in many.
  const before = await query("select entity_id, partition from outbox where version_id = 1 and kind = 'product'")
  for (const { entity_id, partition } of before) expect(events.find((event) => event["entity_id"] === entity_id)!["partition"]).toBe(partition)
  expect(await query("select from sync_retry_queue")).toEqual([])
  expect((await current(customer, person.id)).version).toBe(1)
})

test("a cancelled order gives its stock back, and another entity can be deleted with it", async () => {
  const { person, products } = await shop(2)
  const placed = (await commit(placing(person.id, products)))!
  const [a, b] = placed.also.map(({ row }) => row)
  const change = cancelling(placed.row, [a!])
  const cancelled = (await commit({ ...change, also: [...change.also, other(product, b!, { type: "ProductDeleted", data: {} })] }))!
  expect(cancelled.row).toMatchObject({ version: 2, state: { status: "cancelled" } })
  expect(cancelled.also.map(({ row }) => [row.version, row.state?.["stock"]])).toEqual([[3, 1_000_000], [3, undefined]])
  expect(await current(product, b!.id)).toEqual(cancelled.also[1]!.row)
  expect(await query("select sku, stock::integer from products where id = $1", [b!.id])).toEqual([{ sku: b!.state!["sku"], stock: 999_999 }])
})

test("a person who is changed, or changed and held, is changed once, and loses with a deletion what stands for personal data", async () => {
  const { person, products: [lamp] } = await shop(1)
  const change: Change = { ...adjusting(lamp!, -1), also: [other(customer, person, { type: "CustomerErased", data: {} })], holds: [{ kind: customer, id: person.id }, { kind: product, id: lamp!.id }] }
  expect((await commit(change))!.also[0]!.row).toMatchObject({ version: 2, state: null })
  expect(await query("select email_hash, phone_hash, pii_ref, email_index, personal, marketing_consent, certificate, deleted_at is null as living from customers")).toEqual([
    { email_hash: null, phone_hash: null, pii_ref: null, email_index: null, personal: null, marketing_consent: true, certificate: null, living: false }
  ])
})

test("what is held because it is changed as well must be at its version all the same", async () => {
  const [lamp, lantern] = (await shop(2)).products
  await commit(adjusting(lantern!, 1))
  const change = { ...adjusting(lamp!, -1), also: [other(product, lantern!, stockReserved({ quantity: 1, order: randomUUID() }))] }
  expect(await commit({ ...change, holds: [{ kind: product, id: lantern!.id }] })).toBeNull()
})

const moved: [string, (shop: { person: Row; products: readonly Row[]; placed: Row }) => Promise<unknown>, "place" | "cancel"][] = [
  ["a product that was changed", ({ products }) => commit(adjusting(products[1]!, 1)), "place"],
  ["a product that was deleted", ({ products }) => commit(changing(product, products[2]!, { type: "ProductDeleted", data: {} })), "place"],
  ["a customer who was erased", ({ person }) => commit(erasing(person)), "place"],
  ["a customer who never was", () => query("delete from customers"), "place"],
  ["an order that was paid", ({ placed }) => commit(changing(order, placed, { type: "OrderPaid", data: { reference: "p" } })), "cancel"],
  ["a product that was changed while its order was cancelled", ({ products }) => commit(adjusting(products[0]!, 1)), "cancel"]
]
test.each(moved)("%s: nothing at all is changed", async (_, move, what) => {
  const { person, products } = await shop()
  const { row: placed, also } = (await commit(placing(person.id, products)))!, rows = also.map(({ row }) => row)
  await move({ person, products: rows, placed })
  const before = await everything(), doomed = { key: newKey(), owed: true }
  expect(await commit(what === "place" ? placing(person.id, rows, doomed) : cancelling(placed, rows, doomed))).toBeNull()
  expect(await commit(what === "place" ? placing(person.id, rows) : cancelling(placed, rows))).toBeNull()
  expect(await everything()).toEqual(before)
})

test("a customer who is erased while an order waits for them gets no order", async () => {
  const { person, products } = await shop()
  const client = await holding("update customers set deleted_at = now(), version_id = 2 where id = $1", [person.id])
  const waiting = commit(placing(person.id, products, { key: newKey() }))
  await somebodyWaits()
  await client.query("commit")
  expect(await waiting).toBeNull()
  expect(await query("select from orders")).toEqual([])
  expect(await query("select from command_keys")).toEqual([])
})

test("a customer who is only changed while an order waits for them gets it", async () => {
  const { person, products } = await shop()
  const client = await holding("update customers set version_id = 2 where id = $1", [person.id])
  const waiting = commit(placing(person.id, products))
  await somebodyWaits()
  await client.query("commit")
  expect(await waiting).not.toBeNull()
})

test("an erasure waits for the orders that hold its person, and orders do not wait for each other for that", async () => {
  const { person, products: [a, b] } = await shop(2)
  let hold = () => {}, finish = () => {}
  // Its transaction is open, and its statement done.
  const holds = new Promise<void>((resolve) => void (hold = resolve)), pause = new Promise<void>((resolve) => void (finish = resolve))
  const open = run(opened.ledger.alone([], Effect.tap(opened.ledger.commit(placing(person.id, [a!])), Effect.promise(() => {
    hold()
    return pause
  }))))
  await Promise.race([holds, open])
  expect(await commit(placing(person.id, [b!]))).not.toBeNull()
  const erasure = commit(erasing(person))
  await somebodyWaits()
  finish()
  const ordered = await open, erased = await erasure
  expect(erased!.row.state).toBeNull()
  expect(erased!.row.sequence).toBeGreaterThan(ordered!.row.sequence)
})

// A token names the smallest sequence of its events: what another drew meanwhile for one of these rows must be below it.
test("no sequence is drawn before all rows are locked", async () => {
  const { person, products } = await shop()
  const last = [...products].sort((a, b) => a.id < b.id ? 1 : -1)[0]!
  const client = await holding("select from products where id = $1 for update", [last.id])
  const waiting = commit(placing(person.id, products, { key: newKey() }))
  await somebodyWaits()
  const [drawn] = await query("select last_value::integer as sequence from outbox_seq")
  expect(drawn!["sequence"]).toBe(Math.max(person.sequence, ...products.map(({ sequence }) => sequence)))
  await client.query("commit")
  const { row, also } = (await waiting)!
  for (const { sequence } of [row, ...also.map(({ row }) => row)]) expect(sequence).toBeGreaterThan(drawn!["sequence"])
})

test("one key sent ten times at once places one order and takes the stock once", async () => {
  const { person, products } = await shop(), key = newKey()
  const outcomes = await Promise.all(Array.from({ length: 10 }, () => commit(placing(person.id, products, { key }))))
  const [placed, ...more] = outcomes.filter((outcome) => outcome !== null)
  expect(more).toEqual([])
  expect(await query("select id from orders")).toEqual([{ id: placed!.row.id }])
  expect((await run(opened.ledger.load(order, null, key))).kept).toMatchObject({ status: 201, id: placed!.row.id, version: 1, items: null })
  const rows = placed!.also.map(({ row }) => row), again = newKey()
  expect((await Promise.all([1, 2].map(() => commit(cancelling(placed!.row, rows, { key: again }))))).filter((outcome) => outcome !== null)).toHaveLength(1)
  expect((await run(opened.ledger.load(order, placed!.row.id, again))).kept).toMatchObject({ status: 200, id: placed!.row.id, version: 2 })
})

test("a key that was used changes nothing more, though every version is right", async () => {
  const { person, products } = await shop(), key = newKey()
  await commit(adjusting((await shop(1)).products[0]!, 1))
  await commit({ ...makingProduct(), key })
  const before = await everything()
  expect(await commit(placing(person.id, products, { key, owed: true }))).toBeNull()
  expect(await everything()).toEqual(before)
})

test("an id that is taken undoes all of it", async () => {
  const { person, products } = await shop()
  const placed = (await commit(placing(person.id, products)))!, before = await everything()
  const twin = placing(person.id, placed.also.map(({ row }) => row), { id: placed.row.id, key: newKey() })
  expect(await run(Effect.flip(opened.ledger.commit(twin)))).toMatchObject({ _tag: "Taken" })
  expect(await everything()).toEqual(before)
})

test("the cache is owed every one of them", async () => {
  const { person, products } = await shop()
  const { row, also } = (await commit(placing(person.id, products, { owed: true })))!
  const owed = () => query("select kind, entity_id as id, version_id::integer as version from sync_retry_queue order by kind, entity_id")
  const ids = products.map(({ id }) => id).sort()
  expect(await owed()).toEqual([{ kind: "order", id: row.id, version: 1 }, ...ids.map((id) => ({ kind: "product", id, version: 2 }))])
  await commit(cancelling(row, also.map(({ row }) => row), { owed: true }))
  expect(await owed()).toEqual([{ kind: "order", id: row.id, version: 2 }, ...ids.map((id) => ({ kind: "product", id, version: 3 }))])
})

test("an order takes a thousand products, and gives them back", async () => {
  const { person } = await shop(0), items = Array.from({ length: 1_000 }, () => makingProduct())
  const products = (await run(opened.ledger.commitBatch({
    kind: product, items: items.map(({ id, event, after }) => ({ id, event, state: after! })), ids: [], key: null, cause: items[0]!.cause, owed: false
  })))!.map(({ row }) => row)
  const placed = (await commit(placing(person.id, products, { key: newKey(), owed: true })))!
  expect(placed.also.map(({ row }) => row.id)).toEqual(products.map(({ id }) => id))
  const cancelled = (await commit(cancelling(placed.row, placed.also.map(({ row }) => row), { owed: true })))!
  expect(new Set(cancelled.also.map(({ row }) => `${row.version} ${row.state!["stock"]}`))).toEqual(new Set(["3 1000000"]))
  expect((await query("select count(*)::integer as n from products where version_id = 3 and stock = 1000000"))[0]).toEqual({ n: 1_000 })
  expect((await query("select count(*)::integer as n, count(distinct owed)::integer as owed from sync_retry_queue"))[0]).toEqual({ n: 1_001, owed: 1_001 })
})

test("the rows are found by their keys, whatever the number of items, and not planned anew", async () => {
  const { person, products } = await shop()
  await query("insert into products (id, version_id, updated_at_ns, event_seq, sku, name, price_amount, price_currency, stock, status) select gen_random_uuid(), 1, 1, 1, n, 'n', 1, 'EUR', 1, 'active' from generate_series(1, 3000) n")
  await query("insert into customers (id, version_id, updated_at_ns, event_seq, status, marketing_consent) select gen_random_uuid(), 1, 1, 1, 'active', true from generate_series(1, 3000)")
  await query("insert into orders (id, version_id, updated_at_ns, event_seq, customer_id, status, lines, total_amount, total_currency) select gen_random_uuid(), 1, 1, 1, gen_random_uuid(), 'placed', '[]', 1, 'EUR' from generate_series(1, 3000)")
  await query("analyze products, customers, orders")
  const placed = (await commit(placing(person.id, products)))!
  const change = cancelling(placed.row, placed.also.map(({ row }) => row), { holds: [{ kind: customer, id: person.id }] })
  const { statement } = jointCommits(() => 0)(change, [])
  const plan = (await query(`explain (generic_plan) ${statement.text}`)).map((line) => line["QUERY PLAN"]).join("\n")
  for (const table of ["products", "customers", "orders"]) {
    expect(plan).toContain(`Index Scan using ${table}_pkey on ${table}`)
    expect(plan).not.toContain(`Seq Scan on ${table}`)
  }
  // Of the first five executions Postgres makes plans for their values, and then one for all, if those were no better.
  const alone = await openLedger(url, { poolMax: 1 })
  undo.push(alone.close)
  let rows = placed.also.map(({ row }) => row)
  for (let i = 0; i < 8; i++) rows = (await run(alone.ledger.commit(placing(person.id, rows))))!.also.map(({ row }) => row)
  const { rows: plans } = await alone.postgres.pool.query("select generic_plans::integer as one, custom_plans::integer as many from pg_prepared_statements where name like 'joint %'")
  expect(plans).toEqual([{ one: 3, many: 5 }])
})

test("a statement is named for what it does: one shape has one name in every process, and another shape another", async () => {
  const { person, products } = await shop(), placed = (await commit(placing(person.id, products)))!.row
  const one = jointCommits(() => 0), two = jointCommits(() => 1)
  const shapes = [
    placing(person.id, products), placing(person.id, products, { key: newKey() }), placing(person.id, products, { also: [] }), placing(person.id, products, { holds: [] }),
    cancelling(placed, products), cancelling(placed, products, { key: newKey() })
  ]
  const names = shapes.map((change) => one(change, []).statement.name)
  expect(new Set(names).size).toBe(shapes.length)
  expect([...shapes].reverse().map((change) => two(change, []).statement.name).reverse()).toEqual(names)
  expect(one(placing(person.id, products.slice(1)), []).statement.name).toBe(names[0])
  for (const name of names) expect(Buffer.byteLength(name)).toBeLessThan(64)
})

// Otherwise two who need the same rows could each have what the other waits for.
test.each([
  ["of two products the one with the smaller id", () => shop(2).then(({ products }) => products.sort((a, b) => a.id < b.id ? -1 : 1).map((row) => ({ kind: product, row })))],
  ["a customer before a product", () => shop(1).then(({ person, products }) => [{ kind: customer, row: person }, { kind: product, row: products[0]! }])]
])("%s is locked first, whatever part it has", async (_, make) => {
  const both = await make(), [first, second] = both
  const event = (kind: Kind) => kind === product ? stockReserved({ quantity: 1, order: randomUUID() }) : { type: "CustomerChanged", data: { marketingConsent: false } }
  for (const [own, also] of [both, [...both].reverse()]) {
    const client = await holding(`select from ${first!.kind.plural} where id = $1 for update`, [first!.row.id])
    const waiting = commit(changing(own!.kind, await current(own!.kind, own!.row.id), event(own!.kind), { also: [other(also!.kind, await current(also!.kind, also!.row.id), event(also!.kind))] }))
    await somebodyWaits()
    expect(await query("select id from products where id = $1 for update nowait", [second!.row.id])).toHaveLength(1)
    await client.query("commit")
    expect(await waiting).not.toBeNull()
  }
})

test.each([
  ["two products", async () => (await shop(2)).products.map((row) => ({ kind: product, row }))],
  ["a product and a customer", async () => {
    const { person, products } = await shop(1)
    return [{ kind: product, row: products[0]! }, { kind: customer, row: person }]
  }]
])("two commits over %s in each other's roles do not wait for each other in a circle", async (_, make) => {
  const change = (kind: Kind) => kind === product
    ? stockReserved({ quantity: 1, order: randomUUID() })
    : { type: "CustomerChanged", data: { marketingConsent: false } }
  let both = await make()
  for (let i = 0; i < 40; i++) {
    const commits = await Promise.all([both, [...both].reverse()].map(([own, also]) =>
      commit(changing(own!.kind, own!.row, change(own!.kind), { also: [other(also!.kind, also!.row, change(also!.kind))] }))))
    const won = commits.find((outcome) => outcome !== null)!
    const rows = new Map([won.row, won.also[0]!.row].map((row) => [row.id, row]))
    both = both.map(({ kind, row }) => ({ kind, row: rows.get(row.id)! }))
  }
  expect(both.map(({ row }) => row.version)).toEqual([41, 41])
})

test("who is alone with many entities is so before anything is read, in any order of them, and gives out no transaction id", async () => {
  const entities = Array.from({ length: 1_000 }, () => ({ kind: product, id: randomUUID() }))
  let inside = 0
  const alone = (of: typeof entities) => run(opened.ledger.alone(of, Effect.gen(function*() {
    inside++
    const [columns] = yield* opened.postgres.read({ name: "assigned", text: "select pg_current_xact_id_if_assigned() as xid" }, [])
    expect([inside--, columns!["xid"]]).toEqual([1, null])
  })))
  await Promise.all([alone(entities), alone([...entities].reverse()), alone(entities.slice(500)), alone([entities[700]!, entities[600]!, entities[700]!])])
})
