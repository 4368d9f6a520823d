import { Layer } from "effect"
import { Cache, isLease, LEASE_MILLISECONDS } from "../../domain/cache/Cache.ts"
import type { Outcome, Put } from "../../domain/cache/Cache.ts"

interface Held { readonly bytes: Uint8Array; readonly until: number }

// What a key costs beside its bytes: about that much for its place in the map.
const OVERHEAD = 128

const textOf = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(46, bytes.length)).toString("latin1")
// Fixed width, so that text compares as numbers do. A rank is epoch and version.
const rankIn = (bytes: Uint8Array) => textOf(bytes).slice(1, 27)
const epochIn = (checkpoint: string) => checkpoint.slice(1, 13)
const isLarge = (bytes: Uint8Array) => bytes[45] === 0x78
const leaseOf = (token: string) => new Uint8Array(Buffer.from(`L${token}`))

/** The cache protocol within one process, with the rules of the Redis scripts. Beyond `maxBytes` what was used longest ago goes, but no checkpoint. */
export const layerMemoryCache = ({ maxBytes = 64 * 1024 * 1024 }: { readonly maxBytes?: number } = {}) =>
  Layer.sync(Cache, () => {
    const checkpoints = new Map<number, string>()
    // In the order of use.
    const held = new Map<string, Held>()
    let size = 0

    const costOf = (key: string, { bytes }: Held) => key.length + bytes.length + OVERHEAD
    const remove = (key: string) => {
      const one = held.get(key)
      if (one === undefined) return
      held.delete(key)
      size -= costOf(key, one)
    }
    const find = (key: string): Held | null => {
      const one = held.get(key)
      if (one !== undefined && one.until > performance.now()) return one
      remove(key)
      return null
    }
    /** False where it alone is more than the limit. */
    const put = (key: string, value: Uint8Array, ttlMilliseconds: number): boolean => {
      remove(key)
      const one = { bytes: new Uint8Array(value), until: performance.now() + ttlMilliseconds }
      held.set(key, one)
      size += costOf(key, one)
      for (const oldest of held.keys()) {
        if (size <= maxBytes) break
        remove(oldest)
      }
      return held.has(key)
    }
    /** What is not kept would be stale where it stood. */
    const replace = (key: string, value: Uint8Array, ttlMilliseconds: number): Outcome => {
      if (!isLarge(value) && put(key, value, ttlMilliseconds)) return "stored"
      remove(key)
      return "absent"
    }

    const write = (breaks: boolean) => ({ key, value, lease, ttlMilliseconds }: Put): Outcome => {
      const rank = rankIn(value), stands = find(key.text)?.bytes
      if (rank.slice(0, 12) < epochIn(checkpoints.get(key.partition) ?? "")) return "refused"
      if (stands !== undefined && !isLease(stands)) {
        const there = rankIn(stands)
        return there < rank ? replace(key.text, value, ttlMilliseconds) : there === rank ? "current" : "older"
      }
      if (stands !== undefined && lease !== null && textOf(stands) === `L${lease}`) return replace(key.text, value, ttlMilliseconds)
      if (breaks) remove(key.text)
      return "absent"
    }

    const purge = async (partition: number, keys: readonly string[], expected: string | null, next: string) => {
      const stands = checkpoints.get(partition) ?? null
      if (stands !== expected || epochIn(next) < epochIn(stands ?? "")) return false
      keys.forEach(remove)
      checkpoints.set(partition, next)
      return true
    }

    return Cache.of({
      name: "memory",
      capabilities: ["one process"],
      look: async (wanted) => wanted.map(({ key, checkpoint }) => {
        const one = find(key.text)
        if (one !== null) {
          held.delete(key.text)
          held.set(key.text, one)
        }
        return { value: one?.bytes ?? null, checkpoint: checkpoint ? checkpoints.get(key.partition) ?? null : null }
      }),
      lease: async (keys, token) => keys.map(({ text }) => find(text) === null && put(text, leaseOf(token), LEASE_MILLISECONDS)),
      giveBack: async (keys, token) => {
        for (const { text } of keys) {
          const one = find(text)
          if (one !== null && textOf(one.bytes) === `L${token}`) remove(text)
        }
      },
      store: async (puts) => puts.map(write(true)),
      fill: async (puts) => puts.map(write(false)),
      checkpoints: async (partitions) => partitions.map((partition) => checkpoints.get(partition) ?? null),
      settle: async ({ partition, entries, expected, next, otherwise }) => {
        const epoch = epochIn(expected)
        if (checkpoints.get(partition) !== expected || epochIn(next) < epoch || entries.some(({ rank }) => rank < epoch)) return null
        const behind: number[] = [], broken: number[] = []
        entries.forEach(({ key, rank, value, ttlMilliseconds }, place) => {
          const stands = find(key.text)?.bytes
          if (stands === undefined) return
          if (isLease(stands)) {
            broken.push(place)
            return remove(key.text)
          }
          if (rankIn(stands) >= rank) return
          behind.push(place)
          if (value !== null) replace(key.text, value, ttlMilliseconds)
        })
        const moved = behind.every((place) => entries[place]!.value !== null)
        checkpoints.set(partition, moved ? next : otherwise)
        return { behind, broken, moved }
      },
      mark: (partition, expected, next) => purge(partition, [], expected, next),
      scan: async function*() { yield [...held.keys()].filter((key) => find(key) !== null) },
      purge,
      evict: async ({ text }) => remove(text),
      describe: async ({ text }) => {
        const one = find(text)
        return one === null ? { value: null, ttlMilliseconds: null } : { value: one.bytes, ttlMilliseconds: Math.ceil(one.until - performance.now()) }
      },
      count: null,
      ping: async () => {}
    })
  })
