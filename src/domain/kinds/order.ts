import { Redacted } from "effect"
import { integer, listOf, LongText, MAX_INTEGER, Money, oneOf, optional, record, Reference, Text, tier2, tier3 } from "../Field.ts"
import type { Fault } from "../check.ts"
import { defineKind, happened, invalid, refused } from "../Kind.ts"
import type { World } from "../Kind.ts"
import { customer, ShippingAddress } from "./customer.ts"
import { product, stockReserved, stockReturned } from "./product.ts"
import type { ProductState } from "./product.ts"

const Quantity = integer(1, 1_000_000)
const OrderedLine = record("OrderedLine", { productId: Reference, quantity: Quantity, unitPrice: optional(Money) })
const Line = record("OrderLine", { productId: Reference, sku: Text, quantity: Quantity, unitPrice: Money })
const Payment = record("Payment", { reference: Text })
const Shipment = record("Shipment", { carrier: Text, trackingNumber: Text })
const MOST_LINES = 1_000

const STATUSES = ["placed", "paid", "shipped", "delivered", "cancelled"] as const
type Status = (typeof STATUSES)[number]
interface Ordered { readonly productId: string; readonly quantity: number; readonly unitPrice: Money | null }
interface OrderLine extends Ordered { readonly sku: string; readonly unitPrice: Money }
interface Placed { readonly customerId: string; readonly status: Status; readonly lines: readonly OrderLine[]; readonly total: Money }

/** How many pieces of each product the lines take together. */
const quantities = (lines: readonly { readonly productId: string; readonly quantity: number }[]): ReadonlyMap<string, number> => {
  const of = new Map<string, number>()
  for (const { productId, quantity } of lines) of.set(productId, (of.get(productId) ?? 0) + quantity)
  return of
}

const productOf = (world: World, id: string) => world.find(product, id)?.state as ProductState | null | undefined

/** What the request names wrongly: whom, what, and sums that cannot be held. */
const faultsOf = (customerId: string, lines: readonly Ordered[], world: World): readonly Fault[] => [
  ...world.find(customer, customerId) === undefined ? [{ pointer: "#/customerId", detail: "is no customer" }] : [],
  ...lines.flatMap(({ productId }, i) => productOf(world, productId) === undefined ? [{ pointer: `#/lines/${i}/productId`, detail: "is no product" }] : [])
]

/** Adds exactly: a product of two numbers of JSON does not fit into one. */
const totalOf = (lines: readonly { readonly quantity: number; readonly unitPrice: Money }[]): bigint =>
  lines.reduce((sum, { quantity, unitPrice }) => sum + BigInt(quantity) * BigInt(unitPrice.amount), 0n)

const samePrice = (a: Money, b: Money) => a.amount === b.amount && a.currency === b.currency

const step = <T extends string, D>(is: boolean, problem: Parameters<typeof refused>[0], detail: string, type: T, data: D) => is ? happened(type, data) : refused(problem, detail)

export const order = defineKind<{
  OrderPlaced: Placed
  OrderPaid: { reference: string }
  OrderShipped: { carrier: string; trackingNumber: string }
  OrderDelivered: object
  OrderCancelled: { reason: string }
  OrderAddressErased: object
}>()({
  name: "order",
  plural: "orders",
  scope: "orders",
  fields: {
    customerId: tier2(Reference),
    status: tier2(oneOf(...STATUSES)),
    lines: tier2(listOf(Line, 1, MOST_LINES)),
    total: tier2(Money),
    payment: tier2(optional(Payment)),
    shipment: tier2(optional(Shipment)),
    shippingAddress: tier3(ShippingAddress)
  },
  personal: { subject: "customerId", reference: "shippingAddressRef", hashes: {}, lookups: [] },
  unique: {},
  filters: ["customerId", "status"],
  commands: {
    PlaceOrder: {
      at: "create",
      input: { customerId: Reference, lines: listOf(OrderedLine, 1, MOST_LINES), shippingAddress: ShippingAddress },
      refuses: ["customer-erased", "product-not-available", "price-changed", "insufficient-stock"],
      touches: ({ customerId, lines }: { readonly customerId: string; readonly lines: readonly Ordered[] }) => [{ kind: customer, ids: [customerId] }, { kind: product, ids: [...quantities(lines).keys()] }]
    },
    PayOrder: { at: { action: "payment" }, input: { reference: Text }, refuses: ["order-not-placed"] },
    ShipOrder: { at: { action: "shipment" }, input: { carrier: Text, trackingNumber: Text }, refuses: ["order-not-paid"] },
    DeliverOrder: { at: { action: "delivery" }, input: {}, refuses: ["order-not-shipped"] },
    CancelOrder: {
      at: { action: "cancellation" },
      input: { reason: LongText },
      refuses: ["order-not-cancellable"],
      touches: (_, { lines }: { readonly lines: readonly Ordered[] }) => [{ kind: product, ids: [...quantities(lines).keys()] }]
    },
    EraseAddress: { at: "scrub", input: {} }
  },
  decide: {
    PlaceOrder: ({ customerId, lines: ordered, shippingAddress }, _, world) => {
      const faults = faultsOf(customerId, ordered, world)
      if (faults.length > 0) return invalid(faults)
      if (world.find(customer, customerId)!.state === null) return refused("customer-erased", "The customer was erased.")
      const products = new Map([...quantities(ordered)].map(([id, quantity]) => [id, { quantity, state: productOf(world, id)! }]))
      if ([...products.values()].some(({ state }) => state?.status !== "active")) {
        return refused("product-not-available", "A product was deleted or discontinued.")
      }
      const mayPrice = world.granted("orders:import")
      if (!mayPrice && ordered.some(({ productId, unitPrice }) => unitPrice !== null && !samePrice(unitPrice, products.get(productId)!.state.price))) {
        return refused("price-changed", "A price is not the product's any more.")
      }
      const lines = ordered.map(({ productId, quantity, unitPrice }) =>
        ({ productId, sku: products.get(productId)!.state.sku, quantity, unitPrice: unitPrice ?? products.get(productId)!.state.price }))
      const { currency } = lines[0]!.unitPrice, total = totalOf(lines)
      const strange = lines.flatMap(({ unitPrice }, i) => unitPrice.currency === currency ? [] : [{ pointer: `#/lines/${i}`, detail: "is in another currency than the first line: an order has one" }])
      if (strange.length > 0) return invalid(strange)
      if (total > BigInt(MAX_INTEGER)) return invalid([{ pointer: "#/lines", detail: `must not cost more than ${MAX_INTEGER} together` }])
      if ([...products.values()].some(({ quantity, state }) => state.stock < quantity)) return refused("insufficient-stock", "There is less stock of a product than the order takes.")
      return happened("OrderPlaced", { customerId, status: "placed", lines, total: { amount: Number(total), currency }, shippingAddress }, {
        also: [...products].map(([id, { quantity }]) => ({ kind: product, id, event: stockReserved({ quantity, order: world.id }) })),
        // No order passes an erasure.
        holds: [{ kind: customer, id: customerId }]
      })
    },
    PayOrder: ({ reference }, { status }) => step(status === "placed", "order-not-placed", "Only a placed order can be paid.", "OrderPaid", { reference }),
    ShipOrder: ({ carrier, trackingNumber }, { status }) => step(status === "paid", "order-not-paid", "Only a paid order can be shipped.", "OrderShipped", { carrier, trackingNumber }),
    DeliverOrder: (_, { status }) => step(status === "shipped", "order-not-shipped", "Only a shipped order can be delivered.", "OrderDelivered", {}),
    CancelOrder: ({ reason }, { status, lines }, world) => {
      if (status !== "placed" && status !== "paid") return refused("order-not-cancellable", "Only an order that is placed or paid can be cancelled.")
      return happened("OrderCancelled", { reason }, {
        also: [...quantities(lines)].flatMap(([id, quantity]) => {
          const { stock } = productOf(world, id) ?? { stock: MAX_INTEGER }
          // A product that was deleted takes nothing back, and one that is full no more than it can hold.
          const taken = Math.min(quantity, MAX_INTEGER - stock)
          return taken === 0 ? [] : [{ kind: product, id, event: stockReturned({ quantity: taken, order: world.id }) }]
        })
      })
    },
    EraseAddress: () => happened("OrderAddressErased", { shippingAddress: Redacted.make(null) })
  },
  evolve: {
    OrderPlaced: (placed) => ({ ...placed, payment: null, shipment: null }),
    OrderPaid: (payment, order) => ({ ...order, status: "paid", payment }),
    OrderShipped: (shipment, order) => ({ ...order, status: "shipped", shipment }),
    OrderDelivered: (_, order) => ({ ...order, status: "delivered" }),
    OrderCancelled: (_, order) => ({ ...order, status: "cancelled" }),
    OrderAddressErased: (_, order) => order
  }
})
