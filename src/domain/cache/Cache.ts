import { Context } from "effect"
import type { Value } from "./Entry.ts"
import type { Key } from "./Keyspace.ts"

/**
 * `stored`: it stands there now. `current`: that version stood there. `older`: a newer one stands there. `absent`: nothing
 * stood there, and nothing was put there. `refused`: it is of an older epoch than the partition's checkpoint.
 */
export type Outcome = "stored" | "current" | "older" | "absent" | "refused"

/** Bytes under a key (an entry or a lease; null where there is nothing), and the partition's checkpoint if it was asked for. */
export interface Look { readonly value: Uint8Array | null; readonly checkpoint: string | null }

export interface Put {
  readonly key: Key
  readonly value: Value
  /** The lease under which an absent entry may be created; null without one. */
  readonly lease: string | null
  readonly ttlMilliseconds: number
}

/** What the relay found committed: a rank (`rankOf`), and the content if it is at hand. */
export interface Settled { readonly key: Key; readonly rank: string; readonly value: Value | null; readonly ttlMilliseconds: number }

export interface Settlement {
  readonly partition: number
  readonly entries: readonly Settled[]
  /** The checkpoint that must stand there, or nothing is done. */
  readonly expected: string
  /** The checkpoint to be, if no entry is left behind … */
  readonly next: string
  /** … and otherwise: the same place with a fresh mark. */
  readonly otherwise: string
}

/** `behind` are the places in `entries` whose entry was older; with content they were replaced. `broken` are those where a lease stood, which went. Null: another checkpoint stood there. */
export type Verdict = { readonly behind: readonly number[]; readonly broken: readonly number[]; readonly moved: boolean } | null

export interface Described { readonly value: Uint8Array | null; readonly ttlMilliseconds: number | null }

/** At most so many entries, and bytes of content, in one settlement: a larger script would hold the cache up. */
export const MOST_ENTRIES = 100
export const MOST_BYTES = 256 * 1024
/** A lease that is not used is gone after this, in milliseconds. */
export const LEASE_MILLISECONDS = 5_000

/**
 * The cache protocol. Each method is atomic for each key, `settle` and `purge` for their partition. Every method rejects
 * when the cache cannot be reached; a full cache is not an error: nothing is put, and what would be stale is removed.
 * Promises, not effects: a hit costs about 35 µs, of which an effect would be a third.
 */
export class Cache extends Context.Service<Cache, {
  readonly name: string
  /** Promises that this provider cannot keep. */
  readonly capabilities: readonly string[]
  /** Entries and, where wanted, their checkpoints, all in one command. */
  readonly look: (keys: readonly { readonly key: Key; readonly checkpoint: boolean }[]) => Promise<readonly Look[]>
  /** Puts a lease where nothing stands. True for those that were given. */
  readonly lease: (keys: readonly Key[], token: string) => Promise<readonly boolean[]>
  /** Takes a lease back, if it is still that one. */
  readonly giveBack: (keys: readonly Key[], token: string) => Promise<void>
  /** After a commit: replaces an older entry, creates under its own lease, breaks a foreign one, leaves an absent key absent. */
  readonly store: (puts: readonly Put[]) => Promise<readonly Outcome[]>
  /** After a read: like a store, but it never breaks a foreign lease. */
  readonly fill: (puts: readonly Put[]) => Promise<readonly Outcome[]>
  readonly checkpoints: (partitions: readonly number[]) => Promise<readonly (string | null)[]>
  readonly settle: (settlement: Settlement) => Promise<Verdict>
  /** Compare-and-set of a checkpoint; `expected` null where there is none. */
  readonly mark: (partition: number, expected: string | null, next: string) => Promise<boolean>
  /** Every key of the cache, in pieces; a key that is there all the time is among them. */
  readonly scan: () => AsyncIterable<readonly string[]>
  /** Removes entries and leases of one partition and moves its checkpoint, if the expected one stands there. */
  readonly purge: (partition: number, keys: readonly string[], expected: string, next: string) => Promise<boolean>
  /** As an eviction would. */
  readonly evict: (key: Key) => Promise<void>
  readonly describe: (key: Key) => Promise<Described>
  /** One more under a name that lives so long from its first on; answers how many. Null where no other process counts there too. */
  readonly count: ((name: string, ttlMilliseconds: number) => Promise<number>) | null
  readonly ping: () => Promise<void>
}>()("holdfast/cache/Cache") {}

/** A lease stands in the entry's place: `L` and a token. */
export const isLease = (value: Uint8Array): boolean => value[0] === 0x4c
