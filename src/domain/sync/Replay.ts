import { Context, Effect, Layer } from "effect"
import type { Put } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import type { CacheUnavailable } from "../cache/CacheAccess.ts"
import { Entries } from "../cache/Entries.ts"
import { timeToLive } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Transitions } from "../cache/Transitions.ts"
import { Identifiers } from "../Identifiers.ts"
import type { Kind } from "../Kind.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { encode } from "./encode.ts"
import { delayAfter, MOST_TRIES } from "./RetryPolicy.ts"
import { RetryQueue } from "./RetryQueue.ts"
import type { Owed, Selection } from "./RetryQueue.ts"

const BATCH = 100
/** A dry run looks at so many rows at most. */
const MOST_LOOKED_AT = 1_000

type Fault = DatabaseUnavailable

/** Brings the cache what it is owed: takes a lease, reads the row, stores, and removes the queue's row if nobody owed again meanwhile. */
export class Replay extends Context.Service<Replay, {
  /** Rows whose time has come, a batch of them; answers how many were tried. */
  readonly round: Effect.Effect<number, Fault>
  /** What a replay would do: how many rows it would take, store, and find current already. */
  readonly preview: (selection: Selection | null) => Effect.Effect<{ readonly selected: number; readonly wouldStore: number; readonly alreadyCurrent: number }, Fault | CacheUnavailable>
}>()("holdfast/sync/Replay") {
  static readonly layer = (options: { readonly kinds: readonly Kind[]; readonly ttlMilliseconds: number }) =>
    Layer.effect(Replay, Effect.gen(function*() {
      const access = yield* CacheAccess, ledger = yield* Ledger, queue = yield* RetryQueue, keyspace = yield* Keyspace, entries = yield* Entries, identifiers = yield* Identifiers, transitions = yield* Transitions
      const kinds = new Map(options.kinds.map((kind) => [kind.name, kind])), encodedOf = encode(entries)
      const delay = (attempts: number) => delayAfter(attempts, identifiers.random())

      const replay = Effect.fnUntraced(function*(kind: Kind, owed: readonly Owed[]) {
        const keys = owed.map(({ id }) => keyspace.keyOf(kind.name, id))
        const token = identifiers.token()
        const given = yield* access.lease(keys, token)
        const { epoch, rows } = yield* ledger.rows(kind, owed.map(({ id }) => id))
        // One that is not there was lost with a life of the database, and was owed in the one that followed.
        const encoded = owed.map(({ id }) => {
          const row = rows.get(id)
          return row === undefined ? { value: entries.write(kind, id, entries.absence(kind, epoch)), encodable: true } : encodedOf(kind, row)
        })
        const puts = encoded.map(({ value }, i): Put => ({
          key: keys[i]!,
          value,
          lease: given[i] ? token : null,
          ttlMilliseconds: timeToLive(value, options.ttlMilliseconds, identifiers.random())
        }))
        // Nobody waits for it: with a write's short budget what was missed for being slow would be missed again and again.
        transitions.puts("replay", puts, yield* access.work((cache) => cache.store(puts)))
        yield* queue.settle(owed.filter((_, i) => encoded[i]!.encodable))
        yield* queue.postpone(owed.filter((_, i) => !encoded[i]!.encodable).map((row) =>
          ({ row, delayMilliseconds: delay(row.attempts), reason: "cannot be encoded", dead: row.attempts + 1 >= MOST_TRIES })))
      })

      const round = Effect.gen(function*() {
        const owed = yield* queue.due(BATCH)
        for (const [name, ofKind] of Map.groupBy(owed, ({ kind }) => kind)) {
          const kind = kinds.get(name)
          const postpone = (reason: string) => queue.postpone(ofKind.map((row) => ({ row, delayMilliseconds: delay(row.attempts), reason, dead: false })))
          // A newer version of the service, which is being rolled out, knows it.
          yield* kind === undefined ? postpone("unknown kind") : Effect.catchTag(replay(kind, ofKind), "CacheUnavailable", ({ reason }) => postpone(reason))
        }
        return owed.length
      })

      const preview = Effect.fnUntraced(function*(selection: Selection | null) {
        const owed = yield* queue.select(selection, MOST_LOOKED_AT)
        let alreadyCurrent = 0
        for (const [name, ofKind] of Map.groupBy(owed, ({ kind }) => kind)) {
          const kind = kinds.get(name)
          if (kind === undefined) continue
          const { rows } = yield* ledger.rows(kind, ofKind.map(({ id }) => id))
          const looks = yield* access.work((cache) => cache.look(ofKind.map(({ id }) => ({ key: keyspace.keyOf(name, id), checkpoint: false }))))
          ofKind.forEach(({ id }, i) => {
            const { value } = looks[i]!
            if (value !== null && entries.read(kind, id, value)?.version === (rows.get(id)?.version ?? 0)) alreadyCurrent++
          })
        }
        return { selected: owed.length, wouldStore: owed.length - alreadyCurrent, alreadyCurrent }
      })

      return Replay.of({ round, preview })
    }))
}
