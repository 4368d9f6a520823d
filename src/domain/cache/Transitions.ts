import { Context, Layer } from "effect"
import type { Outcome, Put } from "./Cache.ts"
import type { Key } from "./Keyspace.ts"

/** Who moved a key: the write-through, a reader's fill, a replay of the queue, the relay, a lease, an eviction, a verification, a rebuild. */
export type By = "store" | "fill" | "replay" | "settle" | "lease" | "evict" | "verify" | "rebuild"

/** One thing that this process did to a key, or was refused. */
export interface Transition {
  /** RFC 3339, by the clock of this machine. */
  readonly at: string
  readonly by: By
  /** Null where it was about no version: a lease, an eviction. */
  readonly versionId: number | null
  /** What came of it, or why it was done. */
  readonly outcome: string
  readonly process: string
}

interface Kept { readonly at: number; readonly by: By; readonly versionId: number | null; readonly outcome: string }

/** So many over all keys: some 2 MB. Whoever is moved often has no more than his share, so that he does not crowd out the others. */
const MOST = 10_000, MOST_OF_A_KEY = 20

/** `parseInt` of a text costs less than to open the entry, and a sealed header is plain. */
const versionIn = (value: Uint8Array): number => parseInt(Buffer.from(value.buffer, value.byteOffset + 13, 14).toString("latin1"), 16)

/**
 * What this process lately did to keys of the cache, for who asks why an entry is as it is. In memory, and bounded: nothing
 * of contents, and of a person no more than the key itself, in which a digest stands for the id. A hit is none.
 */
export class Transitions extends Context.Service<Transitions, {
  readonly record: (key: Key, by: By, versionId: number | null, outcome: string) => void
  /** One for each put. */
  readonly puts: (by: By, puts: readonly Put[], outcomes: readonly Outcome[]) => void
  /** The last of a key, oldest first. */
  readonly of: (key: Key) => readonly Transition[]
}>()("holdfast/cache/Transitions") {
  static readonly layer = (options: { readonly process: string; readonly most?: number }) => Layer.sync(Transitions, () => {
    const most = options.most ?? MOST
    // In the order of the last move.
    const kept = new Map<string, Kept[]>()
    let size = 0

    const record = ({ text }: Key, by: By, versionId: number | null, outcome: string): void => {
      const ofKey = kept.get(text) ?? []
      if (ofKey.length === MOST_OF_A_KEY) ofKey.shift()
      else size++
      ofKey.push({ at: performance.now(), by, versionId, outcome })
      kept.delete(text)
      kept.set(text, ofKey)
      for (const [oldest, { length }] of kept) {
        if (size <= most) break
        kept.delete(oldest)
        size -= length
      }
    }

    return Transitions.of({
      record,
      puts: (by, puts, outcomes) => puts.forEach(({ key, value }, i) => record(key, by, versionIn(value), outcomes[i]!)),
      of: ({ text }) => (kept.get(text) ?? []).map(({ at, ...rest }) =>
        ({ at: new Date(performance.timeOrigin + at).toISOString(), ...rest, process: options.process }))
    })
  })
}
