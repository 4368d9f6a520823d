import { Count, Delta, LongText, MAX_INTEGER, Money, oneOf, optional, Text, tier1 } from "../Field.ts"
import { defineKind, happened, nothing, refused } from "../Kind.ts"
import type { AnyEvent } from "../Kind.ts"

export interface ProductState { sku: string; name: string; description: string | null; price: Money; stock: number; status: Status }
type Status = "active" | "discontinued"
/** How many pieces an order takes, or gives back. */
interface Reservation { quantity: number; order: string }

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

export const product = defineKind<{
  ProductCreated: ProductState
  ProductChanged: { name?: string; description?: string | null; price?: Money; status?: Status }
  StockAdjusted: { delta: number; reason: string | null }
  StockReserved: Reservation
  StockReturned: Reservation
  ProductDeleted: object
}>()({
  name: "product",
  plural: "products",
  scope: "catalog",
  fields: {
    sku: tier1(Text),
    name: tier1(Text),
    description: tier1(optional(LongText)),
    price: tier1(Money),
    stock: tier1(Count),
    status: tier1(oneOf("active", "discontinued"))
  },
  unique: { sku: "sku-taken" },
  filters: ["status"],
  commands: {
    CreateProduct: { at: "create", input: { sku: Text, name: Text, description: optional(LongText), price: Money, stock: Count }, batch: true },
    ChangeProduct: { at: "change", input: { name: Text, description: optional(LongText), price: Money, status: oneOf("active", "discontinued") } },
    AdjustStock: { at: { action: "stock-adjustments" }, input: { delta: Delta, reason: optional(LongText) }, refuses: ["insufficient-stock", "invalid"] },
    DeleteProduct: { at: "delete", input: {} }
  },
  decide: {
    CreateProduct: ({ sku, name, description, price, stock }) =>
      happened("ProductCreated", { sku, name, description: description ?? null, price, stock, status: "active" }),
    ChangeProduct: (wanted, product) => {
      const changes = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => !same(value, product[name as keyof typeof product])))
      return Object.keys(changes).length === 0 ? nothing : happened("ProductChanged", changes)
    },
    AdjustStock: ({ delta, reason }, product) => {
      const stock = product.stock + delta
      if (stock < 0) return refused("insufficient-stock", "There is less stock than the adjustment takes away.")
      if (stock > MAX_INTEGER) return refused("invalid", `Stock cannot be more than ${MAX_INTEGER}.`)
      return happened("StockAdjusted", { delta, reason: reason ?? null })
    },
    DeleteProduct: () => happened("ProductDeleted", {})
  },
  evolve: {
    ProductCreated: (created) => created,
    ProductChanged: (changes, product) => ({ ...product, ...changes }),
    StockAdjusted: ({ delta }, product) => ({ ...product, stock: product.stock + delta }),
    StockReserved: ({ quantity }, product) => ({ ...product, stock: product.stock - quantity }),
    StockReturned: ({ quantity }, product) => ({ ...product, stock: product.stock + quantity }),
    ProductDeleted: () => null
  }
})

/** What an order does to a product's stock. */
export const stockReserved = (reservation: Reservation): AnyEvent => ({ type: "StockReserved", data: { ...reservation } })
export const stockReturned = (reservation: Reservation): AnyEvent => ({ type: "StockReturned", data: { ...reservation } })
