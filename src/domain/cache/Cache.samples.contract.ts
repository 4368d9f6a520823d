import { expect } from "vitest"
import type { Cache, Put, Settled } from "./Cache.ts"
import { formatCheckpoint } from "./Checkpoint.ts"
import { rankOf } from "./Entry.ts"
import type { Value, What } from "./Entry.ts"
import { checkpointKey } from "./Keyspace.ts"
import type { Key } from "./Keyspace.ts"

export type Provider = Cache["Service"]
export type Rule = readonly [title: string, check: (cache: Provider) => Promise<void>]

export const PARTITION = 7, TTL = 60_000
const CODES = { entity: "e", deleted: "t", unknown: "a", large: "x" } satisfies Record<What, string>

export const keyOf = (id: string, partition = PARTITION): Key => ({ text: `${checkpointKey(partition)}:product:${id}`, partition })
export const k = keyOf("one")

interface Content { readonly epoch?: number; readonly payload?: Uint8Array; readonly what?: What }
export const valueOf = (version: number, { epoch = 1, payload = Buffer.from(`{"versionId":${version}}`), what = "entity" }: Content = {}): Value =>
  // Plain bytes, no Buffer, and not at the start of what they lie in: a port promises bytes only.
  new Uint8Array(Buffer.concat([
    Buffer.from(`?1${rankOf({ epoch, version })}${"0".repeat(18)}${CODES[what]}`),
    what === "entity" ? payload : Buffer.alloc(0)
  ])).subarray(1)

export const putOf = (version: number, lease: string | null = null, content: Content = {}, key = k): Put =>
  ({ key, value: valueOf(version, content), lease, ttlMilliseconds: TTL })
export const settledOf = (version: number, withContent: boolean, content: Content = {}, key = k): Settled =>
  ({ key, rank: rankOf({ epoch: content.epoch ?? 1, version }), value: withContent ? valueOf(version, content) : null, ttlMilliseconds: TTL })

export const checkpoint = (mark: number, epoch = 1) =>
  formatCheckpoint({ is: "settled", epoch, mark: String(mark).padStart(16, "0"), time: 1, snapshot: { xmin: 9n, xmax: 9n, open: [] } })
export const purging = (pieces: number, epoch = 1) => formatCheckpoint({ is: "purge", epoch, mark: "f".repeat(16), pieces })

export const lookAt = async (cache: Provider, key = k) => (await cache.look([{ key, checkpoint: true }]))[0]!
export const bytesAt = async (cache: Provider, key = k) => {
  const { value } = await lookAt(cache, key)
  return value === null ? null : Buffer.from(value)
}
export const expectEntry = async (cache: Provider, version: number, content: Content = {}, key = k) =>
  expect(await bytesAt(cache, key)).toEqual(Buffer.from(valueOf(version, content)))
export const expectLease = async (cache: Provider, token: string, key = k) => expect(String(await bytesAt(cache, key))).toBe(`L${token}`)
export const expectNothing = async (cache: Provider, key = k) => expect(await bytesAt(cache, key)).toBe(null)
export const expectCheckpoint = async (cache: Provider, text: string | null, partition = PARTITION) =>
  expect(await cache.checkpoints([partition])).toEqual([text])

/** An entry, created as a reader would. */
export const given = async (cache: Provider, version: number, content: Content = {}, key = k) => {
  await cache.lease([key], "given")
  expect(await cache.fill([putOf(version, "given", content, key)])).toEqual(["stored"])
}
export const settle = (cache: Provider, entries: readonly Settled[], expected = checkpoint(1), next = checkpoint(2)) =>
  cache.settle({ partition: PARTITION, entries, expected, next, otherwise: checkpoint(3) })

/** Waits for what time alone brings about. */
export const until = async (condition: () => Promise<boolean>) => {
  while (!(await condition())) await new Promise((resume) => { setTimeout(resume, 5) })
}

export const LAST = Number.MAX_SAFE_INTEGER
/** (epoch, version) before (epoch, version). As text of the wrong width, as Lua numbers or in another alphabet's order some of these turn round. */
export const ORDERED: readonly (readonly [number, number, number, number])[] = [
  [1, 1, 1, 2], [1, 9, 1, 10], [1, 15, 1, 16], [1, 0x99, 1, 0x9a], [1, 0xaa, 1, 0xab], [1, 0xaa, 1, 0xb0], [1, 255, 1, 256],
  [1, 2 ** 32 - 1, 1, 2 ** 32], [1, LAST - 1, 1, LAST], [1, LAST, 2, 1], [0xaa, LAST, 0xab, 0], [1_763_700_000_000, 5, 1_763_700_000_001, 4]
]
