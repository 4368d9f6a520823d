import { randomBytes, randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { unencodable } from "../../../test/support/services.ts"
import { layerFileKeyring } from "../../infrastructure/crypto/FileKeyring.ts"
import { Entries } from "../cache/Entries.ts"
import { decodeEntry, HEADER } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { kinds } from "../kinds/kinds.ts"
import { product } from "../kinds/product.ts"
import { encode } from "./encode.ts"

const entriesWith = (most?: number) => Effect.runSync(Effect.provide(Entries, Entries.layer.pipe(
  Layer.provide(Keyspace.layer(64, kinds)),
  Layer.provide(layerFileKeyring({ primary: 1, keys: new Map([[1, randomBytes(32)]]), index: randomBytes(32) }, most))
)))
const row = { id: randomUUID(), version: 3, updatedAtNs: "5", sequence: 7, epoch: 11, state: { sku: "s", name: "n", description: null, price: { amount: 1, currency: "EUR" }, stock: 1, status: "active" } }

test("a row that can be encoded is an entry", () => {
  const entries = entriesWith()
  expect(encode(entries)(product, row)).toEqual({ value: entries.write(product, row.id, entries.of(product, row)), encodable: true })
})

test("one that cannot is a header that removes what the cache holds of it, as of something too large", () => {
  const { value, encodable } = encode(entriesWith())(unencodable, row)
  expect(encodable).toBe(false)
  expect(decodeEntry(value)).toMatchObject({ what: "large", version: 3, sequence: 7, epoch: 11 })
  expect(value).toHaveLength(HEADER)
})

test("so is one that the key may not seal any more", () => {
  const [, order] = kinds
  expect(encode(entriesWith(0))(order!, { ...row, state: null })).toMatchObject({ encodable: false })
})
