import fc from "fast-check"
import { beforeEach, describe, expect, test } from "vitest"
import { openKeptEntries, ringOf } from "../../../test/support/keptEntries.ts"
import type { KeptEntries } from "../../../test/support/keptEntries.ts"
import { changing, erasing, makingCustomer, makingProduct, placing } from "../../../test/support/ledgers.ts"
import { freshDatabase, freshRedis } from "../../../test/support/services.ts"
import type { RedisServer } from "../../../test/support/redis.ts"
import { customer } from "../kinds/customer.ts"
import { order } from "../kinds/order.ts"
import type { Row } from "../ledger/Ledger.ts"
import { decodeEntry, HEADER, payloadOf } from "./Entry.ts"

const RING = ringOf(1, [1])
const HIT = { from: "hit" }, MISS = { from: "miss", stored: true }, STALE = { from: "stale", stored: true }

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

/** The steps of an order need no personal data. */
const paid = (row: Row) => changing(order, row, { type: "OrderPaid", data: { reference: "p-1" } })
const consenting = (row: Row, marketingConsent: boolean) => changing(customer, row, { type: "CustomerChanged", data: { marketingConsent } })

const registered = async (by: KeptEntries) => (await by.change(makingCustomer())).row
const placed = async (by: KeptEntries) => {
  const { row: product } = await by.change(makingProduct()), { id } = await registered(by)
  return by.change(placing(id, [product]))
}

describe("over the memory cache", () => {
  let one: KeptEntries
  beforeEach(async () => { one = await openKeptEntries({ database: database.url, ring: RING }) })

  test("a change of several kinds is stored as a whole, each under its own tier, and read from there", async () => {
    const { row: product } = await one.change(makingProduct()), { id } = await registered(one)
    const { row, also, synced } = await one.change(placing(id, [product]))
    expect(synced).toBe("stored")
    for (const { kind, row: { id, version } } of [{ kind: order, row }, ...also]) {
      expect(await one.read(kind, id)).toMatchObject({ entry: { version, what: "entity", keyId: kind.tier === 1 ? 0 : 1 }, source: HIT })
    }
  })

  test("what GET shows of a customer, hit or miss, is its digests and references, in the same bytes", async () => {
    const row = await registered(one), payload = Buffer.from(payloadOf(customer, row, row.state!))
    expect(JSON.parse(String(payload))).toEqual({ id: row.id, versionId: 1, updatedAtNs: row.updatedAtNs, status: "active", marketingConsent: true, emailHash: row.state!["emailHash"], phoneHash: null, piiRef: row.state!["piiRef"] })
    await one.cache.evict(one.key(customer, row.id))
    for (const source of [MISS, HIT]) {
      const found = await one.read(customer, row.id)
      expect(found.source).toMatchObject(source)
      expect(Buffer.from(found.entry.payload)).toEqual(payload)
    }
  })

  test.each([["customer", customer], ["order", order]] as const)("an altered %s is accepted by nobody, and evicted: the next read has what the database has", async (_, kind) => {
    const { id } = kind === order ? (await placed(one)).row : await registered(one), good = (await one.bytes(kind, id))!
    await fc.assert(fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, by, listed) => {
      const altered = Buffer.from(good)
      altered[at]! ^= by
      // The first byte of a lease is none of an entry, and what is marked as too large is not kept: neither could be forced in.
      fc.pre(altered[0] !== 0x4c && altered[45] !== 0x78)
      await one.force(kind, id, altered)
      if (listed) expect(await one.list(kind)).toMatchObject({ hits: 0, entries: [{ version: 1 }] })
      else expect(await one.read(kind, id)).toMatchObject({ entry: { version: 1, what: "entity" }, source: MISS })
      expect(await one.read(kind, id)).toMatchObject({ entry: { version: 1 }, source: HIT })
    }), { numRuns: 60 })
    for (const length of [1, HEADER - 1, HEADER, HEADER + 1, HEADER + 30, good.length - 1]) {
      await one.force(kind, id, good.subarray(0, length))
      expect(await one.read(kind, id)).toMatchObject({ entry: { version: 1 }, source: MISS })
    }
  })

  test("an entry moved to another entity is none of it", async () => {
    const [a, b] = [await registered(one), await registered(one)]
    await one.force(customer, a.id, (await one.bytes(customer, b.id))!)
    const found = await one.read(customer, a.id)
    expect(found.source).toMatchObject(MISS)
    expect(JSON.parse(Buffer.from(found.entry.payload).toString()).id).toBe(a.id)
  })

  test("a tombstone and an absence cannot be forged, and a true one cannot be moved to who lives", async () => {
    const [alive, dead] = [await registered(one), await registered(one)], nobody = crypto.randomUUID()
    await one.change(erasing(dead))
    await one.read(customer, nobody)
    const good = (await one.bytes(customer, alive.id))!, header = good.subarray(0, HEADER).toString("latin1")
    const forged = [
      (await one.bytes(customer, dead.id))!,
      (await one.bytes(customer, nobody))!,
      Buffer.concat([Buffer.from(`${header.slice(0, 45)}t`), good.subarray(HEADER)]),
      Buffer.from(`${header.slice(0, 41)}0000t`),
      Buffer.from(`${header.slice(0, 13)}${"0".repeat(32)}a`)
    ]
    for (const value of forged) {
      await one.force(customer, alive.id, value)
      expect(await one.read(customer, alive.id)).toMatchObject({ entry: { what: "entity", version: 1 }, source: MISS })
    }
    expect(await one.read(customer, dead.id)).toMatchObject({ entry: { what: "deleted", version: 2 }, source: HIT })
    expect(await one.read(customer, nobody)).toMatchObject({ entry: { what: "unknown" }, source: HIT })
  })

  test("an older one put back is refused by the process that has seen a newer one, and replaced by the guard", async () => {
    const { row } = await placed(one), old = (await one.bytes(order, row.id))!
    await one.change(paid(row))
    for (const ask of [() => one.read(order, row.id), async () => ({ entry: (await one.list(order)).entries[0]!, source: STALE })]) {
      await one.force(order, row.id, old)
      expect(await ask()).toMatchObject({ entry: { version: 2 }, source: STALE })
      expect(await one.read(order, row.id)).toMatchObject({ entry: { version: 2 }, source: HIT })
    }
  })

  test("what was erased does not come back with its old entry", async () => {
    const row = await registered(one), old = (await one.bytes(customer, row.id))!
    await one.change(erasing(row))
    await one.force(customer, row.id, old)
    expect(await one.read(customer, row.id)).toMatchObject({ entry: { what: "deleted", version: 2 }, source: STALE })
  })

  test("with the content of a new version at hand the relay seals it, and replaces what is older", async () => {
    await one.settle()
    const { row } = await placed(one), old = (await one.bytes(order, row.id))!
    await one.change(paid(row))
    await one.force(order, row.id, old)
    await one.settle()
    expect(decodeEntry((await one.bytes(order, row.id))!)).toMatchObject({ version: 2, keyId: 1 })
    expect(await one.read(order, row.id)).toMatchObject({ entry: { version: 2 }, source: HIT })
  })
})

describe("over Redis, two processes", () => {
  let redis: RedisServer, one: KeptEntries, other: KeptEntries
  const open = (ring = RING) => openKeptEntries({ database: database.url, redis: redis.url, ring })
  beforeEach(async () => {
    redis = await freshRedis()
    one = await open()
    other = await open()
  })

  test("what one has stored the other reads", async () => {
    const { row, also } = await placed(one)
    for (const { kind, row: { id, version } } of [{ kind: order, row }, ...also]) {
      expect(await other.read(kind, id)).toMatchObject({ entry: { version }, source: HIT })
    }
  })

  test("no key has the id of a customer or an order, and no value a byte of what stands in it", async () => {
    const { row } = await placed(one), customerId = row.state!["customerId"] as string
    await one.change(paid(row))
    await one.read(customer, crypto.randomUUID())
    const person = await one.row(customer, customerId)
    const keys = await redis.cli("KEYS", "*") as string[]
    expect(keys.filter((key) => /:(order|customer):/.test(key))).toHaveLength(3)
    const values = [...Object.values(person.state!), ...Object.values(row.state!)].filter((value): value is string => typeof value === "string" && value.length > 6)
    const secrets = [row.id, row.id.replaceAll("-", ""), customerId.replaceAll("-", ""), ...values, "versionId", "marketingConsent"]
    expect(secrets).toContain(customerId)
    const bytes = [await one.bytes(customer, customerId), await one.bytes(order, row.id)]
    for (const secret of secrets) {
      for (const key of keys) expect(key).not.toContain(secret)
      for (const value of bytes) for (const encoding of ["utf8", "hex", "base64"] as const) {
        expect(value!.toString("latin1")).not.toContain(Buffer.from(secret).toString(encoding))
      }
    }
  })

  test("altered, cut or moved by hand it is accepted by neither, and evicted", async () => {
    const row = await registered(one), { id } = row, good = (await one.bytes(customer, id))!
    const positions = [0, 1, 13, 27, 41, 44, 45, HEADER, HEADER + 1, HEADER + 2, HEADER + 20, good.length - 1]
    for (const [i, at] of positions.entries()) {
      const reader = i % 2 === 0 ? one : other, altered = Buffer.from(good)
      altered[at]! ^= 1
      await reader.force(customer, id, altered)
      expect(await reader.read(customer, id), String(at)).toMatchObject({ entry: { version: 1 }, source: MISS })
      expect((await other.read(customer, id)).source).toMatchObject(HIT)
    }
  })

  test("an older one put back: refused with a token, with an age, and by who has seen the newer one", async () => {
    await one.settle()
    const row = await registered(one), { id } = row, old = (await one.bytes(customer, id))!
    const { token } = await one.change(consenting(row, false))
    // The other one has seen neither, and nothing tells it so.
    await other.force(customer, id, old)
    expect(await other.read(customer, id)).toMatchObject({ entry: { version: 1 }, source: HIT })
    expect(await one.read(customer, id)).toMatchObject({ entry: { version: 2 }, source: STALE })
    await other.force(customer, id, old)
    expect(await other.read(customer, id, { tokens: [token] })).toMatchObject({ entry: { version: 2 }, source: STALE })
    // From now on it has.
    await other.force(customer, id, old)
    expect(await other.read(customer, id)).toMatchObject({ entry: { version: 2 }, source: STALE })
    const third = await open()
    await other.force(customer, id, old)
    expect(await third.read(customer, id, { maxAgeSeconds: 60 })).toMatchObject({ entry: { version: 2 }, source: STALE })
    await one.settle()
    await other.force(customer, id, old)
    expect(await third.read(customer, id, { maxAgeSeconds: 60 })).toMatchObject({ entry: { version: 2 } })
  })

  test("after a rotation what stands there is read, what is new is under the new key, and without the old key the old is a miss", async () => {
    const [old, changed] = [await registered(one), await registered(one)]
    const rotated = await open(ringOf(2, [1, 2], RING))
    expect(await rotated.read(customer, old.id)).toMatchObject({ entry: { version: 1, keyId: 1 }, source: HIT })
    await rotated.change(consenting(changed, false))
    expect(await rotated.read(customer, changed.id)).toMatchObject({ entry: { version: 2, keyId: 2 }, source: HIT })
    // It has not got the new key yet: a miss, and never an error.
    expect(await one.read(customer, changed.id)).toMatchObject({ entry: { version: 2, keyId: 1 }, source: MISS })
    const retired = await open({ ...ringOf(2, [2]), index: RING.index })
    expect(await retired.read(customer, old.id)).toMatchObject({ entry: { version: 1, keyId: 2 }, source: MISS })
  })

  test("a look that a store of this process has overtaken does not evict what was stored", async () => {
    const row = await registered(one), key = one.key(customer, row.id)
    const { row: newer } = await one.commit(consenting(row, false))
    const reading = one.read(customer, row.id)
    // The look has left, and finds the old one; its answer was not read yet.
    await new Promise(setImmediate)
    const value = Buffer.from(one.entries.write(customer, row.id, one.entries.of(customer, newer)))
    expect(await one.cache.store([{ key, value, lease: null, ttlMilliseconds: 60_000 }])).toEqual(["stored"])
    expect(await reading).toMatchObject({ entry: { version: 2 }, source: { from: "stale" } })
    expect(await one.bytes(customer, row.id)).toEqual(value)
  })
})
