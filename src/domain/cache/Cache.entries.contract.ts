import { expect } from "vitest"
import { LEASE_MILLISECONDS } from "./Cache.ts"
import type { Outcome } from "./Cache.ts"
import { PARTITION, keyOf, k, putOf, settledOf, checkpoint, purging, lookAt, bytesAt, expectEntry, expectLease, expectNothing, given, settle, until, ORDERED, TTL } from "./Cache.samples.contract.ts"
import type { Rule } from "./Cache.samples.contract.ts"

/** Without these a cache serves what is stale for good. */
export const coreRules: readonly Rule[] = [
  ["a store replaces an older entry, and an older one never replaces a newer one, by epoch and then by version", async (cache) => {
    for (const [i, [epoch, version, laterEpoch, laterVersion]] of ORDERED.entries()) {
      const key = keyOf(`ordered-${i}`), older = { epoch }, newer = { epoch: laterEpoch }
      await given(cache, version, older, key)
      for (const write of [cache.store, cache.fill]) {
        expect(await write([putOf(laterVersion, null, newer, key)])).toEqual([write === cache.store ? "stored" : "current"])
        expect(await write([putOf(version, null, older, key)])).toEqual(["older"])
        await expectEntry(cache, laterVersion, newer, key)
      }
    }
  }],
  ["an absent entry is never created without a lease", async (cache) => {
    for (const write of [cache.store, cache.fill]) {
      for (const lease of [null, "", "never-taken"]) {
        expect(await write([putOf(1, lease)])).toEqual(["absent"])
        await expectNothing(cache)
      }
    }
  }],
  ["a foreign lease is broken by a store, which puts nothing", async (cache) => {
    await cache.lease([k], "reader")
    expect(await cache.store([putOf(2)])).toEqual(["absent"])
    expect(await cache.fill([putOf(1, "reader")])).toEqual(["absent"])
    await expectNothing(cache)
    await cache.lease([k], "reader")
    expect(await cache.store([putOf(2, "writer")])).toEqual(["absent"])
    await expectNothing(cache)
  }],
  ["settling removes a lease, and what is absent stays absent", async (cache) => {
    await cache.mark(PARTITION, null, checkpoint(1))
    await cache.lease([k], "reader")
    expect(await settle(cache, [settledOf(2, true), settledOf(2, true, {}, keyOf("absent"))])).toEqual({ behind: [], broken: [0], moved: true })
    expect(await cache.fill([putOf(1, "reader")])).toEqual(["absent"])
    await expectNothing(cache)
    await expectNothing(cache, keyOf("absent"))
  }],
  ["what is of an older epoch than the partition's checkpoint is refused, and breaks no lease", async (cache) => {
    await given(cache, 1)
    await cache.lease([keyOf("leased")], "mine")
    for (const [expected, stands] of [[null, checkpoint(1, 0xab)], [checkpoint(1, 0xab), purging(0, 0xab)]] as const) {
      await cache.mark(PARTITION, expected, stands)
      for (const write of [cache.store, cache.fill]) {
        expect(await write([putOf(9, null, { epoch: 0xaa }), putOf(9, "mine", { epoch: 0xaa }, keyOf("leased"))])).toEqual(["refused", "refused"])
      }
    }
    await expectEntry(cache, 1)
    await expectLease(cache, "mine", keyOf("leased"))
    expect(await cache.store([putOf(9, null, { epoch: 0xab })])).toEqual(["stored"])
  }]
]

/** Of entries and leases. */
export const entryRules: readonly Rule[] = [
  ["the same version is current, and its bytes stay", async (cache) => {
    await given(cache, 3)
    for (const write of [cache.store, cache.fill]) expect(await write([putOf(3, null, { payload: Buffer.from("other") })])).toEqual(["current"])
    await expectEntry(cache, 3)
  }],
  ["an absent entry is created under its own lease, by a store and by a fill", async (cache) => {
    for (const write of [cache.store, cache.fill]) {
      expect(await cache.lease([k], "mine")).toEqual([true])
      expect(await write([putOf(1, "mine")])).toEqual(["stored"])
      await expectEntry(cache, 1)
      await cache.evict(k)
    }
  }],
  ["a lease is used up by what it let in", async (cache) => {
    await given(cache, 1)
    await cache.evict(k)
    expect(await cache.fill([putOf(1, "given")])).toEqual(["absent"])
  }],
  ["a foreign lease is not broken by a fill", async (cache) => {
    await cache.lease([k], "other")
    for (const lease of [null, "mine", "othe", "others"]) expect(await cache.fill([putOf(2, lease)])).toEqual(["absent"])
    await expectLease(cache, "other")
    expect(await cache.fill([putOf(1, "other")])).toEqual(["stored"])
  }],
  ["a read that passed over an entry needs no lease to replace it by a newer one", async (cache) => {
    await given(cache, 1)
    expect(await cache.fill([putOf(2)])).toEqual(["stored"])
    await expectEntry(cache, 2)
  }],
  ["a lease is given only where neither an entry nor a lease stands", async (cache) => {
    await given(cache, 1, {}, keyOf("entry"))
    await cache.lease([keyOf("leased")], "other")
    expect(await cache.lease([keyOf("entry"), k, keyOf("leased")], "mine")).toEqual([false, true, false])
    expect(await cache.lease([k], "mine")).toEqual([false])
    await expectEntry(cache, 1, {}, keyOf("entry"))
    await expectLease(cache, "other", keyOf("leased"))
    await expectLease(cache, "mine")
  }],
  ["a lease is given back by its own token only, and an entry by none", async (cache) => {
    const token = "0123456789abcdef0123456789abcdef"
    await cache.lease([k, keyOf("two")], token)
    await given(cache, 1, {}, keyOf("entry"))
    await cache.giveBack([k, keyOf("entry"), keyOf("absent")], `${token.slice(0, 31)}e`)
    await expectLease(cache, token)
    await cache.giveBack([k, keyOf("entry"), keyOf("two")], token)
    await expectNothing(cache)
    await expectNothing(cache, keyOf("two"))
    await expectEntry(cache, 1, {}, keyOf("entry"))
  }],
  ["a lease expires after five seconds, and lets nobody in then", async (cache) => {
    const began = performance.now()
    await cache.lease([k], "mine")
    const { ttlMilliseconds } = await cache.describe(k), left = ttlMilliseconds ?? 0
    // On a slow machine some of it is over.
    expect(left).toBeGreaterThan(LEASE_MILLISECONDS - 1_000 - (performance.now() - began))
    expect(left).toBeLessThanOrEqual(LEASE_MILLISECONDS)
    await until(async () => await bytesAt(cache) === null)
    expect(await cache.fill([putOf(1, "mine")])).toEqual(["absent"])
    expect(await cache.lease([k], "mine")).toEqual([true])
  }],
  ["what a store or a fill puts expires when its time is over", async (cache) => {
    await cache.lease([k], "mine")
    expect(await cache.fill([{ ...putOf(1, "mine"), ttlMilliseconds: 40 }])).toEqual(["stored"])
    await until(async () => await bytesAt(cache) === null)
    expect(await cache.describe(k)).toEqual({ value: null, ttlMilliseconds: null })
    expect(await cache.store([putOf(2)])).toEqual(["absent"])
  }],
  ["every write sets the time to live that it was given", async (cache) => {
    const expectTtl = async (at: number) => {
      const { value, ttlMilliseconds } = await cache.describe(k)
      expect(Buffer.from(value!)).toEqual(await bytesAt(cache))
      expect(ttlMilliseconds).toBeGreaterThan(at - TTL / 2)
      expect(ttlMilliseconds).toBeLessThanOrEqual(at)
    }
    await given(cache, 1)
    await expectTtl(TTL)
    await cache.store([{ ...putOf(2), ttlMilliseconds: 2 * TTL }])
    await expectTtl(2 * TTL)
    await cache.mark(PARTITION, null, checkpoint(1))
    await settle(cache, [{ ...settledOf(3, true), ttlMilliseconds: 3 * TTL }])
    await expectTtl(3 * TTL)
    expect(await cache.describe(keyOf("absent"))).toEqual({ value: null, ttlMilliseconds: null })
  }],
  ["an absence is an entry of version 0, and version 1 replaces it", async (cache) => {
    await given(cache, 0, { what: "unknown" })
    expect(await cache.lease([k], "mine")).toEqual([false])
    expect(await cache.store([putOf(1)])).toEqual(["stored"])
    expect(await cache.fill([putOf(0, null, { what: "unknown" })])).toEqual(["older"])
    await expectEntry(cache, 1)
  }],
  ["a tombstone is an entry: older content does not replace it", async (cache) => {
    await given(cache, 1)
    expect(await cache.store([putOf(2, null, { what: "deleted" })])).toEqual(["stored"])
    expect(await cache.fill([putOf(1)])).toEqual(["older"])
    await expectEntry(cache, 2, { what: "deleted" })
  }],
  ["what is too large is never kept, and an older entry or an own lease is removed", async (cache) => {
    for (const write of [cache.store, cache.fill]) {
      await given(cache, 1)
      expect(await write([putOf(2, null, { what: "large" })])).toEqual(["absent"])
      await expectNothing(cache)
      await cache.lease([k], "mine")
      expect(await write([putOf(2, "mine", { what: "large" })])).toEqual(["absent"])
      await expectNothing(cache)
    }
    await given(cache, 3)
    expect(await cache.store([putOf(2, null, { what: "large" })])).toEqual(["older"])
    await expectEntry(cache, 3)
  }],
  ["settling removes an entry whose newer version is too large", async (cache) => {
    await cache.mark(PARTITION, null, checkpoint(1))
    await given(cache, 1)
    expect(await settle(cache, [settledOf(2, true, { what: "large" })])).toEqual({ behind: [0], broken: [], moved: true })
    await expectNothing(cache)
  }],
  ["many puts are answered in their order, across partitions and beyond what one script takes", async (cache) => {
    const places = Array.from({ length: 230 }, (_, i) => keyOf(`many-${i}`, i % 10 === 0 ? 3 : PARTITION))
    const payload = Buffer.alloc(5_000, "x")
    await cache.lease(places.filter((_, i) => i % 3 === 0), "mine")
    const outcomes = await cache.fill(places.map((key) => putOf(1, "mine", { payload }, key)))
    expect(outcomes).toEqual(places.map((_, i): Outcome => i % 3 === 0 ? "stored" : "absent"))
    const looks = await cache.look(places.map((key) => ({ key, checkpoint: false })))
    expect(looks.map(({ value }) => value !== null)).toEqual(places.map((_, i) => i % 3 === 0))
  }],
  ["an empty call is answered empty", async (cache) => {
    expect(await cache.look([])).toEqual([])
    expect(await cache.lease([], "mine")).toEqual([])
    expect(await cache.store([])).toEqual([])
    expect(await cache.fill([])).toEqual([])
    expect(await cache.checkpoints([])).toEqual([])
    await cache.giveBack([], "mine")
    await cache.ping()
  }],
  ["the bytes of a payload pass through unchanged", async (cache) => {
    const payloads = [new Uint8Array(0), Uint8Array.from({ length: 256 }, (_, i) => i), Buffer.from("🐘 Größe\0\r\n$-1\r\n"), crypto.getRandomValues(new Uint8Array(65_536))]
    for (const [i, payload] of payloads.entries()) {
      await given(cache, 1, { payload }, keyOf(`bytes-${i}`))
      await expectEntry(cache, 1, { payload }, keyOf(`bytes-${i}`))
    }
    await cache.mark(PARTITION, null, checkpoint(1))
    await settle(cache, payloads.map((payload, i) => settledOf(2, true, { payload }, keyOf(`bytes-${i}`))))
    for (const [i, payload] of payloads.entries()) await expectEntry(cache, 2, { payload }, keyOf(`bytes-${i}`))
  }],
  ["what the caller does with its bytes afterwards changes nothing", async (cache) => {
    const put = putOf(1, "mine")
    await cache.lease([k], "mine")
    await cache.fill([put])
    put.value.fill(0)
    await expectEntry(cache, 1)
  }],
  ["a look answers each key in its place, with a checkpoint only where one was asked for", async (cache) => {
    await given(cache, 1)
    await cache.mark(PARTITION, null, checkpoint(1))
    await cache.mark(3, null, checkpoint(2))
    const looks = await cache.look([
      { key: keyOf("absent"), checkpoint: true }, { key: k, checkpoint: false }, { key: k, checkpoint: true },
      { key: keyOf("absent", 3), checkpoint: true }, { key: keyOf("absent", 4), checkpoint: true }
    ])
    expect(looks.map(({ value, checkpoint: text }) => [value !== null, text])).toEqual([
      [false, checkpoint(1)], [true, null], [true, checkpoint(1)], [false, checkpoint(2)], [false, null]
    ])
  }],
  ["a look shows value and checkpoint of one moment", async (cache) => {
    await cache.mark(PARTITION, null, checkpoint(1))
    await given(cache, 1)
    const looks = []
    for (let i = 1; i < 200; i++) {
      void settle(cache, [settledOf(i + 1, true)], checkpoint(i), checkpoint(i + 1))
      looks.push(lookAt(cache))
      if (i % 10 === 0) await looks.at(-1)
    }
    for (const { value, checkpoint: text } of await Promise.all(looks)) {
      const version = parseInt(Buffer.from(value!).toString("latin1").slice(13, 27), 16)
      expect(text).toBe(checkpoint(version))
    }
    await until(async () => (await lookAt(cache)).checkpoint === checkpoint(200))
  }]
]
