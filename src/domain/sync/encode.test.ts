import { expect, test } from "vitest"
import { unencodable } from "../../../test/support/services.ts"
import { decodeEntry, entryOf, forCache, HEADER } from "../cache/Entry.ts"
import { product } from "../kinds/product.ts"
import { encode } from "./encode.ts"

const row = { id: "1", version: 3, updatedAtNs: "5", sequence: 7, epoch: 11, state: { sku: "s", name: "n", description: null, price: { amount: 1, currency: "EUR" }, stock: 1, status: "active" } }

test("a row that can be encoded is an entry", () => {
  expect(encode(product, row)).toEqual({ value: entryOf(product, row), encoded: true })
})

test("one that cannot is a header that removes what the cache holds of it, as of something too large", () => {
  const { value, encoded } = encode(unencodable, row)
  expect(encoded).toBe(false)
  expect(decodeEntry(value)).toMatchObject({ what: "large", version: 3, sequence: 7, epoch: 11 })
  expect(forCache(value)).toHaveLength(HEADER)
})
