import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { State, World } from "../Kind.ts"
import { product, stockReserved, stockReturned } from "./product.ts"

const MOST = Number.MAX_SAFE_INTEGER
const lamp: State = { sku: "L-1", name: "Lamp", description: null, price: { amount: 1250, currency: "EUR" }, stock: 3, status: "active" }

const world: World = { id: "p-1", find: () => undefined, granted: () => false }

/** The state after a command, or what it was refused with. */
const after = (state: State | null, command: string, input: State): State | null | string => {
  const decision = product.decide(command, input, state, world)
  return decision.outcome === "happened" ? product.evolve(decision.event, state) : decision.outcome === "refused" ? decision.problem : decision.outcome
}
const eventOf = (command: string, input: State, state: State | null = lamp) => {
  const decision = product.decide(command, input, state, world)
  return decision.outcome === "happened" ? decision.event : decision
}

test("a product is of tier 1, has nothing personal, and is narrowed by its status", () => {
  expect(product).toMatchObject({ name: "product", plural: "products", scope: "catalog", tier: 1, filters: ["status"] })
  expect(product.personal).toBeNull()
})

describe("creating", () => {
  test("makes it active, with what was sent", () => {
    expect(after(null, "CreateProduct", { sku: "L-1", name: "Lamp", description: "Warm.", price: lamp["price"], stock: 3 })).toEqual({ ...lamp, description: "Warm." })
  })
  test("makes a description that was not sent null, never missing", () => {
    expect(after(null, "CreateProduct", { sku: "L-1", name: "Lamp", price: lamp["price"], stock: 3 })).toEqual(lamp)
  })
})

describe("changing", () => {
  test.each<[string, State]>([
    ["its name", { name: "Torch" }],
    ["its description", { description: "Warm." }],
    ["its price", { price: { amount: 1, currency: "USD" } }],
    ["its status", { status: "discontinued" }],
    ["several at once", { name: "Torch", status: "discontinued" }]
  ])("%s leaves the rest as it was, and the event has the change alone", (_, wanted) => {
    expect(eventOf("ChangeProduct", wanted)).toEqual({ type: "ProductChanged", data: wanted })
    expect(after(lamp, "ChangeProduct", wanted)).toEqual({ ...lamp, ...wanted })
  })
  test("a member of the price leaves the other member as it was", () => {
    expect(after(lamp, "ChangeProduct", { price: { amount: 7 } })).toEqual({ ...lamp, price: { amount: 7, currency: "EUR" } })
    expect(after(lamp, "ChangeProduct", { price: { currency: "USD" } })).toEqual({ ...lamp, price: { amount: 1250, currency: "USD" } })
  })
  test("null takes a description away", () => {
    expect(after({ ...lamp, description: "Warm." }, "ChangeProduct", { description: null })).toEqual(lamp)
  })
  test.each<[string, State]>([
    ["nothing", {}],
    ["what is so already", { name: "Lamp", description: null, price: { amount: 1250, currency: "EUR" }, status: "active" }],
    ["no member of the price", { price: {} }]
  ])("%s is nothing", (_, wanted) => {
    expect(after(lamp, "ChangeProduct", wanted)).toBe("nothing")
  })
  test("among what is so already the event has only what changes", () => {
    expect(eventOf("ChangeProduct", { name: "Lamp", status: "discontinued" })).toEqual({ type: "ProductChanged", data: { status: "discontinued" } })
  })
})

describe("adjusting the stock", () => {
  test("adds the difference, and keeps the reason", () => {
    expect(eventOf("AdjustStock", { delta: -3, reason: "broken" })).toEqual({ type: "StockAdjusted", data: { delta: -3, reason: "broken" } })
    expect(eventOf("AdjustStock", { delta: 4 })).toEqual({ type: "StockAdjusted", data: { delta: 4, reason: null } })
    expect(after(lamp, "AdjustStock", { delta: -3 })).toEqual({ ...lamp, stock: 0 })
  })
  test("is refused below nothing and above what JSON holds exactly", () => {
    expect(after(lamp, "AdjustStock", { delta: -4 })).toBe("insufficient-stock")
    expect(after(lamp, "AdjustStock", { delta: MOST - 3 })).toEqual({ ...lamp, stock: MOST })
    expect(after(lamp, "AdjustStock", { delta: MOST - 2 })).toBe("invalid")
  })
})

describe("what an order does to the stock", () => {
  test("a reservation takes its pieces, a return gives them back, and both say of which order", () => {
    const reservation = { quantity: 2, order: "o-1" }
    expect(stockReserved(reservation)).toEqual({ type: "StockReserved", data: reservation })
    expect(stockReturned(reservation)).toEqual({ type: "StockReturned", data: reservation })
    const reserved = product.evolve(stockReserved(reservation), lamp)
    expect(reserved).toEqual({ ...lamp, stock: 1 })
    expect(product.evolve(stockReturned(reservation), reserved)).toEqual(lamp)
  })
})

test("deleting leaves no state", () => {
  expect(eventOf("DeleteProduct", {})).toEqual({ type: "ProductDeleted", data: {} })
  expect(after(lamp, "DeleteProduct", {})).toBeNull()
})

describe("what may be sent", () => {
  const valid = (command: string, input: unknown) => Schema.is(product.commands[command]!.input)(input)
  test("a creation needs all but the description, a change needs none of its fields", () => {
    const whole = { sku: "L-1", name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 0 }
    expect(valid("CreateProduct", whole)).toBe(true)
    for (const name of Object.keys(whole)) expect(valid("CreateProduct", Object.fromEntries(Object.entries(whole).filter(([n]) => n !== name))), name).toBe(false)
    expect(valid("ChangeProduct", {})).toBe(true)
    expect(valid("ChangeProduct", { price: { amount: 1 } })).toBe(true)
    expect(valid("ChangeProduct", { name: null })).toBe(false)
    expect(valid("ChangeProduct", { description: null })).toBe(true)
  })
})

test("folding what any sequence of commands brought about gives the state that the commands left, and the stock is never negative", () => {
  const text = fc.string({ minLength: 1, maxLength: 5 })
  const command = fc.oneof(
    fc.record({ command: fc.constant("ChangeProduct"), input: fc.record({ name: text, description: fc.option(text), status: fc.constantFrom("active", "discontinued"), price: fc.record({ amount: fc.nat(9), currency: fc.constantFrom("EUR", "USD") }, { requiredKeys: [] }) }, { requiredKeys: [] }) }),
    fc.record({ command: fc.constant("AdjustStock"), input: fc.record({ delta: fc.integer({ min: -9, max: 9 }).filter((delta) => delta !== 0) }) })
  )
  fc.assert(fc.property(fc.array(command), (commands) => {
    let state: State = lamp
    const events = commands.flatMap(({ command, input }) => {
      const decision = product.decide(command, input, state, world)
      if (decision.outcome !== "happened") return []
      const next = product.evolve(decision.event, state)!
      // A change that happened changed something.
      expect(next).not.toEqual(state)
      state = next
      expect(Object.keys(state).sort()).toEqual(Object.keys(product.fields).sort())
      expect(state["stock"]).toBeGreaterThanOrEqual(0)
      return [decision.event]
    })
    expect(events.reduce<State | null>((state, event) => product.evolve(event, state), lamp)).toEqual(state)
  }))
})
