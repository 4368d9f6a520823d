import { expect } from "vitest"
import { PARTITION, keyOf, k, putOf, settledOf, checkpoint, purging, expectEntry, expectLease, expectNothing, expectCheckpoint, given, settle, ORDERED } from "./Cache.samples.contract.ts"
import type { Rule } from "./Cache.samples.contract.ts"

/** Of checkpoints, and of those who work on the cache as a whole. */
export const settlingRules: readonly Rule[] = [
  ["settling does nothing where another checkpoint stands, or none", async (cache) => {
    await given(cache, 1)
    await cache.lease([keyOf("leased")], "mine")
    const entries = [settledOf(2, true), settledOf(2, true, {}, keyOf("leased"))]
    expect(await settle(cache, entries)).toBe(null)
    await expectCheckpoint(cache, null)
    await cache.mark(PARTITION, null, checkpoint(8))
    expect(await settle(cache, entries)).toBe(null)
    await expectCheckpoint(cache, checkpoint(8))
    await expectEntry(cache, 1)
    await expectLease(cache, "mine", keyOf("leased"))
  }],
  ["settling replaces by its content what is behind, by epoch and then by version, and moves the checkpoint", async (cache) => {
    let mark = 1
    await cache.mark(PARTITION, null, checkpoint(mark))
    for (const [i, [epoch, version, laterEpoch, laterVersion]] of ORDERED.entries()) {
      const key = keyOf(`ordered-${i}`)
      await given(cache, version, { epoch }, key)
      expect(await settle(cache, [settledOf(laterVersion, true, { epoch: laterEpoch }, key)], checkpoint(mark), checkpoint(++mark))).toEqual({ behind: [0], broken: [], moved: true })
      await expectEntry(cache, laterVersion, { epoch: laterEpoch }, key)
      expect(await settle(cache, [settledOf(version, true, { epoch }, key)], checkpoint(mark), checkpoint(++mark))).toEqual({ behind: [], broken: [], moved: true })
      await expectEntry(cache, laterVersion, { epoch: laterEpoch }, key)
      await expectCheckpoint(cache, checkpoint(mark))
    }
  }],
  ["settling leaves the same version and its bytes alone", async (cache) => {
    await cache.mark(PARTITION, null, checkpoint(1))
    await given(cache, 2)
    expect(await settle(cache, [settledOf(2, true, { payload: Buffer.from("other") })])).toEqual({ behind: [], broken: [], moved: true })
    await expectEntry(cache, 2)
  }],
  ["where an entry is behind and its content is missing, the checkpoint keeps its place under a fresh mark, and the others are settled", async (cache) => {
    await cache.mark(PARTITION, null, checkpoint(1))
    for (const id of ["a", "b", "c"]) await given(cache, 1, {}, keyOf(id))
    await cache.lease([keyOf("d")], "mine")
    const entries = [settledOf(1, false, {}, keyOf("a")), settledOf(2, false, {}, keyOf("b")), settledOf(2, true, {}, keyOf("c")), settledOf(1, false, {}, keyOf("d"))]
    expect(await settle(cache, entries)).toEqual({ behind: [1, 2], broken: [3], moved: false })
    await expectCheckpoint(cache, checkpoint(3))
    await expectEntry(cache, 1, {}, keyOf("b"))
    await expectEntry(cache, 2, {}, keyOf("c"))
    await expectNothing(cache, keyOf("d"))
  }],
  ["settling takes a hundred entries at once, and none", async (cache) => {
    await cache.mark(PARTITION, null, checkpoint(1))
    const places = Array.from({ length: 100 }, (_, i) => keyOf(`many-${i}`))
    await cache.lease(places, "given")
    await cache.fill(places.map((key, i) => putOf(1 + i % 2, "given", {}, key)))
    const behind = places.flatMap((_, i) => i % 2 === 0 ? [i] : [])
    expect(await settle(cache, places.map((key) => settledOf(2, true, {}, key)))).toEqual({ behind, broken: [], moved: true })
    expect(await settle(cache, [], checkpoint(2), checkpoint(4))).toEqual({ behind: [], broken: [], moved: true })
    await expectCheckpoint(cache, checkpoint(4))
  }],
  ["settling, marking and purging for an older epoch than the checkpoint's do nothing", async (cache) => {
    const stands = checkpoint(1, 0xab)
    await given(cache, 1)
    await cache.mark(PARTITION, null, stands)
    expect(await settle(cache, [settledOf(2, true, { epoch: 0xaa })], stands, checkpoint(2, 0xab))).toBe(null)
    expect(await settle(cache, [], stands, checkpoint(2, 0xaa))).toBe(null)
    expect(await cache.mark(PARTITION, stands, purging(0, 0xaa))).toBe(false)
    expect(await cache.purge(PARTITION, [k.text], stands, purging(0, 0xaa))).toBe(false)
    await expectCheckpoint(cache, stands)
    await expectEntry(cache, 1)
  }],
  ["a checkpoint is moved only from the one that is expected", async (cache) => {
    expect(await cache.mark(PARTITION, checkpoint(1), checkpoint(2))).toBe(false)
    await expectCheckpoint(cache, null)
    expect(await cache.mark(PARTITION, null, checkpoint(1))).toBe(true)
    expect(await cache.mark(PARTITION, null, checkpoint(2))).toBe(false)
    expect(await cache.mark(PARTITION, checkpoint(2), checkpoint(3))).toBe(false)
    expect(await cache.mark(PARTITION, checkpoint(1), checkpoint(2))).toBe(true)
    expect(await cache.checkpoints([3, PARTITION])).toEqual([null, checkpoint(2)])
  }],
  ["each piece of a purge removes entries and leases and counts itself, if nothing moved the marker", async (cache) => {
    await given(cache, 1)
    await given(cache, 1, {}, keyOf("kept"))
    await cache.lease([keyOf("leased")], "mine")
    await cache.mark(PARTITION, null, purging(0))
    expect(await cache.purge(PARTITION, [k.text], purging(1), purging(2))).toBe(false)
    await expectEntry(cache, 1)
    expect(await cache.purge(PARTITION, [k.text, keyOf("leased").text, keyOf("absent").text], purging(0), purging(1))).toBe(true)
    await expectCheckpoint(cache, purging(1))
    await expectNothing(cache)
    expect(await cache.fill([putOf(1, "mine", {}, keyOf("leased"))])).toEqual(["absent"])
    await expectEntry(cache, 1, {}, keyOf("kept"))
    expect(await cache.purge(PARTITION, [keyOf("kept").text], purging(0), purging(1))).toBe(false)
    await expectEntry(cache, 1, {}, keyOf("kept"))
  }],
  ["a scan finds every entry and lease of every partition, and no checkpoint", async (cache) => {
    const places = Array.from({ length: 2_500 }, (_, i) => keyOf(`scanned-${i}`, i % 64))
    // Leases as entries live, and in pieces: on a slow machine others would be gone before the scan comes to them.
    const lease = Buffer.from("Lsomebody's")
    for (let from = 0; from < places.length; from += 100) {
      const piece = places.slice(from, from + 100)
      await cache.lease(piece, "given")
      await cache.fill(piece.map((key, i) => ({ ...putOf(1, "given", {}, key), ...i % 2 === 1 && { value: lease } })))
    }
    await cache.mark(PARTITION, null, checkpoint(1))
    const found = new Set<string>()
    for await (const piece of cache.scan()) for (const key of piece) found.add(key)
    expect([...found].sort()).toEqual(places.map(({ text }) => text).sort())
  }],
  ["an evicted entry or lease is gone", async (cache) => {
    await given(cache, 1)
    await cache.evict(k)
    await expectNothing(cache)
    await cache.lease([k], "mine")
    await cache.evict(k)
    await expectNothing(cache)
    await cache.evict(k)
  }]
]
