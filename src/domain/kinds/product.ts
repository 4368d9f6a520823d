import { Count, Delta, LongText, MAX_INTEGER, Money, oneOf, optional, Text, tier1 } from "../Field.ts"
import { defineKind, happened, nothing, refused } from "../Kind.ts"

interface Created { sku: string; name: string; description: string | null; price: Money; stock: number; status: Status }
type Status = "active" | "discontinued"

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

export const product = defineKind<{
  ProductCreated: Created
  ProductChanged: { name?: string; description?: string | null; price?: Money; status?: Status }
  StockAdjusted: { delta: number; reason: string | null }
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
    CreateProduct: { at: "create", input: { sku: Text, name: Text, description: optional(LongText), price: Money, stock: Count } },
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
    ProductDeleted: () => null
  }
})
