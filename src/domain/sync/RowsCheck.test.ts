import { randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { cause, creating, freshDatabase, openServices, renaming, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Commands } from "../Commands.ts"
import { Erasure } from "../erasure/Erasure.ts"
import type { Kind, State } from "../Kind.ts"
import { customer } from "../kinds/customer.ts"
import { kinds } from "../kinds/kinds.ts"
import { order } from "../kinds/order.ts"
import { product } from "../kinds/product.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { RowsCheck } from "./RowsCheck.ts"
import type { Difference } from "./RowsCheck.ts"

const address = { name: "Grace Höpper", line1: "Lindenstraße 1", city: "Köln", country: "Deutschland" }
const asked = (kind: Kind, command: string, input: State) => ({ kind, command, input, versions: null, key: null, cause, granted: () => true })

/** What the check says of all kinds, or of one. */
const differences = async (services: Services, of: readonly Kind[] = kinds, over: Layer.Layer<never> | Layer.Layer<Ledger> = Layer.empty) => {
  const found: Difference[] = []
  let compared = 0
  const layer = RowsCheck.layer.pipe(Layer.provide(over), Layer.provide(Layer.succeedContext(services.context)))
  await run(Effect.forEach(of, (kind) => Effect.flatMap(RowsCheck, (rows) => rows.check(kind, (page) => {
    compared += page.compared
    found.push(...page.differences)
  }))).pipe(Effect.provide(layer)) as Effect.Effect<unknown, unknown>)
  return { compared, found }
}

const opened = async () => {
  const database = await freshDatabase()
  const services = await openServices({ database: database.url })
  const commands = services.get(Commands)
  const create = async (kind: Kind, command: string, input: State) => (await run(commands.create(asked(kind, command, input)))).id
  const change = (kind: Kind, command: string, id: string, input: State) => run(commands.change({ ...asked(kind, command, input), id }))
  const person = () => create(customer, "RegisterCustomer", { name: "Ada", email: `${randomUUID()}@example.org`, phone: "+49 30 123456", address: null, marketingConsent: false })
  const lamp = () => create(product, "CreateProduct", creating().input)
  return { database, services, create, change, person, lamp }
}

/** All three kinds, changed and deleted, and a person who was erased, with orders. */
const lived = async () => {
  const all = await opened(), { create, change, person, lamp, services } = all
  const [ada, grace, one, two] = [await person(), await person(), await lamp(), await lamp()]
  const place = (customerId: string, productId: string) =>
    create(order, "PlaceOrder", { customerId, lines: [{ productId, quantity: 2, unitPrice: null }], shippingAddress: address })
  const [shipped, cancelled, erased] = [await place(ada, one), await place(ada, two), await place(grace, one)]
  await change(order, "PayOrder", shipped, { reference: "pay-1" })
  await change(order, "ShipOrder", shipped, { carrier: "DHL", trackingNumber: "1" })
  await change(order, "CancelOrder", cancelled, { reason: "changed their mind" })
  await change(customer, "ChangeCustomer", ada, { phone: null, marketingConsent: true })
  await change(product, "ChangeProduct", one, { description: "bright", price: { currency: "EUR", amount: 3 } })
  await change(product, "DeleteProduct", two, {})
  await run(services.get(Erasure).erase({ ...asked(customer, "EraseCustomer", {}), id: grace }))
  return { ...all, ada, grace, one, two, shipped, cancelled, erased }
}

test("rows of every kind are what their events make: changed, deleted, cancelled and erased", async () => {
  const { services } = await lived()
  expect(await differences(services)).toEqual({ compared: 7, found: [] })
})

test("a row that was changed by hand is found, with the names of its fields and no values", async () => {
  const { services, database, ada, one, two, shipped } = await lived()
  await database.query("update products set stock = stock + 1, price_amount = price_amount + 1 where id = $1", [one])
  await database.query("update products set deleted_at = null where id = $1", [two])
  await database.query("update orders set status = 'delivered', event_seq = event_seq + 1 where id = $1", [shipped])
  await database.query("update customers set marketing_consent = false, updated_at_ns = updated_at_ns + 1 where id = $1", [ada])
  expect((await differences(services)).found.sort((a, b) => a.kind.localeCompare(b.kind) || a.fields.length - b.fields.length)).toEqual([
    { kind: "customer", id: ada, fields: ["updatedAtNs", "marketingConsent"] },
    { kind: "order", id: shipped, fields: ["sequence", "status"] },
    { kind: "product", id: two, fields: ["deleted"] },
    { kind: "product", id: one, fields: ["price", "stock"] }
  ])
  expect((await differences(services, [order])).found).toHaveLength(1)
})

test("a digest or a blind index that was changed is found", async () => {
  const { services, database, ada } = await lived()
  await database.query("update customers set email_hash = repeat('0', 64), email_index = repeat('1', 64) where id = $1", [ada])
  expect((await differences(services)).found).toEqual([{ kind: "customer", id: ada, fields: ["emailHash", "emailIndex"] }])
})

test("personal data that cannot be opened are found: altered in row and event, or of a living person without a key", async () => {
  const { services, database, person, ada } = await lived()
  const altered = await person()
  await database.query("update customers set personal = repeat('A', 100), marketing_consent = true where id = $1", [altered])
  await database.query("update outbox set data = jsonb_set(data::jsonb, '{personal}', to_jsonb(repeat('A', 100)))::json where entity_id = $1", [altered])
  await database.query("delete from subject_keys where subject = $1", [ada])
  // Keys that this process has unwrapped it may keep for a minute.
  const other = await openServices({ database: database.url })
  expect(services.database).toBe(other.database)
  expect((await differences(other)).found).toEqual([{ kind: "customer", id: ada, fields: ["personal"] }, { kind: "customer", id: altered, fields: ["marketingConsent", "personal"] }])
})

test.each([
  ["the first", "version_id = 1"],
  ["one in between", "version_id = 2"],
  ["the last", "version_id = 3"],
  ["every", "true"]
])("%s event that was removed by hand is found", async (_, which) => {
  const { services, database, shipped } = await lived()
  await database.query(`delete from outbox where entity_id = $1 and ${which}`, [shipped])
  expect((await differences(services)).found).toEqual([{ kind: "order", id: shipped, fields: ["events"] }])
})

test.each([
  ["of an unknown type", "update outbox set type = 'OrderLost' where entity_id = $1 and version_id = 2"],
  ["that comes twice", "insert into outbox select * from outbox where entity_id = $1 and version_id = 2"],
  ["out of the order of positions", "update outbox set seq = 0, xid = '3' where entity_id = $1 and version_id = 2"]
])("an event %s is found", async (_, statement) => {
  const { services, database, shipped } = await lived()
  await database.query(statement, [shipped])
  expect((await differences(services)).found).toEqual([{ kind: "order", id: shipped, fields: ["events"] }])
})

test("a row that was removed, and one that was put back to an older version, are found", async () => {
  const { services, database, one, shipped } = await lived()
  const before = await database.query("select o.seq, (extract(epoch from o.recorded_at) * 1000000)::bigint * 1000 as ns from outbox o where entity_id = $1 and version_id = 2", [shipped])
  await database.query("update orders set version_id = 2, status = 'paid', shipment = null, event_seq = $2, updated_at_ns = $3 where id = $1", [shipped, before[0].seq, before[0].ns])
  await database.query("delete from products where id = $1", [one])
  expect((await differences(services)).found).toEqual([{ kind: "product", id: one, fields: ["row"] }, { kind: "order", id: shipped, fields: ["version"] }])
})

/** The ledger, with something that happens right after rows were read: the first time, or every time. */
const interrupted = (services: Services, happens: () => Promise<unknown>, everyTime = false) => {
  const ledger = services.get(Ledger)
  let done = false
  return Layer.succeed(Ledger, Ledger.of({
    ...ledger,
    rows: (kind, ids) => Effect.tap(ledger.rows(kind, ids), () => done ? Effect.void : Effect.promise(async () => {
      done = !everyTime
      await happens()
    }))
  }))
}

test("an entity that is changed again and again while it is compared does not count as different, and does not stop the check", async () => {
  const { services, one } = await lived()
  const changing = interrupted(services, () => run(services.get(Commands).change(renaming(one, randomUUID()))), true)
  expect(await differences(services, [product], changing)).toEqual({ compared: 2, found: [] })
})

test("a person who is erased while being compared does not count as different", async () => {
  const { services, database, ada } = await lived()
  // Its keys are not at hand.
  const other = await openServices({ database: database.url })
  const erasing = interrupted(other, () => run(services.get(Erasure).erase({ ...asked(customer, "EraseCustomer", {}), id: ada })))
  expect(await differences(other, [customer], erasing)).toEqual({ compared: 2, found: [] })
})

test("an entity that differs is found although it is changed while it is compared", async () => {
  const { services, database, one } = await lived()
  await database.query("update products set stock = stock + 1 where id = $1", [one])
  const changing = interrupted(services, () => run(services.get(Commands).change(renaming(one, "Newer"))))
  expect((await differences(services, [product], changing)).found).toEqual([{ kind: "product", id: one, fields: ["stock"] }])
})

test("more entities than a page and more events than a piece are compared, each once", async () => {
  const { services, change, lamp } = await opened()
  for (let n = 0; n < 202; n++) await lamp()
  const id = await lamp()
  for (let n = 0; n < 1_003; n++) await change(product, "AdjustStock", id, { delta: 1, reason: null })
  expect(await differences(services)).toEqual({ compared: 203, found: [] })
})
