import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { adjusting, cancelling, changing, erasing, makingCustomer, makingProduct, openLedger, placing } from "../../../test/support/ledgers.ts"
import { patient } from "../../../test/support/patient.ts"
import { indexOf } from "../../domain/Kind.ts"
import type { AnyEvent, Kind, State } from "../../domain/Kind.ts"
import { customer } from "../../domain/kinds/customer.ts"
import { kindOf, kinds } from "../../domain/kinds/kinds.ts"
import { order } from "../../domain/kinds/order.ts"
import { product } from "../../domain/kinds/product.ts"
import type { Change, Row } from "../../domain/ledger/Ledger.ts"
import { tableOf } from "./columns.ts"
import { statementsOf } from "./statements.ts"

let url: string, opened: Awaited<ReturnType<typeof openLedger>>
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
const query = async (text: string, values: unknown[] = []) => (await opened.postgres.pool.query(text, values)).rows
const commit = (change: Change) => run(opened.ledger.commit(change))
const made = async (change: Change): Promise<Row> => (await commit(change))!.row
const step = (kind: Kind, row: Row, type: string, data: State = {}) => made(changing(kind, row, { type, data }))

beforeAll(async () => {
  url = await createDatabase({ migrated: true })
  opened = await openLedger(patient(url))
})
afterAll(async () => {
  await opened.close()
  await dropDatabase(url)
})
beforeEach(() => query("truncate products, orders, customers, outbox, command_keys, sync_retry_queue"))

const HISTORY = "select kind, entity_id as id, json_agg(json_build_object('version', version_id, 'type', type, 'data', data) order by o.xid, o.seq) as events from outbox o group by kind, entity_id"
/** Digests are made with keys, not folded. */
const undigested = (kind: Kind, state: State | null) => state && Object.fromEntries(Object.entries(state).filter(([name]) =>
  kind.personal === null || !(name in kind.personal.hashes || kind.personal.lookups.some((field) => indexOf(field) === name))))

/** In the order of positions every entity's versions are 1, 2, 3 …, and its events come to its row. */
const historyIsTrue = async () => {
  const histories: { kind: string; id: string; events: (AnyEvent & { version: number })[] }[] = await query(HISTORY) as never
  for (const { kind: name, id, events } of histories) {
    const kind = kindOf(name)!, { row } = await run(opened.ledger.load(kind, id, null))
    expect(events.map(({ version }) => version)).toEqual(events.map((_, i) => i + 1))
    expect(row!.version).toBe(events.length)
    const folded = events.reduce<State | null>((state, event) => kind.evolve(event, state), null)
    expect(undigested(kind, row!.state)).toEqual(undigested(kind, folded))
  }
  return histories.length
}

test("an order and a customer come back as they were written, with their members in order, one by one and many at once", async () => {
  const person = await made(makingCustomer()), another = await made(makingCustomer()), lamp = await made(makingProduct())
  const { row: placed } = (await commit(placing(person.id, [lamp])))!
  const paid = await step(order, placed, "OrderPaid", { reference: "p-1" })
  for (const [kind, rows] of [[customer, [person, another]], [order, [paid]]] as const) {
    const found = await run(opened.ledger.rows(kind, rows.map(({ id }) => id)))
    expect(found.rows).toEqual(new Map(rows.map((row) => [row.id, row])))
    for (const row of rows) {
      const loaded = (await run(opened.ledger.load(kind, row.id, null))).row!
      expect(loaded).toEqual(row)
      expect(Object.keys(loaded.state!)).toEqual(Object.keys(kind.kept))
    }
  }
  const [line] = (await run(opened.ledger.load(order, paid.id, null))).row!.state!["lines"] as [object]
  expect(JSON.stringify(line)).toBe(JSON.stringify((placed.state!["lines"] as [object])[0]))
})

test("every event of every kind, folded, comes to the row that it left", async () => {
  const person = await made(makingCustomer()), lamp = await made(makingProduct())
  const first = (await commit(placing(person.id, [lamp])))!
  let row = await step(order, first.row, "OrderPaid", { reference: "p" })
  row = await step(order, row, "OrderShipped", { carrier: "c", trackingNumber: "t" })
  row = await step(order, row, "OrderDelivered")
  const second = (await commit(placing(person.id, [first.also[0]!.row])))!
  await commit(cancelling(second.row, [second.also[0]!.row]))
  const third = await made(placing(person.id, [], { also: [] }))
  let changed = await step(customer, person, "CustomerChanged", { marketingConsent: false })
  changed = await step(customer, changed, "CustomerChanged", { personal: "sealed anew", piiRef: randomUUID() })
  expect(await historyIsTrue()).toBe(5)
  await commit(erasing(changed))
  const scrubbed = await step(order, third, "OrderAddressErased", { personal: null, shippingAddressRef: null })
  expect(scrubbed.state).toMatchObject({ personal: null, shippingAddressRef: null, status: "placed" })
  expect(await historyIsTrue()).toBe(5)
})

test("an e-mail address belongs to one living customer, and is free again after an erasure", async () => {
  const change = makingCustomer(), person = await made(change)
  const twin: Change = { ...makingCustomer(), after: { ...makingCustomer().after, emailIndex: change.after!["emailIndex"] } }
  expect(await run(Effect.flip(opened.ledger.commit(twin)))).toMatchObject({ _tag: "Taken", field: "email" })
  const index = change.after!["emailIndex"] as string, find = (value: string) => run(opened.ledger.find(customer, indexOf("email"), value))
  expect(await find(index)).toBe(person.id)
  expect(await find("another")).toBeNull()
  await commit(erasing(person))
  expect(await find(index)).toBeNull()
  expect(await commit(twin)).not.toBeNull()
  expect(await find(index)).toBe(twin.id)
})

test("orders are listed by customer and by status, deleted ones not, in order of creation", async () => {
  const [ada, bob] = [await made(makingCustomer()), await made(makingCustomer())]
  const place = (person: Row) => made(placing(person.id, [], { also: [] }))
  const orders = [await place(ada!), await place(bob!), await place(ada!)]
  await step(order, orders[2]!, "OrderPaid", { reference: "p" })
  const list = (where: Record<string, string>) => run(opened.ledger.list(order, { after: null, limit: 10, where }))
  const [first, , third] = orders.map(({ id }) => id)
  expect(await list({ customerId: ada!.id })).toEqual([first!, third!].sort())
  expect(await list({ status: "paid" })).toEqual([third])
  expect(await list({ customerId: ada!.id, status: "placed" })).toEqual([first])
  expect(await list({ customerId: randomUUID() })).toEqual([])
  await query("update orders set deleted_at = now() where id = $1", [first])
  expect(await list({ customerId: ada!.id })).toEqual([third])
})

test("lists, look-ups and unfinished erasures are found by an index, in its order", async () => {
  await query("insert into orders (id, version_id, updated_at_ns, event_seq, customer_id, status, lines, total_amount, total_currency) select gen_random_uuid(), 1, 1, 1, gen_random_uuid(), case n % 100 when 0 then 'paid' else 'placed' end, '[]', 1, 'EUR' from generate_series(1, 5000) n")
  await query("insert into customers (id, version_id, updated_at_ns, event_seq, status, marketing_consent, email_index, deleted_at, certificate) select gen_random_uuid(), 1, 1, 1, 'active', true, n, case when n % 10 = 0 then now() end, case when n % 100 > 0 then '{}'::json end from generate_series(1, 5000) n")
  await query("analyze orders, customers")
  const plan = async (text: string) => (await query(`explain (generic_plan) ${text}`)).map((line) => line["QUERY PLAN"]).join("\n")
  const of = statementsOf(order)
  for (const [filters, index] of [[[], "orders_pkey"], [["customerId"], "orders_customer_id_key"], [["status"], "orders_status_key"], [["customerId", "status"], "orders_customer_id_key"]] as const) {
    const text = await plan(of.list(filters).text)
    expect(text).toContain(index)
    expect(text).not.toMatch(/Sort|Seq Scan/)
  }
  expect(await plan(statementsOf(customer).find("email_index").text)).toContain("Index Scan using customers_email_key")
  expect(await plan("select id from customers where deleted_at is not null and certificate is null order by id")).toContain("customers_uncertified")
})

test("an erased customer's row says no more than that there was one, and keeps the certificate beside", async () => {
  const person = await made(makingCustomer()), { row } = (await commit(erasing(person)))!
  expect((await run(opened.ledger.load(customer, person.id, null))).row).toEqual(row)
  const [kept] = await query("select * from customers")
  const { id, version_id, updated_at_ns, event_seq, deleted_at, ...rest } = kept!
  expect([id, version_id, updated_at_ns, Number(event_seq), deleted_at !== null]).toEqual([person.id, "2", row.updatedAtNs, row.sequence, true])
  expect(rest).toEqual({ status: "active", marketing_consent: true, email_hash: null, phone_hash: null, pii_ref: null, email_index: null, personal: null, certificate: null })
  for (const kind of kinds) expect(Object.keys(kind.kept)).not.toContain("certificate")
})

// Sixteen at once over eight products: in any order, with single changes, cancellations and an erasure in between.
test("among many who change many at once positions are in the order of versions for each, and nobody waits in a circle", async () => {
  const crowd = await openLedger(patient(url), { poolMax: 16 })
  const people = await Promise.all(Array.from({ length: 4 }, () => made(makingCustomer()))).then((rows) => rows.map(({ id }) => id))
  const lamps = await Promise.all(Array.from({ length: 8 }, () => made(makingProduct()))).then((rows) => rows.map(({ id }) => id))
  const any = <A>(of: readonly A[]) => of[Math.floor(Math.random() * of.length)]!
  const shuffled = <A>(of: readonly A[]) => of.map((one) => [Math.random(), one] as const).sort(([a], [b]) => a - b).map(([, one]) => one)
  const read = async (kind: Kind, ids: readonly string[]): Promise<Row[]> => {
    const { rows } = await run(crowd.ledger.rows(kind, ids))
    return ids.map((id) => rows.get(id)!)
  }
  /** Until it is done, or there is nothing to do any more. */
  const insist = async (make: () => Promise<Change | null>) => {
    for (;;) {
      const change = await make()
      if (change === null) return null
      const done = await run(crowd.ledger.commit(change))
      if (done !== null) return done
    }
  }
  const open: string[] = []
  let sold = 0
  const steps: (() => Promise<unknown>)[] = [
    async () => {
      const person = any(people), ids = shuffled(lamps).slice(0, 3)
      const placed = await insist(async () => (await read(customer, [person]))[0]!.state === null ? null : placing(person, await read(product, ids)))
      if (placed === null) return
      sold += 3
      open.push(placed.row.id)
    },
    async () => {
      const id = open.pop()
      if (id === undefined) return
      const [placed] = await read(order, [id]), ids = shuffled((placed!.state!["lines"] as { productId: string }[]).map(({ productId }) => productId))
      await insist(async () => cancelling(placed!, await read(product, ids)))
      sold -= 3
    },
    async () => {
      const id = any(lamps)
      await insist(async () => adjusting((await read(product, [id]))[0]!, -1))
      sold += 1
    },
    async () => {
      const id = any(people)
      await insist(async () => {
        const [row] = await read(customer, [id])
        return row!.state === null ? null : changing(customer, row!, { type: "CustomerChanged", data: { marketingConsent: Math.random() > 0.5 } })
      })
    }
  ]
  const writer = async (which: number) => {
    for (let i = 0; i < 15; i++) {
      await any([...steps, steps[0]!, steps[0]!])()
      if (which === 0 && i === 7) await insist(async () => {
        const [row] = await read(customer, [people[0]!])
        return erasing(row!)
      })
    }
  }
  // Who is in a deadlock looks again; the server counts them when its sessions end.
  await Promise.all(Array.from({ length: 16 }, (_, which) => writer(which)))
  await crowd.close()
  expect(await query("select deadlocks::integer from pg_stat_database where datname = current_database()")).toEqual([{ deadlocks: 0 }])
  await historyIsTrue()
  const [stock] = await query(`select sum(stock)::integer as n from ${tableOf(product)}`)
  expect(stock!["n"]).toBe(8_000_000 - sold)
  // No order was placed for the erased person after the erasure.
  const [late] = await query("select count(*)::integer as n from orders r join customers c on c.id = r.customer_id and c.deleted_at is not null join outbox o on o.kind = 'order' and o.entity_id = r.id and o.version_id = 1 where o.seq > c.event_seq")
  expect(late!["n"]).toBe(0)
})

// The last one: the one before counts the deadlocks of this database.
test("a commit that was taken out of a circle of those who wait for each other did nothing and looks again, also where it is alone: its transaction goes on", async () => {
  const [ada, bob] = [await made(makingCustomer()), await made(makingCustomer())]
  const change = changing(customer, ada!, { type: "CustomerChanged", data: { marketingConsent: false } })
  const wanting = { ...change, after: { ...change.after!, emailIndex: bob!.state!["emailIndex"]! } }
  const other = await opened.postgres.pool.connect()
  // Of the two who wait only the ledger looks for circles; what it waits for, it waits for last.
  for (const text of ["set deadlock_timeout = '1min'", "set lock_timeout = 0", "begin"]) await other.query(text)
  await other.query("update customers set email_index = 'given up' where id = $1", [bob!.id])
  const lock = { name: "a lock", text: "select pg_advisory_xact_lock(7777)" }
  const waits = async () => (await query("select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())")).length === 1
  let waiting: Promise<unknown> = Promise.resolve()
  const attempt = Effect.gen(function*() {
    yield* opened.postgres.read(lock, [])
    waiting = other.query(lock.text)
    yield* Effect.promise(() => eventually(waits, { within: 10_000 }))
    return [yield* opened.ledger.commit(wanting), (yield* opened.ledger.load(customer, ada!.id, null)).row]
  })
  expect(await run(opened.ledger.alone([{ kind: customer, id: ada!.id }], attempt))).toEqual([null, ada])
  await waiting
  await other.query("commit")
  other.release(true)
  expect(await commit(wanting)).toMatchObject({ row: { version: 2 } })
})
