import { randomUUID } from "node:crypto"
import { inspect } from "node:util"
import { Redacted } from "effect"
import { beforeEach, expect, test } from "vitest"
import { failing, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { SEALED, reveal } from "../Kind.ts"
import type { AnyEvent, State } from "../Kind.ts"
import { customer } from "../kinds/customer.ts"
import { order } from "../kinds/order.ts"
import { product } from "../kinds/product.ts"
import { Keyring } from "./Keyring.ts"
import { PersonalData } from "./PersonalData.ts"
import { SubjectKeys } from "./SubjectKeys.ts"

const EMAIL = "Maria.Anders@Example.org"
const hidden = (value: unknown) => Redacted.make(value)
const registered = (more: object = {}): AnyEvent => ({
  type: "CustomerRegistered",
  data: { status: "active", marketingConsent: true, name: hidden("Maria Anders"), email: hidden(EMAIL), phone: hidden("+49 30 123"), address: hidden(null), ...more }
})
const placed = (customerId: string): AnyEvent => ({
  type: "OrderPlaced",
  data: { customerId, status: "placed", lines: [], total: { amount: 1, currency: "EUR" }, shippingAddress: hidden({ name: "Maria Anders", line1: "Obere Str. 57" }) }
})
const personalOf = (kind: typeof customer, state: State) => Object.fromEntries(Object.keys(kind.personal!.fields).map((name) => [name, reveal(state[name])]))

let services: Services, personal: PersonalData["Service"], keys: SubjectKeys["Service"]
beforeEach(async () => {
  services = await openServices({ database: (await freshDatabase()).url })
  personal = services.get(PersonalData)
  keys = services.get(SubjectKeys)
})

/** A customer as the row keeps it, with the event. */
const keep = async (id = randomUUID(), event = registered()) => {
  const { event: kept, after } = await run(personal.guard(customer, id, event, null))
  return { id, event: kept, state: after! }
}

test("what a kind without personal fields decides is kept as it is, and what it keeps is opened as it is", async () => {
  const event = { type: "ProductDeleted", data: {} }, state = { sku: "a" }
  expect((await run(personal.guard(product, randomUUID(), event, null))).event).toBe(event)
  expect(await run(personal.open(product, randomUUID(), state))).toBe(state)
  expect(await run(personal.digested(product, randomUUID(), state))).toBe(state)
})

test("neither event nor state has a personal field any more: sealed they stand there, with digests in the state alone", async () => {
  const { event, state } = await keep()
  expect(Object.keys(event.data).sort()).toEqual(["marketingConsent", SEALED, "piiRef", "status"])
  expect(Object.keys(state).sort()).toEqual(Object.keys(customer.kept).sort())
  expect(`${inspect(event)} ${JSON.stringify(event)} ${JSON.stringify(state)}`).not.toMatch(/maria|anders|123/i)
  for (const name of ["emailHash", "phoneHash", "emailIndex"]) expect(state[name]).toMatch(/^[0-9a-f]{64}$/)
  expect(new Set([state["emailHash"], state["phoneHash"], state["emailIndex"]]).size).toBe(3)
})

test("opened, the personal fields are there again, and hidden from whatever prints", async () => {
  const { id, state } = await keep(), opened = await run(personal.open(customer, id, state))
  expect(personalOf(customer, opened)).toEqual({ name: "Maria Anders", email: EMAIL, phone: "+49 30 123", address: null })
  expect(`${inspect(opened)} ${JSON.stringify(opened)}`).not.toMatch(/maria anders|123/i)
})

test("two ways to write the same address have one digest and one index, by which the person is looked up; who has none has no digest", async () => {
  const one = await keep(), other = await keep(randomUUID(), registered({ email: hidden(` ${EMAIL.toLowerCase()} `), phone: hidden(null) }))
  expect(other.state["emailHash"]).toBe(one.state["emailHash"])
  expect(personal.lookup(customer, "email", EMAIL.toUpperCase())).toBe(one.state["emailIndex"])
  expect(other.state["phoneHash"]).toBeNull()
})

test("a personal field that is not given is kept as none, and of an entity that ends no digest is made", async () => {
  const { address: _, ...without } = registered().data, { id, state } = await keep(randomUUID(), { type: "CustomerRegistered", data: without })
  expect(personalOf(customer, await run(personal.open(customer, id, state)))).toMatchObject({ name: "Maria Anders", address: null })
  expect((await run(personal.guard(customer, id, { type: "CustomerErased", data: { name: hidden("Maria A.") } }, state))).after).toBeNull()
})

test("a change keeps the personal fields that it leaves alone; one of no personal field leaves what is sealed as it is", async () => {
  const { id, state } = await keep(), opened = await run(personal.open(customer, id, state))
  const renamed = await run(personal.guard(customer, id, { type: "CustomerChanged", data: { name: hidden("Maria A.") } }, opened))
  expect(personalOf(customer, await run(personal.open(customer, id, renamed.after!)))).toEqual({ name: "Maria A.", email: EMAIL, phone: "+49 30 123", address: null })
  expect([renamed.after![SEALED], renamed.after!["piiRef"]]).not.toContain(state[SEALED])
  expect(renamed.after!["piiRef"]).not.toBe(state["piiRef"])
  expect(renamed.after!["emailHash"]).toBe(state["emailHash"])
  const consented = await run(personal.guard(customer, id, { type: "CustomerChanged", data: { marketingConsent: false } }, state))
  expect(consented.after).toEqual({ ...state, marketingConsent: false })
})

test("digests are made again of a state that was folded from events; a kind that has none needs no key for it", async () => {
  const { id, event, state } = await keep()
  const folded = customer.evolve(event, null)!
  expect(folded["emailHash"]).toBeUndefined()
  expect(await run(personal.digested(customer, id, folded))).toEqual(state)
  const orders = { customerId: randomUUID(), [SEALED]: "what nobody can open" }
  expect(await run(personal.digested(order, randomUUID(), orders))).toBe(orders)
})

test("an order is sealed under the key of its customer, and scrubbed of it", async () => {
  const { id: customerId } = await keep(), id = randomUUID()
  const { after } = await run(personal.guard(order, id, placed(customerId), null))
  expect(personalOf(order, await run(personal.open(order, id, after!)))).toEqual({ shippingAddress: { name: "Maria Anders", line1: "Obere Str. 57" } })
  const scrubbed = await run(personal.guard(order, id, { type: "OrderAddressErased", data: { shippingAddress: hidden(null) } }, after))
  expect(scrubbed.event.data).toEqual({ [SEALED]: null, shippingAddressRef: null })
  expect(scrubbed.after).toMatchObject({ [SEALED]: null, shippingAddressRef: null, customerId })
  expect(personalOf(order, await run(personal.open(order, id, scrubbed.after!)))).toEqual({ shippingAddress: null })
  expect(await failing(personal.guard(order, id, placed(randomUUID()), null))).toMatchObject({ _tag: "Deleted" })
})

test("what another person's key has sealed, what was moved, and what was altered opens nothing: a fault, and no erasure", async () => {
  const [one, other] = [await keep(), await keep()]
  const sealed = Buffer.from(one.state[SEALED] as string, "base64url")
  const altered = Array.from({ length: sealed.length }, (_, at) => Buffer.from(sealed).fill(sealed[at]! ^ 1, at, at + 1).toString("base64url"))
  // Under the key of its own person, at another person's place.
  const moved = (await run(keys.find(one.id)))!.seal(Buffer.from("{}"), `customer ${other.id}`)
  for (const text of [other.state[SEALED], Buffer.from(moved).toString("base64url"), sealed.subarray(0, 20).toString("base64url"), ...altered]) {
    await expect(run(personal.open(customer, one.id, { ...one.state, [SEALED]: text }))).rejects.toThrow("the personal data of a customer cannot be opened")
  }
})

test("of a person who was erased nothing is opened, digested or kept any more", async () => {
  const { id, event, state } = await keep(), opened = await run(personal.open(customer, id, state)), ofOrder = randomUUID()
  const { after } = await run(personal.guard(order, ofOrder, placed(id), null))
  await run(keys.destroy(id))
  const asked = [
    personal.open(customer, id, state), personal.open(order, ofOrder, after!), personal.digested(customer, id, customer.evolve(event, null)!),
    personal.guard(customer, id, { type: "CustomerChanged", data: { name: hidden("Maria A.") } }, opened), personal.guard(customer, id, registered(), null), personal.guard(order, ofOrder, placed(id), null)
  ]
  for (const one of asked) expect(await failing<unknown, unknown>(one)).toMatchObject({ _tag: "Deleted" })
  // What holds nothing personal goes on: the tombstone, for one.
  expect((await run(personal.guard(customer, id, { type: "CustomerErased", data: {} }, state))).after).toBeNull()
})

test("a reference tells nothing to who has no keyring, and leads whoever has it to the entity", async () => {
  const { id, state } = await keep()
  const reference = Buffer.from(state["piiRef"] as string, "base64url")
  expect(reference.includes(id)).toBe(false)
  expect(Buffer.from(services.get(Keyring).open("reference", reference, "customer")!).toString()).toBe(`customer ${id}`)
})

test("a key that was made for nobody is taken back; a kind that has no persons has no keys to take back", async () => {
  const { id } = await keep()
  await run(personal.abandon(order, id))
  await run(personal.abandon(product, id))
  expect(await run(keys.find(id))).not.toBeNull()
  await run(personal.abandon(customer, id))
  expect(await run(keys.find(id))).toBeNull()
})
