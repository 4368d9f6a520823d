import { randomUUID } from "node:crypto"
import fc from "fast-check"
import { expect, test } from "vitest"
import { cancelling, changingCustomer, lineOf, paying, placing, registering, shipping, tombstoning } from "../../../test/support/requests.ts"
import { adjusting, behindProxy, creating, deleting, failing, freshDatabase, openServices, renaming, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Commands } from "../Commands.ts"
import type { Kind } from "../Kind.ts"
import { customer } from "../kinds/customer.ts"
import { order } from "../kinds/order.ts"
import { product } from "../kinds/product.ts"
import { PersonalData } from "../secrets/PersonalData.ts"
import { pastOf } from "./History.ts"
import { Ledger } from "./Ledger.ts"
import type { Row } from "./Ledger.ts"
import { Outbox } from "./Outbox.ts"

let services: Services, commands: Commands["Service"], ledger: Ledger["Service"]
const open = async () => {
  const database = await freshDatabase()
  services = await openServices({ database: database.url })
  commands = services.get(Commands)
  ledger = services.get(Ledger)
  return database
}

const past = (id: string, version: number, kind: Kind = product) => run(pastOf({ ledger: services.get(Ledger), outbox: services.get(Outbox) }, kind, id, version))
const rowOf = async (id: string, kind: Kind = product): Promise<Row> => (await run(ledger.rows(kind, [id]))).rows.get(id)!

test("folding an entity's events gives the row that its commands left, at every version", async () => {
  await open()
  const command = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom("Lamp", "Torch", "Candle"))
  await fc.assert(fc.asyncProperty(fc.array(command, { maxLength: 6 }), fc.boolean(), async (wanted, ends) => {
    const { id } = await run(commands.create(creating({ stock: 3 })))
    const rows = [await rowOf(id)]
    for (const one of wanted) {
      // Some change nothing, some are refused.
      await (typeof one === "number" ? run(commands.change(adjusting(id, one))).catch(() => undefined) : run(commands.change(renaming(id, one))))
      rows.push(await rowOf(id))
    }
    if (ends) {
      await run(commands.change(deleting(id)))
      rows.push(await rowOf(id))
    }
    for (const { version, state, updatedAtNs, epoch, sequence } of rows) {
      expect(await past(id, version)).toMatchObject({ id, version, state, updatedAtNs, position: { epoch, sequence } })
    }
    expect(await past(id, rows.at(-1)!.version + 1)).toBeNull()
  }), { numRuns: 15 })
})

const LETTERS = fc.constantFrom("Ada", "Grace", "Mary")

test("folding a customer's events gives the row at every version, once its digests are made again; none after the erasure", async () => {
  await open()
  const change = fc.record({ name: LETTERS, email: LETTERS, phone: fc.option(LETTERS), marketingConsent: fc.boolean(), address: fc.option(fc.record({ line1: LETTERS, city: LETTERS, country: LETTERS })) }, { requiredKeys: [] })
  await fc.assert(fc.asyncProperty(fc.array(change, { maxLength: 4 }), fc.boolean(), async (changes, ends) => {
    const email = `${randomUUID()}@example.org`
    const { id } = await run(commands.create(registering({ email })))
    const rows = [await rowOf(id, customer)]
    for (const one of changes) {
      await run(commands.change(changingCustomer(id, { ...one, ...one.email !== undefined && { email: `${one.email}.${email}` } })))
      rows.push(await rowOf(id, customer))
    }
    if (ends) {
      await run(commands.change(tombstoning(id)))
      rows.push(await rowOf(id, customer))
    }
    for (const { version, state, epoch, sequence } of rows) {
      const folded = (await past(id, version, customer))!
      expect(folded).toMatchObject({ version, position: { epoch, sequence } })
      expect(folded.state === null ? null : await run(services.get(PersonalData).digested(customer, id, folded.state))).toEqual(state)
    }
  }), { numRuns: 10 })
})

test("folding an order's events gives the row at every version, and that of a product tells what was reserved and returned", async () => {
  await open()
  const step = fc.constantFrom(paying, shipping, cancelling, (id: string) => ({ ...paying(id), command: "EraseAddress", input: {} }))
  const { id: ada } = await run(commands.create(registering())), { id: lamp } = await run(commands.create(creating({ stock: 50 })))
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 4 }), fc.integer({ min: 1, max: 3 }), async (steps, quantity) => {
    const { id } = await run(commands.create(placing(ada, [lineOf(lamp, quantity)])))
    const rows = [await rowOf(id, order)]
    for (const one of steps) {
      // Those out of turn are refused.
      await run(commands.change(one(id))).catch(() => undefined)
      rows.push(await rowOf(id, order))
    }
    for (const { version, state, epoch, sequence } of rows) expect(await past(id, version, order)).toMatchObject({ version, state, position: { epoch, sequence } })
    const { version, state } = await rowOf(lamp)
    expect((await past(lamp, version))!.state).toEqual(state)
  }), { numRuns: 10 })
})

test("an entity has no version that it never had, and nobody's entity has none", async () => {
  await open()
  const { id } = await run(commands.create(creating()))
  expect(await past(id, 0)).toBeNull()
  expect(await past(id, 2)).toBeNull()
  // However large it is: what is not there is not looked for in pieces.
  expect(await past(id, Number.MAX_SAFE_INTEGER)).toBeNull()
  expect(await past(randomUUID(), 1)).toBeNull()
})

test("a history of more than a thousand events is folded whole", async () => {
  const database = await open()
  const { id } = await run(commands.create(creating({ stock: 0 })))
  await database.query(`insert into outbox (recorded_at, epoch, seq, partition, kind, entity_id, version_id, type, data, metadata)
    select now(), (select max(epoch) from database_epochs), 1000 + v, 0, 'product', $1, v, 'StockAdjusted', '{"delta": 1, "reason": null}', '{}' from generate_series(2, 2100) v`, [id])
  expect((await past(id, 2_100))!.state).toMatchObject({ stock: 2_099 })
  expect((await past(id, 1_000))!.state).toMatchObject({ stock: 999 })
  expect((await past(id, 1_001))!.state).toMatchObject({ stock: 1_000 })
  expect(await past(id, 2_101)).toBeNull()
})

test("a history that cannot be read is unavailable, never an empty one", async () => {
  const database = await freshDatabase(), proxy = await behindProxy(database.url)
  services = await openServices({ database: proxy.to })
  const { id } = await run(services.get(Commands).create(creating()))
  await proxy.cut()
  expect(await failing(pastOf({ ledger: services.get(Ledger), outbox: services.get(Outbox) }, product, id, 1))).toMatchObject({ _tag: "DatabaseUnavailable" })
})
