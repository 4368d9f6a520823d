import { inspect } from "node:util"
import { Redacted } from "effect"
import { describe, expect, test } from "vitest"
import { check } from "../check.ts"
import { reveal, SEALED } from "../Kind.ts"
import type { State, World } from "../Kind.ts"
import { customer } from "./customer.ts"

const world: World = { id: "c-1", find: () => undefined, granted: () => false }
const address = { name: null, line1: "Lindenstraße 1", line2: null, city: "Köln", region: null, postcode: null, country: "Deutschland" }
const ada = { name: "Ada", email: "Ada@example.org", phone: "+49 30 1", address, marketingConsent: true }

/** A customer as `decide` sees them. */
const standing = (of: State = {}): State => {
  const { marketingConsent, ...personal } = { ...ada, ...of }
  return { status: "active", marketingConsent, ...Object.fromEntries(Object.entries(personal).map(([name, value]) => [name, Redacted.make(value)])) }
}
const revealed = (data: State) => Object.fromEntries(Object.entries(data).map(([name, value]) => [name, reveal(value)]))

/** What follows from what was sent, by the way that a request takes. */
const decide = (name: string, sent: State, state: State | null) => {
  const command = customer.commands[name]!, checked = check(command.input, sent)
  if ("faults" in checked) return { outcome: "unreadable" as const, pointers: checked.faults.map(({ pointer }) => pointer).sort() }
  return customer.decide(name, command.read(checked.value), state, world)
}
const eventOf = (name: string, sent: State, state: State | null = standing()) => {
  const decision = decide(name, sent, state)
  return decision.outcome === "happened" ? { type: decision.event.type, data: revealed(decision.event.data) } : decision
}

test("a customer is of tier 3: shown are a status, a consent, two digests and a reference", () => {
  expect(customer).toMatchObject({ name: "customer", plural: "customers", scope: "customers", tier: 3, filters: [], unique: { email: "email-taken" } })
  expect(customer.shown).toEqual(["status", "marketingConsent", "emailHash", "phoneHash", "piiRef"])
  expect(Object.keys(customer.kept)).toEqual([...customer.shown, "emailIndex", SEALED])
  expect(customer.personal).toMatchObject({ subject: "id", reference: "piiRef", hashes: { emailHash: "email", phoneHash: "phone" }, lookups: ["email"] })
  expect(Object.values(customer.commands).map(({ at }) => at)).toEqual(["create", "change", "erase"])
})

describe("registering", () => {
  test("makes an active customer with what was sent", () => {
    expect(eventOf("RegisterCustomer", ada, null)).toEqual({ type: "CustomerRegistered", data: { status: "active", ...ada } })
  })

  test.each<[string, State]>([["left out", {}], ["null", { phone: null, address: null }]])("phone and address that are %s are null", (_, none) => {
    const { phone: _phone, address: _address, ...needed } = ada
    expect(eventOf("RegisterCustomer", { ...needed, ...none }, null)).toEqual({ type: "CustomerRegistered", data: { status: "active", ...needed, phone: null, address: null } })
  })

  test("an address is kept whole, with null for what was not sent; its name is optional", () => {
    const sent = { country: "Deutschland", city: "Köln", line1: "Lindenstraße 1" }
    expect(eventOf("RegisterCustomer", { ...ada, address: sent }, null)).toMatchObject({ data: { address } })
    expect(eventOf("RegisterCustomer", { ...ada, address: { ...sent, name: "Grace" } }, null)).toMatchObject({ data: { address: { ...address, name: "Grace" } } })
  })

  test("an e-mail is kept as it was sent", () => {
    const email = "  ÄDA@Example.org "
    expect(eventOf("RegisterCustomer", { ...ada, email }, null)).toMatchObject({ data: { email } })
  })

  test("what is missing, wrong or unknown is named", () => {
    expect(decide("RegisterCustomer", {}, null)).toEqual({ outcome: "unreadable", pointers: ["#/email", "#/marketingConsent", "#/name"] })
    expect(decide("RegisterCustomer", { name: "", email: "ada@", phone: "", marketingConsent: "yes", address: { line1: "", street: "x" }, status: "active", piiRef: "x" }, null))
      .toEqual({ outcome: "unreadable", pointers: ["#/address/city", "#/address/country", "#/address/line1", "#/address/street", "#/email", "#/marketingConsent", "#/name", "#/phone", "#/piiRef", "#/status"] })
  })

  test("the event hides whom it is about, and evolve leaves out nothing of the rest", () => {
    const decision = decide("RegisterCustomer", ada, null)
    if (decision.outcome !== "happened") throw new Error(decision.outcome)
    for (const text of [JSON.stringify(decision), inspect(decision, { depth: 9 })]) for (const secret of ["Ada", "Linden", "+49", "Köln"]) expect(text).not.toContain(secret)
    expect(customer.evolve({ type: "CustomerRegistered", data: { status: "active", marketingConsent: true, [SEALED]: "s", piiRef: "r" } }, null))
      .toEqual({ status: "active", marketingConsent: true, [SEALED]: "s", piiRef: "r" })
  })
})

describe("changing", () => {
  test.each<[string, State]>([
    ["a name", { name: "Grace" }],
    ["a consent", { marketingConsent: false }],
    ["a phone that is taken away", { phone: null }],
    ["an address that is taken away", { address: null }],
    ["the case of an e-mail", { email: "ada@example.org" }],
    ["the spaces of a phone", { phone: "+49301" }],
    ["several", { name: "Grace", email: "grace@example.org", marketingConsent: false }]
  ])("%s: the event has the change alone", (_, wanted) => {
    expect(eventOf("ChangeCustomer", wanted)).toEqual({ type: "CustomerChanged", data: wanted })
  })

  test("among what is so already the event has only what changes", () => {
    expect(eventOf("ChangeCustomer", { ...ada, name: "Grace" })).toEqual({ type: "CustomerChanged", data: { name: "Grace" } })
  })

  test.each<[string, State, State]>([
    ["nothing", {}, {}],
    ["all as it is", ada, {}],
    ["an address in another order of members", { address: { country: "Deutschland", city: "Köln", line1: "Lindenstraße 1" } }, {}],
    ["no member of the address", { address: {} }, {}],
    ["null for what is not there", { phone: null, address: null }, { phone: null, address: null }]
  ])("%s is nothing", (_, wanted, of) => {
    expect(eventOf("ChangeCustomer", wanted, standing(of))).toEqual({ outcome: "nothing" })
  })

  test("merges inside the address", () => {
    expect(eventOf("ChangeCustomer", { address: { city: "Bonn", line2: "Hinterhaus" } })).toEqual({ type: "CustomerChanged", data: { address: { ...address, city: "Bonn", line2: "Hinterhaus" } } })
    expect(eventOf("ChangeCustomer", { address: { postcode: null } }, standing({ address: { ...address, postcode: "50667" } }))).toEqual({ type: "CustomerChanged", data: { address } })
  })

  test("an address that would not be whole afterwards is invalid, by what it lacks", () => {
    expect(eventOf("ChangeCustomer", { address: { city: "Bonn" } }, standing({ address: null }))).toEqual({ outcome: "invalid", faults: [
      { pointer: "#/address/line1", detail: "is required" }, { pointer: "#/address/country", detail: "is required" }
    ] })
  })

  test("null on what is required, and fields that are not theirs to change, are named", () => {
    expect(decide("ChangeCustomer", { name: null, email: null, marketingConsent: null, address: { line1: null, country: null } }, standing()))
      .toEqual({ outcome: "unreadable", pointers: ["#/address/country", "#/address/line1", "#/email", "#/marketingConsent", "#/name"] })
    expect(decide("ChangeCustomer", { id: "x", status: "active", emailHash: "x", phoneHash: "x", piiRef: "x", emailIndex: "x", [SEALED]: "x" }, standing()))
      .toMatchObject({ outcome: "unreadable", pointers: { length: 7 } })
  })

  test("its event leaves what it does not speak of", () => {
    const before = { status: "active", marketingConsent: true, emailHash: "h", phoneHash: null, piiRef: "r", emailIndex: "i", [SEALED]: "s" }
    expect(customer.evolve({ type: "CustomerChanged", data: { marketingConsent: false } }, before)).toEqual({ ...before, marketingConsent: false })
    expect(customer.evolve({ type: "CustomerChanged", data: { [SEALED]: "t", piiRef: "q" } }, before)).toEqual({ ...before, [SEALED]: "t", piiRef: "q" })
  })
})

test("erasing leaves no state, and its event says nothing", () => {
  expect(eventOf("EraseCustomer", {})).toEqual({ type: "CustomerErased", data: {} })
  expect(customer.evolve({ type: "CustomerErased", data: {} }, standing())).toBeNull()
})
