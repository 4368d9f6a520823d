import { randomBytes, randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { layerFileKeyring } from "../../infrastructure/crypto/FileKeyring.ts"
import type { KeyringFile } from "../../infrastructure/crypto/keyringFile.ts"
import type { Kind, State } from "../Kind.ts"
import { customer } from "../kinds/customer.ts"
import { kinds } from "../kinds/kinds.ts"
import { order } from "../kinds/order.ts"
import { product } from "../kinds/product.ts"
import type { Row } from "../ledger/Ledger.ts"
import { Entries } from "./Entries.ts"
import { decodeEntry, entryOf, HEADER, headerOf, joined, LARGEST_PAYLOAD, payloadOf, removalOf } from "./Entry.ts"
import { Keyspace } from "./Keyspace.ts"

const index = randomBytes(32), first = randomBytes(32), second = randomBytes(32)
const RING: KeyringFile = { primary: 1, keys: new Map([[1, first]]), index }
/** One process: what it has seen is its own. */
const processWith = (ring = RING, partitions = 64) => Effect.runSync(Effect.provide(Entries, Entries.layer.pipe(
  Layer.provide(Keyspace.layer(partitions, kinds)), Layer.provide(layerFileKeyring(ring))
)))

const EPOCH = 1_700_000_000_000
const STATES: ReadonlyMap<Kind, State> = new Map<Kind, State>([
  [product, { sku: "L-1", name: "Lamp", description: null, price: { amount: 1, currency: "EUR" }, stock: 3, status: "active" }],
  [order, { customerId: "0190", status: "placed", lines: [{ productId: "0191", sku: "L-1", quantity: 1, unitPrice: { amount: 5, currency: "EUR" } }], total: { amount: 5, currency: "EUR" }, payment: null, shipment: null, shippingAddressRef: "ref", personal: "sealed" }],
  [customer, { status: "active", marketingConsent: true, emailHash: "eh", phoneHash: null, piiRef: "ref", emailIndex: "ei", personal: "sealed" }]
])
const rowOf = (kind: Kind, more: Partial<Row> = {}): Row =>
  ({ id: randomUUID(), version: 3, updatedAtNs: "17", sequence: 9, epoch: EPOCH, state: STATES.get(kind)!, ...more })
const made = (kind: Kind, row: Row, by = processWith()) => Buffer.from(by.write(kind, row.id, by.of(kind, row)))
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1")
/** Somebody who has seen nothing yet. */
const stranger = (kind: Kind, id: string, value: Uint8Array) => processWith().read(kind, id, value)

const sealed = [order, customer], whats = ["entity", "deleted", "unknown"] as const
/** An entry of each sort. */
const sample = (kind: Kind, what: (typeof whats)[number], id: string): Buffer => {
  const by = processWith()
  return what === "unknown" ? Buffer.from(by.write(kind, id, by.absence(kind, EPOCH))) : made(kind, rowOf(kind, { id, ...what === "deleted" && { state: null } }), by)
}

describe.each([product, order, customer])("an entry of $name", (kind) => {
  test("is read as it was made, by every process: living, deleted and unknown", () => {
    const by = processWith(), keyId = kind.tier === 1 ? 0 : 1
    fc.assert(fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.integer({ min: 1, max: 2 ** 48 - 1 }), fc.option(fc.constant(STATES.get(kind)!)), (version, epoch, state) => {
      const row = rowOf(kind, { version, epoch, state, sequence: version })
      const entry = stranger(kind, row.id, made(kind, row, by))!
      expect(entry).toMatchObject({ what: state === null ? "deleted" : "entity", epoch, version, sequence: version, keyId })
      expect(text(entry.payload)).toBe(state === null ? "" : text(payloadOf(kind, row, state)))
    }), { numRuns: 30 })
    const id = randomUUID()
    expect(stranger(kind, id, by.write(kind, id, by.absence(kind, EPOCH)))).toMatchObject({ what: "unknown", epoch: EPOCH, version: 0, sequence: 0, keyId })
  })

  test("is read in the middle of a larger buffer too", () => {
    const row = rowOf(kind), value = made(kind, row)
    expect(stranger(kind, row.id, Buffer.concat([Buffer.from("before"), value]).subarray(6))).toMatchObject({ what: "entity", version: 3 })
  })

  test("that is too large is a header alone, by which the cache removes what it has; standing there it is none", () => {
    const by = processWith(), row = rowOf(kind), entry = by.of(kind, row)
    const large = { ...entry, what: "large" as const, payload: new Uint8Array(LARGEST_PAYLOAD + 1) }
    const value = by.write(kind, row.id, large)
    expect(value).toEqual(removalOf(entry))
    expect(value).toHaveLength(HEADER)
    expect(stranger(kind, row.id, value)).toBeNull()
  })
})

test("of tier 1 an entry is plain, from tier 2 up no byte of its payload is", () => {
  const plain = made(product, rowOf(product))
  expect(text(plain)).toContain("Lamp")
  for (const kind of sealed) {
    const row = rowOf(kind), value = text(made(kind, row).subarray(HEADER)), payload = text(payloadOf(kind, row, row.state!))
    for (let at = 0; at + 6 <= payload.length; at++) expect(value).not.toContain(payload.slice(at, at + 6))
    // And two of the same differ: who sees both does not learn that they are.
    const by = processWith()
    expect(made(kind, row, by)).not.toEqual(made(kind, row, by))
  }
})

describe.each(sealed.flatMap((kind) => whats.map((what) => [kind.name, what, kind] as const)))("accepted by nobody: of tier 2 and 3, %s, %s", (_, what, kind) => {
  const id = randomUUID(), value = sample(kind, what, id)
  const reader = processWith()
  const refused = (bytes: Uint8Array, of = kind, at = id) => expect([reader.read(of, at, bytes), reader.open(of, at, bytes)]).toEqual([null, null])

  test("any byte altered, by whatever it is altered", () => {
    for (let at = 0; at < value.length; at++) {
      for (const by of [1, 0x20, 0x80]) {
        const altered = Buffer.from(value)
        altered[at]! ^= by
        refused(altered)
      }
    }
    fc.assert(fc.property(fc.nat(value.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const altered = Buffer.from(value)
      altered[at]! ^= by
      refused(altered)
    }))
    expect(reader.read(kind, id, value)).not.toBeNull()
  })

  test("cut at any length, or with more behind it", () => {
    for (let length = 0; length < value.length; length++) refused(value.subarray(0, length))
    refused(Buffer.concat([value, Buffer.from([0])]))
  })

  test("another sort, version, epoch or key number written into its header", () => {
    const entry = decodeEntry(value)!
    const forged = [
      ...(["entity", "deleted", "unknown", "large"] as const).filter((other) => other !== what).map((other) => ({ ...entry, what: other })),
      { ...entry, version: entry.version + 1 }, { ...entry, epoch: entry.epoch + 1 }, { ...entry, sequence: entry.sequence + 1 }, { ...entry, keyId: 2 }, { ...entry, keyId: 0 }
    ]
    for (const other of forged) refused(joined(headerOf(other), entry.payload))
    // Numbers are read in either case, and only one of them was sealed.
    const upper = Buffer.from(value)
    upper.write(text(value.subarray(0, 45)).toUpperCase(), "latin1")
    if (!upper.equals(value)) refused(upper)
  })

  test("moved to another entity, to another kind, or to another partition", () => {
    for (let i = 0; i < 100; i++) refused(value, kind, randomUUID())
    for (const other of kinds) if (other !== kind) refused(value, other)
    // One that differs in nothing but its name.
    refused(value, { ...kind, name: "another" })
    // Of 64 partitions some entity is in the first one, which is the only one of one.
    const elsewhere = Array.from({ length: 20 }, () => randomUUID()).map((other) => processWith(RING, 1).read(kind, other, sample(kind, what, other)))
    expect(elsewhere.filter((entry) => entry === null).length).toBeGreaterThan(10)
    // A kind whose tier was another when it was sealed.
    refused(value, { ...kind, tier: kind.tier === 2 ? 3 : 2 })
  })

  test("sealed under another keyring, or under a key that is in the ring no more", () => {
    expect(processWith({ primary: 1, keys: new Map([[1, second]]), index }).read(kind, id, value)).toBeNull()
    expect(processWith({ primary: 2, keys: new Map([[2, second]]), index }).read(kind, id, value)).toBeNull()
  })

  test("made without a key", () => {
    const plain = { ...entryOf(kind, rowOf(kind, { id })), keyId: 0 }
    for (const keyId of [0, 1]) {
      refused(joined(headerOf({ ...plain, what, keyId }), what === "entity" ? plain.payload : new Uint8Array(0)))
      refused(joined(headerOf({ ...plain, what, keyId }), randomBytes(2 + 12 + 16)))
    }
  })
})

test("a sealed entry is none of a plain kind, and a plain one none of a sealed kind", () => {
  const id = randomUUID()
  for (const kind of sealed) {
    expect(stranger(product, id, made(kind, rowOf(kind, { id })))).toBeNull()
    expect(stranger(kind, id, made(product, rowOf(product, { id })))).toBeNull()
  }
})

test("a lease and another format are none", () => {
  for (const kind of kinds) {
    expect(stranger(kind, randomUUID(), Buffer.from(`L${"0".repeat(60)}`))).toBeNull()
    expect(stranger(kind, randomUUID(), Buffer.from(`2${"0".repeat(60)}`))).toBeNull()
  }
})

describe("after a rotation", () => {
  const both = new Map([[1, first], [2, second]])
  test.each(sealed)("entries under the old key are read, and new ones are sealed under the new one, $name", (kind) => {
    const row = rowOf(kind), old = made(kind, row), after = processWith({ primary: 2, keys: both, index })
    expect(after.read(kind, row.id, old)).toMatchObject({ version: 3, keyId: 1 })
    const fresh = made(kind, row, after)
    expect(decodeEntry(fresh)!.keyId).toBe(2)
    // Distributed, and not primary yet, in this one.
    expect(processWith({ primary: 1, keys: both, index }).read(kind, row.id, fresh)).toMatchObject({ version: 3, keyId: 2 })
    expect(stranger(kind, row.id, fresh)).toBeNull()
  })
})

describe("an older entry that was put back", () => {
  const at = (kind: Kind, id: string, version: number, epoch = EPOCH, state: State | null = STATES.get(kind)!) => rowOf(kind, { id, version, epoch, state })

  test.each(sealed)("is refused by who has read a newer one, and opens all the same, $name", (kind) => {
    const id = randomUUID(), older = made(kind, at(kind, id, 3)), newer = made(kind, at(kind, id, 4)), reader = processWith()
    expect(reader.read(kind, id, older)).not.toBeNull()
    expect(reader.read(kind, id, newer)).not.toBeNull()
    expect(reader.read(kind, id, older)).toBeNull()
    expect(reader.open(kind, id, older)).toMatchObject({ version: 3 })
    expect(reader.read(kind, id, newer)).not.toBeNull()
    expect(stranger(kind, id, older)).not.toBeNull()
  })

  test("is refused by who has seen a newer row of the database, the deleted one too", () => {
    const id = randomUUID(), living = made(customer, at(customer, id, 3)), reader = processWith()
    const tombstone = reader.write(customer, id, reader.of(customer, at(customer, id, 4, EPOCH, null)))
    expect(reader.read(customer, id, living)).toBeNull()
    expect(reader.read(customer, id, tombstone)).toMatchObject({ what: "deleted" })
  })

  test("a row that was read before a newer one was seen lowers nothing", () => {
    const id = randomUUID(), reader = processWith(), older = made(order, at(order, id, 3))
    reader.of(order, at(order, id, 4))
    reader.of(order, at(order, id, 3))
    expect(reader.read(order, id, older)).toBeNull()
  })

  test("only to look at an entry is not to have seen it", () => {
    const id = randomUUID(), older = made(order, at(order, id, 3)), newer = made(order, at(order, id, 4)), reader = processWith()
    reader.open(order, id, newer)
    expect(reader.read(order, id, older)).not.toBeNull()
    // Nor what is not accepted.
    const damaged = Buffer.from(newer)
    damaged[damaged.length - 1]! ^= 1
    reader.read(order, id, damaged)
    expect(reader.read(order, id, older)).not.toBeNull()
  })

  test("an absence of that epoch is one, and lowers nothing; an absence that came first keeps nobody out", () => {
    const id = randomUUID(), reader = processWith(), by = processWith()
    const absent = by.write(order, id, by.absence(order, EPOCH)), one = made(order, at(order, id, 1))
    expect(reader.read(order, id, absent)).toMatchObject({ what: "unknown" })
    expect(reader.read(order, id, one)).not.toBeNull()
    expect(reader.read(order, id, absent)).toBeNull()
    expect(reader.read(order, id, one)).not.toBeNull()
  })

  test("a new life of the database begins below the versions of the old one, and what is of the old one is older", () => {
    const id = randomUUID(), reader = processWith(), by = processWith()
    const before = made(order, at(order, id, 9)), after = made(order, at(order, id, 2, EPOCH + 1)), absent = by.write(order, id, by.absence(order, EPOCH + 2))
    expect(reader.read(order, id, before)).not.toBeNull()
    expect(reader.read(order, id, after)).not.toBeNull()
    expect(reader.read(order, id, before)).toBeNull()
    // It was lost in the life after that.
    expect(reader.read(order, id, absent)).not.toBeNull()
    expect(reader.read(order, id, after)).toBeNull()
    expect(reader.read(order, id, made(order, at(order, id, 1, EPOCH + 2)))).not.toBeNull()
  })

  test("whatever is seen in whatever order, what is accepted never goes back, and the newest always is", () => {
    fc.assert(fc.property(fc.array(fc.record({ epoch: fc.nat(2), version: fc.integer({ min: 1, max: 4 }), row: fc.boolean() }), { minLength: 1 }), (steps) => {
      const id = randomUUID(), reader = processWith()
      let newest = { epoch: -1, version: 0 }
      for (const { epoch, version, row } of steps) {
        const state = at(order, id, version, EPOCH + epoch)
        const isOlder = epoch < newest.epoch || (epoch === newest.epoch && version < newest.version)
        if (row) reader.of(order, state)
        else expect(reader.read(order, id, made(order, state)) === null).toBe(isOlder)
        if (!isOlder) newest = { epoch, version }
      }
      expect(reader.read(order, id, made(order, at(order, id, newest.version, EPOCH + newest.epoch)))).not.toBeNull()
    }), { numRuns: 50 })
  })

  test("of 100,000 keys is remembered, and ids that do not exist push none of them out", () => {
    const reader = processWith(), id = randomUUID(), older = made(order, at(order, id, 3)), row = at(order, id, 4, EPOCH, null)
    reader.of(order, row)
    for (let i = 0; i < 99_999; i++) reader.of(order, { ...row, id: String(i) })
    const absence = reader.absence(order, EPOCH)
    for (let i = 0; i < 100_001; i++) reader.read(order, `nobody ${i}`, reader.write(order, `nobody ${i}`, absence))
    expect(reader.read(order, id, older)).toBeNull()
    for (let i = 0; i < 300_000; i++) reader.of(order, { ...row, id: `later ${i}` })
    expect(reader.read(order, id, older)).not.toBeNull()
  })

  test("of tier 1 it is accepted: plain entries prove nothing", () => {
    const id = randomUUID(), reader = processWith()
    reader.of(product, at(product, id, 4))
    expect(reader.read(product, id, made(product, at(product, id, 3)))).toMatchObject({ version: 3 })
  })
})
