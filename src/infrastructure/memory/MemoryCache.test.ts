import { Effect } from "effect"
import { expect, test } from "vitest"
import { Cache } from "../../domain/cache/Cache.ts"
import { describeCache } from "../../domain/cache/Cache.contract.ts"
import { rankOf } from "../../domain/cache/Entry.ts"
import { checkpointKey } from "../../domain/cache/Keyspace.ts"
import { layerMemoryCache } from "./MemoryCache.ts"

const make = (options?: { readonly maxBytes: number }) => Effect.runSync(Effect.provide(Cache, layerMemoryCache(options)))

describeCache("the memory provider", async () => ({ cache: make() }))

const keyOf = (id: number) => ({ text: `${checkpointKey(5)}:product:${id}`, partition: 5 })
const valueOf = (version: number, length: number) => Buffer.from(`1${rankOf({ epoch: 1, version })}${"0".repeat(18)}e`.padEnd(length, "-"))
const putOf = (id: number, version: number, length = 500, lease: string | null = "mine") =>
  ({ key: keyOf(id), value: valueOf(version, length), lease, ttlMilliseconds: 60_000 })
const CHECKPOINT = `C${"0".repeat(11)}1${"0".repeat(28)}9:9:`

test("it says that it serves one process only", () => {
  const { name, capabilities } = make()
  expect({ name, capabilities }).toEqual({ name: "memory", capabilities: ["one process"] })
})

test("at the limit what was used longest ago goes, and no checkpoint", async () => {
  const cache = make({ maxBytes: 10_000 })
  await cache.mark(5, null, CHECKPOINT)
  const ids = Array.from({ length: 100 }, (_, i) => i)
  for (const id of ids) {
    await cache.lease([keyOf(id)], "mine")
    expect(await cache.fill([putOf(id, 1)])).toEqual(["stored"])
    await cache.look([{ key: keyOf(0), checkpoint: false }])
  }
  const looks = await cache.look(ids.map((id) => ({ key: keyOf(id), checkpoint: true })))
  const kept = ids.filter((id) => looks[id]!.value !== null)
  expect(kept).toEqual([0, ...ids.slice(-(kept.length - 1))])
  expect(kept.length).toBeGreaterThan(10)
  expect(kept.length * 546).toBeLessThan(10_000)
  expect(looks.every(({ checkpoint }) => checkpoint === CHECKPOINT)).toBe(true)
})

test("what was removed, replaced or given back takes no room", async () => {
  const cache = make({ maxBytes: 2_000 })
  for (let version = 1; version < 100; version++) {
    await cache.lease([keyOf(1), keyOf(2)], "mine")
    await cache.fill([putOf(1, version)])
    await cache.giveBack([keyOf(2)], "mine")
    await cache.lease([keyOf(3)], "mine")
    await cache.store([putOf(3, version)])
    await cache.evict(keyOf(3))
  }
  expect(await cache.look([{ key: keyOf(1), checkpoint: false }])).toEqual([{ value: new Uint8Array(valueOf(99, 500)), checkpoint: null }])
})

test("what alone is beyond the limit is not kept, nor what it would have replaced", async () => {
  const cache = make({ maxBytes: 1_000 })
  await cache.lease([keyOf(1)], "mine")
  expect(await cache.fill([putOf(1, 1)])).toEqual(["stored"])
  expect(await cache.store([putOf(1, 2, 1_000)])).toEqual(["absent"])
  expect(await cache.look([{ key: keyOf(1), checkpoint: false }])).toEqual([{ value: null, checkpoint: null }])
})
