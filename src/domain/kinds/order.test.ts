import { Redacted } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { check } from "../check.ts"
import { reveal, SEALED } from "../Kind.ts"
import type { AnyEvent, Kind, Other, State, World } from "../Kind.ts"
import { customer } from "./customer.ts"
import { order } from "./order.ts"
import { product } from "./product.ts"

const MOST = Number.MAX_SAFE_INTEGER
const idOf = (n: number) => `018f4e5c-1a2b-7c3d-8e4f-${n.toString(16).padStart(12, "0")}`
const ADA = idOf(0xada), LAMP = idOf(1), BULB = idOf(2), CABLE = idOf(3), NOBODY = idOf(0xfff)
const eur = (amount: number) => ({ amount, currency: "EUR" })
const stateOf = (of: State = {}): State => ({ sku: "L-1", name: "Lamp", description: null, price: eur(1250), stock: 10, status: "active", ...of })
const shippingAddress = { name: "Grace", line1: "Lindenstraße 1", city: "Köln", country: "Deutschland" }
const wholeAddress = { name: "Grace", line1: "Lindenstraße 1", line2: null, city: "Köln", region: null, postcode: null, country: "Deutschland" }

type Known = { readonly products?: Readonly<Record<string, State | null>>; readonly customers?: Readonly<Record<string, State | null>>; readonly scopes?: readonly string[] }
const worldOf = ({ products = { [LAMP]: stateOf() }, customers = { [ADA]: {} }, scopes = [] }: Known = {}): World => ({
  id: "o-1",
  find: (kind: Kind, id: string): Other | undefined => {
    const state = (kind.name === "product" ? products : customers)[id]
    return state === undefined ? undefined : { version: 1, state }
  },
  granted: (scope) => scopes.includes(scope)
})

/** What follows from what was sent, by the way that a request takes. */
const decide = (name: string, sent: State, state: State | null, world: World) => {
  const command = order.commands[name]!, checked = check(command.input, sent)
  if ("faults" in checked) return { outcome: "unreadable" as const, pointers: checked.faults.map(({ pointer }) => pointer).sort() }
  return order.decide(name, command.read(checked.value), state, world)
}
const lineOf = (productId: string, quantity = 1, of: State = {}) => ({ productId, quantity, ...of })
const place = (lines: readonly State[], known: Known = {}, of: State = {}) => decide("PlaceOrder", { customerId: ADA, lines, shippingAddress, ...of }, null, worldOf(known))
/** What it was refused with, or the pointers of what is wrong. */
const against = (decision: ReturnType<typeof decide>) =>
  decision.outcome === "refused" ? decision.problem : decision.outcome === "invalid" ? decision.faults.map(({ pointer }) => pointer) : decision.outcome
const accepted = (decision: ReturnType<typeof decide>) => {
  if (decision.outcome !== "happened") throw new Error(JSON.stringify(decision))
  return decision
}
const placed = (lines: readonly State[], known: Known = {}): any => accepted(place(lines, known)).event.data

test("an order is of tier 2, for its address is not in its entry, and belongs to its customer: of the address a reference is shown", () => {
  expect(order).toMatchObject({ name: "order", plural: "orders", scope: "orders", tier: 2, filters: ["customerId", "status"], unique: {} })
  expect(order.personal).toMatchObject({ subject: "customerId", reference: "shippingAddressRef", hashes: {}, lookups: [] })
  expect(order.shown).toEqual(["customerId", "status", "lines", "total", "payment", "shipment", "shippingAddressRef"])
  expect(Object.keys(order.kept)).toEqual([...order.shown, SEALED])
  expect(Object.values(order.commands).map(({ name, at }) => [name, at])).toEqual([
    ["PlaceOrder", "create"], ["PayOrder", { action: "payment" }], ["ShipOrder", { action: "shipment" }], ["DeliverOrder", { action: "delivery" }],
    ["CancelOrder", { action: "cancellation" }], ["EraseAddress", "scrub"]
  ])
})

describe("placing an order", () => {
  test("takes sku and price from the product as it is at that moment, and adds the total", () => {
    const known = { products: { [LAMP]: stateOf(), [BULB]: stateOf({ sku: "B-1", price: eur(99) }) } }
    const { event } = accepted(place([lineOf(LAMP, 2), lineOf(BULB, 3)], known))
    expect(event).toMatchObject({ type: "OrderPlaced", data: {
      customerId: ADA, status: "placed", total: eur(2797),
      lines: [{ productId: LAMP, sku: "L-1", quantity: 2, unitPrice: eur(1250) }, { productId: BULB, sku: "B-1", quantity: 3, unitPrice: eur(99) }]
    } })
    expect(reveal(event.data["shippingAddress"])).toEqual(wholeAddress)
    expect(JSON.stringify(event)).not.toContain("Linden")
  })

  test("reserves of each product what all its lines take together, in one event, and holds the customer", () => {
    const known = { products: { [LAMP]: stateOf(), [BULB]: stateOf() } }
    const { also, holds, event } = accepted(place([lineOf(BULB, 1), lineOf(LAMP, 2), lineOf(BULB, 3)], known))
    expect(also).toEqual([
      { kind: product, id: BULB, event: { type: "StockReserved", data: { quantity: 4, order: "o-1" } } },
      { kind: product, id: LAMP, event: { type: "StockReserved", data: { quantity: 2, order: "o-1" } } }
    ])
    expect(holds).toEqual([{ kind: customer, id: ADA }])
    // The lines stay as they were sent, repeated ones each for itself.
    expect((event.data["lines"] as State[]).map(({ productId, quantity }) => [productId, quantity])).toEqual([[BULB, 1], [LAMP, 2], [BULB, 3]])
  })

  test("touches its customer and each of its products once", () => {
    const input = { customerId: ADA, lines: [lineOf(BULB), lineOf(LAMP), lineOf(BULB)] }
    expect(order.commands["PlaceOrder"]!.touches(input, null)).toEqual([{ kind: customer, ids: [ADA] }, { kind: product, ids: [BULB, LAMP] }])
  })

  test("takes an id in capitals for the same entity", () => {
    const { event, also, holds } = accepted(place([lineOf(LAMP.toUpperCase(), 1), lineOf(LAMP, 1)], {}, { customerId: ADA.toUpperCase() }))
    expect(event.data).toMatchObject({ customerId: ADA, lines: [{ productId: LAMP }, { productId: LAMP }] })
    expect([also.map(({ id }) => id), holds.map(({ id }) => id)]).toEqual([[LAMP], [ADA]])
  })

  test("is of version 1 without payment and shipment", () => {
    const { event } = accepted(place([lineOf(LAMP)]))
    const { shippingAddress: _, ...data } = event.data
    expect(order.evolve({ type: "OrderPlaced", data: { ...data, [SEALED]: "s", shippingAddressRef: "r" } }, null))
      .toEqual({ ...data, payment: null, shipment: null, [SEALED]: "s", shippingAddressRef: "r" })
  })
})

describe("whom and what an order names", () => {
  test("unknown ones are invalid by their places, all at once", () => {
    expect(against(place([lineOf(NOBODY), lineOf(LAMP), lineOf(CABLE), lineOf(NOBODY)], {}, { customerId: NOBODY })))
      .toEqual(["#/customerId", "#/lines/0/productId", "#/lines/2/productId", "#/lines/3/productId"])
    expect(against(place([lineOf(LAMP)], {}, { customerId: NOBODY }))).toEqual(["#/customerId"])
    expect(against(place([lineOf(NOBODY)]))).toEqual(["#/lines/0/productId"])
  })

  test("the id of another kind is unknown too", () => {
    expect(against(place([lineOf(ADA)], {}, { customerId: LAMP }))).toEqual(["#/customerId", "#/lines/0/productId"])
  })

  test("an unknown one comes before all that the domain refuses", () => {
    const known = { products: { [LAMP]: null, [BULB]: stateOf({ status: "discontinued", stock: 0 }) }, customers: { [ADA]: null } }
    expect(against(place([lineOf(LAMP), lineOf(BULB, 1, { unitPrice: eur(1) }), lineOf(NOBODY)], known))).toEqual(["#/lines/2/productId"])
  })
})

describe("what an order is refused for", () => {
  const wrong = { price: eur(1), stock: 0 }

  test("an erased customer: before anything that is said of a product", () => {
    expect(against(place([lineOf(LAMP)], { customers: { [ADA]: null } }))).toBe("customer-erased")
    expect(against(place([lineOf(LAMP, 1, { unitPrice: eur(7) })], { customers: { [ADA]: null }, products: { [LAMP]: null } }))).toBe("customer-erased")
  })

  test.each<[string, State | null]>([["deleted", null], ["discontinued", stateOf({ ...wrong, status: "discontinued" })]])("a product that is %s: before its price and its stock", (_, state) => {
    const known = { products: { [LAMP]: stateOf(), [BULB]: state } }
    expect(against(place([lineOf(LAMP), lineOf(BULB, 1, { unitPrice: eur(7) })], known))).toBe("product-not-available")
  })

  test.each([["amount", eur(1249)], ["currency", { amount: 1250, currency: "USD" }]])("another price than the product's, by its %s: before its stock", (_, unitPrice) => {
    expect(against(place([lineOf(LAMP, 11, { unitPrice })]))).toBe("price-changed")
  })

  test("less stock than the lines of a product take together", () => {
    expect(against(place([lineOf(LAMP, 11)]))).toBe("insufficient-stock")
    expect(against(place([lineOf(LAMP, 5), lineOf(LAMP, 6)]))).toBe("insufficient-stock")
    expect(against(place([lineOf(LAMP, 5), lineOf(LAMP, 5)]))).toBe("happened")
  })

  test("one product too few is enough", () => {
    expect(against(place([lineOf(LAMP), lineOf(BULB, 2)], { products: { [LAMP]: stateOf(), [BULB]: stateOf({ stock: 1 }) } }))).toBe("insufficient-stock")
  })
})

describe("a price that was sent", () => {
  test("and is the product's changes nothing, null is none", () => {
    for (const unitPrice of [eur(1250), null]) expect(placed([lineOf(LAMP, 2, { unitPrice })]).total).toEqual(eur(2500))
  })

  test("with the scope orders:import is the price of that line, and of no other", () => {
    const { lines, total } = placed([lineOf(LAMP, 2, { unitPrice: eur(1000) }), lineOf(LAMP)], { scopes: ["orders:import"] })
    expect(lines.map((line: any) => line.unitPrice)).toEqual([eur(1000), eur(1250)])
    expect(total).toEqual(eur(3250))
  })

  test("with other scopes it is not", () => {
    expect(against(place([lineOf(LAMP, 1, { unitPrice: eur(1) })], { scopes: ["orders:write", "customers:pii"] }))).toBe("price-changed")
  })
})

describe("a total", () => {
  test("has one currency: lines in another are invalid, each by its place, before the stock is looked at", () => {
    const usd = stateOf({ price: { amount: 1, currency: "USD" } })
    expect(against(place([lineOf(LAMP, 99), lineOf(BULB), lineOf(LAMP), lineOf(CABLE)], { products: { [LAMP]: stateOf(), [BULB]: usd, [CABLE]: usd } }))).toEqual(["#/lines/1", "#/lines/3"])
    expect(against(place([lineOf(LAMP), lineOf(LAMP, 1, { unitPrice: { amount: 1, currency: "JPY" } })], { scopes: ["orders:import"] }))).toEqual(["#/lines/1"])
  })

  test("says nothing of the currencies, which are of tier 2", () => {
    const decision = place([lineOf(LAMP), lineOf(LAMP, 1, { unitPrice: { amount: 1, currency: "JPY" } })], { scopes: ["orders:import"] })
    expect(JSON.stringify(decision)).not.toMatch(/JPY|EUR/)
  })

  test("of nothing to pay is 0, in the currency of the lines", () => {
    expect(placed([lineOf(LAMP)], { products: { [LAMP]: stateOf({ price: { amount: 0, currency: "JPY" } }) } }).total).toEqual({ amount: 0, currency: "JPY" })
  })

  test("is exact up to 2^53 - 1, and invalid by one unit more", () => {
    const products = { [LAMP]: stateOf({ price: eur(MOST - 3) }), [BULB]: stateOf({ price: eur(1), stock: 99 }) }
    expect(placed([lineOf(LAMP), lineOf(BULB, 3)], { products }).total).toEqual(eur(MOST))
    expect(against(place([lineOf(LAMP), lineOf(BULB, 4)], { products }))).toEqual(["#/lines"])
    expect(against(place([lineOf(LAMP, 10)], { products }))).toEqual(["#/lines"])
  })

  test("too large is said before the stock is looked at", () => {
    expect(against(place([lineOf(LAMP, 1_000_000)], { products: { [LAMP]: stateOf({ price: eur(MOST) }) } }))).toEqual(["#/lines"])
  })
})

describe("what may be sent", () => {
  const sent = (of: State) => decide("PlaceOrder", { customerId: ADA, lines: [lineOf(LAMP)], shippingAddress, ...of }, null, worldOf())

  test("1 to 1,000 lines, a quantity from 1 to 1,000,000", () => {
    const many = (count: number) => Array.from({ length: count }, () => lineOf(LAMP))
    const stocked = { products: { [LAMP]: stateOf({ stock: 2_000_000 }) } }
    expect(against(place(many(1_000), stocked))).toBe("happened")
    expect(against(place([lineOf(LAMP, 1_000_000)], stocked))).toBe("happened")
    for (const count of [0, 1_001]) expect(place(many(count), stocked)).toEqual({ outcome: "unreadable", pointers: ["#/lines"] })
    for (const quantity of [0, -1, 1.5, 1_000_001, "1", null]) expect(sent({ lines: [{ productId: LAMP, quantity }] })).toEqual({ outcome: "unreadable", pointers: ["#/lines/0/quantity"] })
  })

  test("what is missing, wrong or unknown is named, all of it", () => {
    expect(decide("PlaceOrder", {}, null, worldOf())).toEqual({ outcome: "unreadable", pointers: ["#/customerId", "#/lines", "#/shippingAddress"] })
    expect(sent({ customerId: "x", lines: [{ unitPrice: { amount: -1, currency: "eur" }, sku: "L-1" }], shippingAddress: { street: "x", line1: "x".repeat(2_001), city: "x".repeat(201) }, status: "paid", total: eur(1) })).toEqual({ outcome: "unreadable", pointers: [
      "#/customerId", "#/lines/0/productId", "#/lines/0/quantity", "#/lines/0/sku", "#/lines/0/unitPrice/amount", "#/lines/0/unitPrice/currency",
      "#/shippingAddress/city", "#/shippingAddress/country", "#/shippingAddress/line1", "#/shippingAddress/name", "#/shippingAddress/street", "#/status", "#/total"
    ] })
  })

  test.each([["PayOrder", ["#/reference"]], ["ShipOrder", ["#/carrier", "#/trackingNumber"]], ["CancelOrder", ["#/reason"]], ["DeliverOrder", []]])("%s needs %j and nothing else", (command, pointers) => {
    const state = stateIn("placed")
    if (pointers.length > 0) expect(decide(command, {}, state, worldOf())).toEqual({ outcome: "unreadable", pointers })
    expect(decide(command, { ...Object.fromEntries(pointers.map((pointer) => [pointer.slice(2), "a"])), note: "x" }, state, worldOf())).toEqual({ outcome: "unreadable", pointers: ["#/note"] })
  })
})

const STEPS = { PayOrder: { reference: "pay-1" }, ShipOrder: { carrier: "DHL", trackingNumber: "T-1" }, DeliverOrder: {}, CancelOrder: { reason: "changed their mind" } }
const LINES = [{ productId: LAMP, sku: "L-1", quantity: 2, unitPrice: eur(1250) }, { productId: BULB, sku: "B-1", quantity: 1, unitPrice: eur(99) }, { productId: LAMP, sku: "L-1", quantity: 3, unitPrice: eur(1) }]
const STATUSES = ["placed", "paid", "shipped", "delivered", "cancelled"] as const
const stateIn = (status: string): State =>
  ({ customerId: ADA, status, lines: LINES, total: eur(2602), payment: null, shipment: null, shippingAddressRef: "r", [SEALED]: "s" })

describe.each([
  ["PayOrder", ["placed"], "paid", "order-not-placed", { payment: { reference: "pay-1" } }],
  ["ShipOrder", ["paid"], "shipped", "order-not-paid", { shipment: { carrier: "DHL", trackingNumber: "T-1" } }],
  ["DeliverOrder", ["shipped"], "delivered", "order-not-shipped", {}],
  ["CancelOrder", ["placed", "paid"], "cancelled", "order-not-cancellable", {}]
] as const)("%s", (command, from, to, refusal, shown) => {
  const known = { products: { [LAMP]: stateOf(), [BULB]: stateOf() } }

  test(`in turn makes the order ${to}, and changes nothing else but what it shows`, () => {
    for (const status of from) {
      const { event } = accepted(decide(command, STEPS[command], stateIn(status), worldOf(known)))
      expect(event.data).toEqual(STEPS[command])
      expect(order.evolve(event, stateIn(status))).toEqual({ ...stateIn(status), status: to, ...shown })
    }
  })

  test(`out of turn is refused: ${refusal}`, () => {
    for (const status of STATUSES.filter((status) => !(from as readonly string[]).includes(status))) {
      expect(against(decide(command, STEPS[command], stateIn(status), worldOf(known))), status).toBe(refusal)
    }
    expect(order.commands[command]!.refuses).toEqual([refusal])
  })
})

test("a step but a cancellation touches no other entity", () => {
  for (const command of ["PayOrder", "ShipOrder", "DeliverOrder", "EraseAddress"]) expect(order.commands[command]!.touches({}, stateIn("placed"))).toEqual([])
  expect(accepted(decide("PayOrder", STEPS.PayOrder, stateIn("placed"), worldOf()))).toMatchObject({ also: [], holds: [] })
})

describe("a cancellation", () => {
  const cancel = (products: Known["products"]) => accepted(decide("CancelOrder", STEPS.CancelOrder, stateIn("paid"), worldOf({ products: products! })))
  const returned = (products: Known["products"]) => cancel(products).also.map(({ id, event }) => [id, event.data["quantity"]])

  test("touches each of its products once, and holds nobody", () => {
    expect(order.commands["CancelOrder"]!.touches({}, stateIn("placed"))).toEqual([{ kind: product, ids: [LAMP, BULB] }])
    expect(cancel({ [LAMP]: stateOf(), [BULB]: stateOf() }).holds).toEqual([])
  })

  test("returns of each product what all its lines had taken together, in one event", () => {
    expect(cancel({ [LAMP]: stateOf(), [BULB]: stateOf() }).also).toEqual([
      { kind: product, id: LAMP, event: { type: "StockReturned", data: { quantity: 5, order: "o-1" } } },
      { kind: product, id: BULB, event: { type: "StockReturned", data: { quantity: 1, order: "o-1" } } }
    ])
  })

  test("returns it to a discontinued product too", () => {
    expect(returned({ [LAMP]: stateOf({ status: "discontinued" }), [BULB]: stateOf() })).toEqual([[LAMP, 5], [BULB, 1]])
  })

  test("of a product that was deleted, or is not there, takes nothing back, and succeeds all the same", () => {
    expect(returned({ [LAMP]: null, [BULB]: stateOf() })).toEqual([[BULB, 1]])
    expect(returned({})).toEqual([])
  })

  test("to a product that is full gives no more than it can hold", () => {
    expect(returned({ [LAMP]: stateOf({ stock: MOST - 2 }), [BULB]: stateOf({ stock: MOST }) })).toEqual([[LAMP, 2]])
    expect(returned({ [LAMP]: stateOf({ stock: MOST - 5 }), [BULB]: stateOf({ stock: MOST - 1 }) })).toEqual([[LAMP, 5], [BULB, 1]])
  })
})

describe("the erasure of its customer", () => {
  test.each(STATUSES)("takes the address from an order that is %s, and changes nothing else", (status) => {
    const { event } = accepted(decide("EraseAddress", {}, stateIn(status), worldOf()))
    expect(event.type).toBe("OrderAddressErased")
    expect(Redacted.isRedacted(event.data["shippingAddress"])).toBe(true)
    expect(reveal(event.data["shippingAddress"])).toBeNull()
    expect(order.evolve({ type: event.type, data: { [SEALED]: null, shippingAddressRef: null } }, stateIn(status))).toEqual({ ...stateIn(status), [SEALED]: null, shippingAddressRef: null })
  })

  test("takes nothing from an order that has no address any more: the erasure can repeat its steps", () => {
    expect(decide("EraseAddress", {}, { ...stateIn("placed"), [SEALED]: null, shippingAddressRef: null }, worldOf())).toEqual({ outcome: "nothing" })
  })
})

test("an order whose address is gone already is not scrubbed again: an erasure repeats its steps", () => {
  expect(decide("EraseAddress", {}, { ...stateIn("paid"), [SEALED]: null, shippingAddressRef: null }, worldOf())).toEqual({ outcome: "nothing" })
})

test("whatever is ordered, paid, shipped, cancelled and taken away: totals are sums, no stock is negative, a cancellation returns exactly what was reserved, and the fold of events is the state", () => {
  const ids = [LAMP, BULB, CABLE]
  const productId = fc.constantFrom(...ids), orderNumber = fc.nat(5)
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ is: fc.constant("place" as const), lines: fc.array(fc.record({ productId, quantity: fc.integer({ min: 1, max: 4 }) }), { minLength: 1, maxLength: 4 }) }) },
    { weight: 4, arbitrary: fc.record({ is: fc.constant("step" as const), command: fc.constantFrom("PayOrder", "ShipOrder", "DeliverOrder", "CancelOrder", "EraseAddress"), orderNumber }) },
    { weight: 1, arbitrary: fc.record({ is: fc.constant("adjust" as const), productId, delta: fc.integer({ min: -3, max: 5 }).filter((delta) => delta !== 0) }) }
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 25 }), fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 3, maxLength: 3 }), (steps, prices) => {
    const first = Object.fromEntries(ids.map((id, i) => [id, stateOf({ price: eur(prices[i]!), stock: 8 })]))
    const products = new Map<string, State>(Object.entries(first)), orders: { id: string; state: State; events: AnyEvent[] }[] = []
    const told = new Map<string, AnyEvent[]>(ids.map((id) => [id, []]))
    const world = (id: string): World => ({ ...worldOf({ products: Object.fromEntries(products) }), id })
    const tell = (id: string, event: AnyEvent) => {
      products.set(id, product.evolve(event, products.get(id)!)!)
      told.get(id)!.push(event)
    }
    const keep = ({ type, data: { shippingAddress, ...rest } }: AnyEvent): AnyEvent =>
      ({ type, data: { ...rest, ...shippingAddress !== undefined && { [SEALED]: reveal(shippingAddress) === null ? null : "s", shippingAddressRef: reveal(shippingAddress) === null ? null : "r" } } })

    for (const one of steps) {
      if (one.is === "adjust") {
        const decision = product.decide("AdjustStock", { delta: one.delta }, products.get(one.productId)!, world(one.productId))
        if (decision.outcome === "happened") tell(one.productId, decision.event)
        continue
      }
      const known = one.is === "place" ? undefined : orders[one.orderNumber]
      if (one.is === "step" && known === undefined) continue
      const id = known?.id ?? `o-${orders.length}`
      const decision = one.is === "place"
        ? decide("PlaceOrder", { customerId: ADA, lines: one.lines, shippingAddress }, null, world(id))
        : decide(one.command, STEPS[one.command as keyof typeof STEPS] ?? {}, known!.state, world(id))
      if (decision.outcome !== "happened") continue
      const event = keep(decision.event), state = order.evolve(event, known?.state ?? null)!
      for (const { id, event } of decision.also) tell(id, event)
      if (known === undefined) orders.push({ id, state, events: [event] })
      else {
        known.state = state
        known.events.push(event)
      }
    }

    for (const { state, events } of orders) {
      expect(events.reduce<State | null>((state, event) => order.evolve(event, state), null)).toEqual(state)
      expect(Object.keys(state).sort()).toEqual(Object.keys(order.kept).sort())
      const lines = state["lines"] as { quantity: number; unitPrice: { amount: number } }[]
      expect((state["total"] as { amount: number }).amount).toBe(lines.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice.amount, 0))
    }
    for (const id of ids) {
      const events = told.get(id)!
      // At no moment.
      events.reduce<State>((state, event) => {
        const next = product.evolve(event, state)!
        expect(next["stock"]).toBeGreaterThanOrEqual(0)
        return next
      }, first[id]!)
      for (const { id: of, state } of orders) {
        const sum = (type: string) => events.filter((event) => event.type === type && event.data["order"] === of).reduce((sum, { data }) => sum + (data["quantity"] as number), 0)
        expect(sum("StockReturned")).toBe(state["status"] === "cancelled" ? sum("StockReserved") : 0)
      }
    }
  }), { numRuns: 200 })
})
