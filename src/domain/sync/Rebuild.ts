import { Effect } from "effect"
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
import { LOOK } from "./VerificationPage.ts"
import { tallying } from "./VerificationTally.ts"
import type { Tally } from "./VerificationTally.ts"

/**
 * Puts entries of rows where the cache has none, as a reader who misses does: a lease, then the row, then the fill. `stood`:
 * something is there already. `filled`. `left`: a change broke the lease, or the entity is not kept; the next read fills it.
 */
export const makeRebuildPage = (options: { readonly ttlMilliseconds: number }) => Effect.gen(function*() {
  const access = yield* CacheAccess, ledger = yield* Ledger, entries = yield* Entries, keyspace = yield* Keyspace
  const identifiers = yield* Identifiers, transitions = yield* Transitions, encoded = encode(entries)

  const piece = Effect.fnUntraced(function*(kind: Kind, ids: readonly string[], { count }: ReturnType<typeof tallying>) {
    const token = identifiers.token()
    const given = yield* access.work((cache) => cache.lease(ids.map((id) => keyspace.keyOf(kind.name, id)), token))
    const absent = ids.filter((_, i) => given[i])
    const { epoch, rows } = yield* ledger.rows(kind, absent)
    const puts = absent.map((id): Put => {
      const row = rows.get(id)
      const value = row === undefined ? entries.write(kind, id, entries.absence(kind, epoch)) : encoded(kind, row).value
      return { key: keyspace.keyOf(kind.name, id), value, lease: token, ttlMilliseconds: timeToLive(value, options.ttlMilliseconds, identifiers.random()) }
    })
    const outcomes = yield* access.work((cache) => cache.fill(puts))
    transitions.puts("rebuild", puts, outcomes)
    count("stood", ids.length - absent.length)
    for (const outcome of outcomes) count(outcome === "stored" ? "filled" : "left")
  })

  return Effect.fnUntraced(function*(kind: Kind, ids: readonly string[]): Effect.fn.Return<Tally, DatabaseUnavailable | CacheUnavailable> {
    const page = tallying()
    for (let from = 0; from < ids.length; from += LOOK) yield* piece(kind, ids.slice(from, from + LOOK), page)
    return page.tally
  })
})
