import { Context, Effect, Layer } from "effect"
import { CacheAccess, CacheUnavailable } from "../cache/CacheAccess.ts"
import { Entries } from "../cache/Entries.ts"
import { timeToLive } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import type { Key } from "../cache/Keyspace.ts"
import { Identifiers } from "../Identifiers.ts"
import type { Kind } from "../Kind.ts"
import type { Row } from "../ledger/Ledger.ts"
import { Log } from "../observe/Log.ts"
import { Metrics } from "../observe/Metrics.ts"
import { encode } from "./encode.ts"
import { RetryQueue } from "./RetryQueue.ts"

/** `stored`: the cache has it, or something newer. `queued`: it is owed. `nothing`: the cache holds nothing of it and is owed nothing. */
export type Synced = "stored" | "queued" | "nothing"

/** Permission to create absent entries, acknowledged before the statement is sent; null where it was not given. */
export interface Leases {
  readonly token: string
  readonly given: ReadonlySet<string>
  /** How long they took, in milliseconds. */
  readonly took: number
}

/** An entity as it was committed. */
export interface Stored { readonly kind: Kind; readonly row: Row }

/** The write's side of the cache: a lease before the statement, a store after it, and the queue where the store is missed. */
export class WriteThrough extends Context.Service<WriteThrough, {
  /** One that is not there within the cache's deadline is not used. */
  readonly lease: (kind: Kind, ids: readonly string[]) => Effect.Effect<Leases>
  readonly giveBack: (kind: Kind, leases: Leases) => Effect.Effect<void>
  /** Whether a commit writes the retry row itself, because the cache is known to be away. */
  readonly owes: () => boolean
  /** All that one commit changed. `owed`: it wrote the retry rows. */
  readonly store: (changes: readonly Stored[], leases: Leases, owed: boolean) => Effect.Effect<Synced>
}>()("holdfast/sync/WriteThrough") {
  static readonly layer = (options: { readonly ttlMilliseconds: number }) =>
    Layer.effect(WriteThrough, Effect.gen(function*() {
      const access = yield* CacheAccess, keyspace = yield* Keyspace, encodedOf = encode(yield* Entries), queue = yield* RetryQueue
      const identifiers = yield* Identifiers, log = yield* Log, metrics = yield* Metrics
      const keysOf = (kind: Kind, ids: Iterable<string>): Key[] => Array.from(ids, (id) => keyspace.keyOf(kind.name, id))

      const put = Effect.fnUntraced(function*(changes: readonly Stored[], leases: Leases) {
        const encoded = changes.map(({ kind, row }) => encodedOf(kind, row))
        const outcomes = yield* access.store(changes.map(({ kind, row }, i) => {
          const { value } = encoded[i]!
          return {
            key: keyspace.keyOf(kind.name, row.id),
            value,
            lease: leases.given.has(row.id) ? leases.token : null,
            ttlMilliseconds: timeToLive(value, options.ttlMilliseconds, identifiers.random())
          }
        }))
        // It is committed, and so it is owed.
        if (encoded.some(({ encodable }) => !encodable)) return yield* new CacheUnavailable({ reason: "cannot be encoded" })
        // A cache of a newer epoch refuses, and has nothing of this database.
        return outcomes.every((outcome) => outcome === "absent" || outcome === "refused") ? "nothing" as const : "stored" as const
      })

      return WriteThrough.of({
        lease: (kind, ids) => {
          const token = identifiers.token()
          const began = performance.now()
          return access.lease(keysOf(kind, ids), token).pipe(
            Effect.map((given) => ids.filter((_, i) => given[i])),
            Effect.catch(() => Effect.succeed([])),
            Effect.map((given) => ({ token, given: new Set(given), took: performance.now() - began }))
          )
        },
        giveBack: (kind, leases) => leases.given.size === 0 ? Effect.void : access.giveBack(keysOf(kind, leases.given), leases.token),
        owes: () => access.state() === "open",
        store: (changes, leases, owed) => {
          const began = performance.now()
          return put(changes, leases).pipe(
            // The cache came back between the decision and the store: the row in the queue goes with its replay.
            Effect.map((synced) => owed ? "queued" as const : synced),
            Effect.catch(({ reason }) => owed
              ? Effect.succeed("queued" as const)
              : queue.owe(changes.map(({ kind, row: { id, version } }) => ({ kind: kind.name, id, version, reason: `store missed: ${reason}` }))).pipe(
                // The change is in the outbox, so the relay finds it all the same.
                Effect.catch((error) => Effect.sync(() => log.warn("A missed store could not be queued; the relay will find it", { reason: error.reason }))),
                Effect.as("queued" as const)
              )),
            Effect.tap(() => Effect.sync(() => metrics.syncOverhead(leases.took + performance.now() - began)))
          )
        }
      })
    }))
}
