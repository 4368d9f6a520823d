import fc from "fast-check"
import { expect } from "vitest"
import type { Outcome } from "./Cache.ts"
import type { What } from "./Entry.ts"
import { PARTITION, k, valueOf, putOf, settledOf, checkpoint, lookAt, LAST } from "./Cache.samples.contract.ts"
import type { Provider } from "./Cache.samples.contract.ts"

/** One key and its checkpoint, as the rules in the design say it in the fewest words. */
class Reference {
  entry: { readonly epoch: number; readonly version: number; readonly bytes: Buffer } | null = null
  lease: string | null = null
  checkpoint: { readonly epoch: number; readonly text: string } | null = null

  private put(epoch: number, version: number, what: What) {
    this.lease = null
    this.entry = what === "large" ? null : { epoch, version, bytes: Buffer.from(valueOf(version, { epoch, what })) }
    return what === "large" ? "absent" : "stored"
  }
  write(breaks: boolean, epoch: number, version: number, lease: string | null, what: What): Outcome {
    if (this.checkpoint !== null && epoch < this.checkpoint.epoch) return "refused"
    if (this.entry !== null) {
      const before = this.entry.epoch - epoch || this.entry.version - version
      return before < 0 ? this.put(epoch, version, what) : before === 0 ? "current" : "older"
    }
    if (lease !== null && lease === this.lease) return this.put(epoch, version, what)
    if (breaks) this.lease = null
    return "absent"
  }
  settle(matches: boolean, epoch: number, version: number, content: boolean, what: What, to: string, otherwise: string) {
    if (!matches || this.checkpoint === null || epoch < this.checkpoint.epoch) return null
    const broken = this.lease === null ? [] : [0]
    this.lease = null
    const behind = this.entry !== null && (this.entry.epoch - epoch || this.entry.version - version) < 0
    if (behind && content) this.put(epoch, version, what)
    const moved = !behind || content
    this.checkpoint = { epoch, text: moved ? to : otherwise }
    return { behind: behind ? [0] : [], broken, moved }
  }
  move(matches: boolean, epoch: number, to: string, purges: boolean) {
    if (!matches || (this.checkpoint !== null && epoch < this.checkpoint.epoch)) return false
    this.checkpoint = { epoch, text: to }
    if (purges) this.entry = this.lease = null
    return true
  }
}

const epochs = fc.integer({ min: 1, max: 2 }), versions = fc.constantFrom(1, 2, 9, 10, 0xaa, 0xab, LAST - 1, LAST)
const tokens = fc.constantFrom("a", "b", "c"), whats = fc.constantFrom<What>("entity", "entity", "entity", "deleted", "large"), matches = fc.constantFrom(true, true, true, false)
const operations = fc.oneof(
  fc.record({ does: fc.constant("lease" as const), token: tokens }),
  fc.record({ does: fc.constant("giveBack" as const), token: tokens }),
  fc.record({ does: fc.constantFrom("store" as const, "fill" as const), epoch: epochs, version: versions, lease: fc.option(tokens), what: whats }),
  fc.record({ does: fc.constant("settle" as const), matches, epoch: epochs, version: versions, content: fc.boolean(), what: whats }),
  fc.record({ does: fc.constantFrom("mark" as const, "purge" as const), matches, epoch: epochs }),
  fc.record({ does: fc.constant("evict" as const) })
)

export const agrees = (make: () => Promise<{ readonly cache: Provider }>) => fc.asyncProperty(fc.array(operations, { maxLength: 40 }), async (steps) => {
  const { cache } = await make(), reference = new Reference()
  let marks = 100
  for (const step of steps) {
    const stands = reference.checkpoint?.text ?? null
    if (step.does === "lease") {
      const free = reference.entry === null && reference.lease === null
      if (free) reference.lease = step.token
      expect(await cache.lease([k], step.token)).toEqual([free])
    } else if (step.does === "giveBack") {
      if (reference.lease === step.token) reference.lease = null
      await cache.giveBack([k], step.token)
    } else if (step.does === "evict") {
      reference.entry = reference.lease = null
      await cache.evict(k)
    } else if (step.does === "settle") {
      const to = checkpoint(++marks, step.epoch), otherwise = checkpoint(++marks, step.epoch)
      const expected = step.matches && stands !== null ? stands : checkpoint(99)
      expect(await cache.settle({ partition: PARTITION, entries: [settledOf(step.version, step.content, step)], expected, next: to, otherwise }))
        .toEqual(reference.settle(step.matches, step.epoch, step.version, step.content, step.what, to, otherwise))
    } else if ("lease" in step) {
      expect(await cache[step.does]([putOf(step.version, step.lease, step)]))
        .toEqual([reference.write(step.does === "store", step.epoch, step.version, step.lease, step.what)])
    } else {
      const to = checkpoint(++marks, step.epoch), purges = step.does === "purge" && stands !== null
      const expected = step.matches ? stands : checkpoint(99)
      expect(purges ? await cache.purge(PARTITION, [k.text], expected!, to) : await cache.mark(PARTITION, expected, to))
        .toBe(reference.move(step.matches, step.epoch, to, purges))
    }
    const { value, checkpoint: text } = await lookAt(cache)
    expect([value === null ? null : Buffer.from(value), text]).toEqual([
      reference.entry?.bytes ?? (reference.lease === null ? null : Buffer.from(`L${reference.lease}`)),
      reference.checkpoint?.text ?? null
    ])
  }
})
