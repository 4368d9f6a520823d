import { expect, test } from "vitest"
import { LEASE_MILLISECONDS } from "./Cache.ts"
import type { Cache, Outcome, Put } from "./Cache.ts"
import { coreRules } from "./Cache.entries.contract.ts"

/** A cache as it is often built: what comes is put, and nobody asks what stands there. */
const naive = (): Cache["Service"] => {
  const held = new Map<string, Uint8Array>(), checkpoints = new Map<number, string>()
  const put = async (puts: readonly Put[]) => puts.map(({ key, value }): Outcome => {
    held.set(key.text, value)
    return "stored"
  })
  const remove = (keys: readonly string[]) => { for (const key of keys) held.delete(key) }
  return {
    name: "naive",
    capabilities: [],
    look: async (wanted) => wanted.map(({ key, checkpoint }) => ({ value: held.get(key.text) ?? null, checkpoint: checkpoint ? checkpoints.get(key.partition) ?? null : null })),
    lease: async (keys, token) => keys.map(({ text }) => {
      if (!held.has(text)) held.set(text, Buffer.from(`L${token}`))
      return true
    }),
    giveBack: async (keys) => remove(keys.map(({ text }) => text)),
    store: put,
    fill: put,
    checkpoints: async (partitions) => partitions.map((partition) => checkpoints.get(partition) ?? null),
    settle: async ({ partition, entries, next }) => {
      for (const { key, value } of entries) if (value !== null) held.set(key.text, value)
      checkpoints.set(partition, next)
      return { behind: [], broken: [], moved: true }
    },
    mark: async (partition, _, next) => {
      checkpoints.set(partition, next)
      return true
    },
    scan: async function*() { yield [...held.keys()] },
    purge: async (partition, keys, _, next) => {
      remove(keys)
      checkpoints.set(partition, next)
      return true
    },
    evict: async ({ text }) => remove([text]),
    describe: async ({ text }) => ({ value: held.get(text) ?? null, ttlMilliseconds: LEASE_MILLISECONDS }),
    count: null,
    ping: async () => {}
  }
}

test.each(coreRules)("the suite sees that a naive cache breaks the rule: %s", async (_, check) => {
  await expect(check(naive())).rejects.toThrow()
})
