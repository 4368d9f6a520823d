import { Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { entryOf, forCache, timeToLive } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import type { Key } from "../cache/Keyspace.ts"
import { Identifiers } from "../Identifiers.ts"
import type { Kind } from "../Kind.ts"
import type { Row } from "../ledger/Ledger.ts"
import { Log } from "../observe/Log.ts"
import { Metrics } from "../observe/Metrics.ts"
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

/** The write's side of the cache: a lease before the statement, a store after it, and the queue where the store is missed. */
export class WriteThrough extends Context.Service<WriteThrough, {
  /** One that is not there within the cache's deadline is not used. */
  readonly lease: (kind: Kind, ids: readonly string[]) => Effect.Effect<Leases>
  readonly giveBack: (kind: Kind, leases: Leases) => Effect.Effect<void>
  /** Whether a commit writes the retry row itself, because the cache is known to be away. */
  readonly owes: () => boolean
  /** `owed`: the commit wrote the retry rows. */
  readonly store: (kind: Kind, rows: readonly Row[], leases: Leases, owed: boolean) => Effect.Effect<Synced>
}>()("holdfast/sync/WriteThrough") {
  static readonly layer = (options: { readonly ttlMilliseconds: number }) =>
    Layer.effect(WriteThrough, Effect.gen(function*() {
      const access = yield* CacheAccess, keyspace = yield* Keyspace, queue = yield* RetryQueue
      const identifiers = yield* Identifiers, log = yield* Log, metrics = yield* Metrics
      const keysOf = (kind: Kind, ids: Iterable<string>): Key[] => Array.from(ids, (id) => keyspace.keyOf(kind.name, id))

      const put = Effect.fnUntraced(function*(kind: Kind, rows: readonly Row[], leases: Leases) {
        const outcomes = yield* access.store(rows.map((row) => {
          const value = forCache(entryOf(kind, row))
          return {
            key: keyspace.keyOf(kind.name, row.id),
            value,
            lease: leases.given.has(row.id) ? leases.token : null,
            ttlMilliseconds: timeToLive(value, options.ttlMilliseconds, identifiers.random())
          }
        }))
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
        store: (kind, rows, leases, owed) => {
          const began = performance.now()
          return put(kind, rows, leases).pipe(
            // The cache came back between the decision and the store: the row in the queue goes with its replay.
            Effect.map((synced) => owed ? "queued" as const : synced),
            Effect.catch(({ reason }) => owed
              ? Effect.succeed("queued" as const)
              : queue.owe(rows.map(({ id, version }) => ({ kind: kind.name, id, version, reason: `store missed: ${reason}` }))).pipe(
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
