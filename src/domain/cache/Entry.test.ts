import fc from "fast-check"
import { expect, test } from "vitest"
import type { State } from "../Kind.ts"
import { product } from "../kinds/product.ts"
import type { Row } from "../ledger/Ledger.ts"
import { customer } from "../kinds/customer.ts"
import { absenceOf, decodeEntry, entryOf, HEADER, headerOf, isLiving, joined, LARGEST_PAYLOAD, payloadOf, rankOf, removalOf, timeToLive } from "./Entry.ts"
import type { Entry, Value } from "./Entry.ts"

const state = (description: string | null = null): State =>
  ({ status: "active", stock: 3, price: { amount: 1250, currency: "EUR" }, description, name: "Lamp", sku: "L-1" })
const epochs = fc.integer({ min: 1, max: 2 ** 48 - 1 }), versions = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const rows: fc.Arbitrary<Row> = fc.record({
  id: fc.uuid(),
  version: versions,
  updatedAtNs: fc.bigInt({ min: 0n, max: 1n << 62n }).map(String),
  sequence: versions,
  epoch: epochs,
  state: fc.option(fc.string().map((text) => state(text)))
})
const row = (state: State | null): Row => ({ id: "0190", version: 2, updatedAtNs: "17", sequence: 9, epoch: 1_700_000_000_000, state })
const bytesOf = (entry: Entry): Value => joined(headerOf(entry), entry.payload)
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

test("an entry is read back as it was made: header and payload", () => {
  fc.assert(fc.property(rows, (row) => {
    const entry = decodeEntry(bytesOf(entryOf(product, row)))!
    expect(entry).toMatchObject({ what: row.state === null ? "deleted" : "entity", epoch: row.epoch, version: row.version, sequence: row.sequence, keyId: 0 })
    expect(text(entry.payload)).toBe(row.state === null ? "" : text(payloadOf(product, row, row.state)))
    expect(isLiving(entry)).toBe(row.state !== null)
  }))
})

test("the payload is what HTTP sends: id, version and time, then the fields in the kind's order, whatever the order of the state", () => {
  expect(text(payloadOf(product, row(null), state()))).toBe(
    '{"id":"0190","versionId":2,"updatedAtNs":"17","sku":"L-1","name":"Lamp","description":null,"price":{"amount":1250,"currency":"EUR"},"stock":3,"status":"active"}'
  )
})

test("of personal fields the payload shows what stands in their place, and neither what is sealed nor the blind index", () => {
  const kept = { emailIndex: "i", personal: "p", piiRef: "r", phoneHash: null, emailHash: "h", marketingConsent: true, status: "active" }
  expect(text(payloadOf(customer, row(null), kept))).toBe(
    '{"id":"0190","versionId":2,"updatedAtNs":"17","status":"active","marketingConsent":true,"emailHash":"h","phoneHash":null,"piiRef":"r"}'
  )
})

test("headers compared as text have the order of epoch and version", () => {
  fc.assert(fc.property(fc.tuple(epochs, versions), fc.tuple(epochs, versions), ([epochA, versionA], [epochB, versionB]) => {
    const a = rankOf({ epoch: epochA, version: versionA }), b = rankOf({ epoch: epochB, version: versionB })
    expect(a.length).toBe(26)
    expect(a < b).toBe(epochA < epochB || (epochA === epochB && versionA < versionB))
    expect(headerOf(entryOf(product, { ...row(null), epoch: epochA, version: versionA })).slice(1, 27)).toBe(a)
  }))
})

test("an absence is version 0 of its epoch, so that every version replaces it", () => {
  expect(decodeEntry(bytesOf(absenceOf(77)))).toMatchObject({ what: "unknown", epoch: 77, version: 0, sequence: 0 })
  expect(isLiving(absenceOf(77))).toBe(false)
})

test("up to 64 KiB an entity is kept whole; above, the cache is given the header alone, by which it removes what it has", () => {
  const empty = payloadOf(product, row(state("")), state("")).length
  const fits = entryOf(product, row(state("x".repeat(LARGEST_PAYLOAD - empty)))), large = entryOf(product, row(state("x".repeat(LARGEST_PAYLOAD - empty + 1))))
  expect([fits.what, large.what]).toEqual(["entity", "large"])
  expect(removalOf(large)).toHaveLength(HEADER)
  expect(decodeEntry(removalOf({ ...row(null), keyId: 3 }))).toMatchObject({ what: "large", version: 2, epoch: row(null).epoch, sequence: 9, keyId: 3 })
  expect(isLiving(large)).toBe(true)
})

test("bytes that are no entry are read as none: cut, a lease, another format, another letter, no numbers", () => {
  const good = bytesOf(entryOf(product, row(state())))
  const spoiled = (at: number, by: string) => Buffer.from(text(good).slice(0, at) + by + text(good).slice(at + by.length))
  expect(decodeEntry(good)).not.toBeNull()
  for (const bytes of [good.subarray(0, HEADER - 1), Buffer.alloc(0), Buffer.from(`L${"0".repeat(60)}`), spoiled(0, "2"), spoiled(45, "z"), spoiled(1, "zz"), spoiled(13, "-z"), spoiled(27, "x"), spoiled(41, "x")]) {
    expect(decodeEntry(bytes), text(bytes)).toBeNull()
  }
})

test("an entry in the middle of a larger buffer is read in place", () => {
  const good = bytesOf(entryOf(product, row(state()))), larger = Buffer.concat([Buffer.from("before"), good])
  expect(text(decodeEntry(larger.subarray(6))!.payload)).toBe(text(decodeEntry(good)!.payload))
})

test("an absence is kept for a minute, a tombstone for a day, and entities for the time given, more or less a tenth", () => {
  expect(timeToLive(bytesOf(absenceOf(1)), 5, 0.3)).toBe(60_000)
  expect(timeToLive(bytesOf(entryOf(product, row(null))), 5, 0.3)).toBe(86_400_000)
  const ofEntity = (random: number) => timeToLive(bytesOf(entryOf(product, row(state()))), 1_000_000, random)
  expect([0, 0.5, 1].map(ofEntity)).toEqual([900_000, 1_000_000, 1_100_000])
})
