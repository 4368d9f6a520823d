import { Effect } from "effect"
import type { Put } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import type { CacheUnavailable } from "../cache/CacheAccess.ts"
import { Entries } from "../cache/Entries.ts"
import { timeToLive } from "../cache/Entry.ts"
import type { Entry } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Transitions } from "../cache/Transitions.ts"
import { Identifiers } from "../Identifiers.ts"
import type { Kind } from "../Kind.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { DatabaseUnavailable, Row } from "../ledger/Ledger.ts"
import { encode } from "./encode.ts"
import { tallying } from "./VerificationTally.ts"
import type { Tally } from "./VerificationTally.ts"
import { verdictOf } from "./verdictOf.ts"
import type { Truth, Verdict, Wrong } from "./verdictOf.ts"

type Fault = DatabaseUnavailable | CacheUnavailable

/** At most so many keys in one MGET: entries have up to 64 KB. */
export const LOOK = 100
/** A store has this long to arrive before its entry counts as behind: many times its budget, and longer than a machine stalls. */
const ON_ITS_WAY = "500 millis"

const isRight = (verdict: Verdict): verdict is "fine" | "absent" => verdict === "fine" || verdict === "absent"

/**
 * Holds the entries of some entities against their rows. What seems wrong is looked at again: a difference counts only if
 * it stands. Repairs are the protocol's own: an older entry is replaced under the guard, and what no guard can tell of (an
 * entry that is ahead, cannot be read, or has other content for its version) is evicted, which is always harmless.
 */
export const makeVerificationPage = (options: { readonly ttlMilliseconds: number }) => Effect.gen(function*() {
  const access = yield* CacheAccess, ledger = yield* Ledger, entries = yield* Entries, keyspace = yield* Keyspace
  const identifiers = yield* Identifiers, transitions = yield* Transitions, encoded = encode(entries)

  const truths = (kind: Kind, ids: readonly string[]): Effect.Effect<ReadonlyMap<string, Truth>, DatabaseUnavailable> =>
    Effect.map(ledger.rows(kind, ids), ({ epoch, rows }) => new Map(ids.map((id) => [id, { row: rows.get(id) ?? null, epoch }])))

  const look = (kind: Kind, ids: readonly string[]) =>
    Effect.map(access.work((cache) => cache.look(ids.map((id) => ({ key: keyspace.keyOf(kind.name, id), checkpoint: false })))), (looks) =>
      new Map(ids.map((id, i) => {
        const { value } = looks[i]!
        // Not `read`: one that is older than what this process has seen is behind, and that is to be said of it.
        return [id, { value, entry: value === null ? null : entries.open(kind, id, value) }] as const
      })))

  const replace = Effect.fnUntraced(function*(kind: Kind, id: string, { row, epoch }: Truth) {
    const value = row === null ? entries.write(kind, id, entries.absence(kind, epoch)) : encoded(kind, row).value
    const put: Put = { key: keyspace.keyOf(kind.name, id), value, lease: null, ttlMilliseconds: timeToLive(value, options.ttlMilliseconds, identifiers.random()) }
    const outcomes = yield* access.work((cache) => cache.fill([put]))
    transitions.puts("verify", [put], outcomes)
    return outcomes[0] !== "refused"
  })

  /** Whether it is right now. An entry of a newer life of the database is left to that one. */
  const repair = Effect.fnUntraced(function*(kind: Kind, id: string, wrong: Wrong, entry: Entry | null, after: Truth): Effect.fn.Return<boolean, Fault> {
    if (wrong === "behind") return yield* replace(kind, id, after)
    if (entry !== null && entry.epoch > after.epoch) return false
    const key = keyspace.keyOf(kind.name, id)
    yield* access.work((cache) => cache.evict(key))
    transitions.record(key, "verify", entry?.version ?? null, `${wrong}: evicted`)
    return true
  })

  const ageOf = (row: Row | null): number | null =>
    row === null ? null : Math.max(0, ledger.clock() - Number(BigInt(row.updatedAtNs) / 1_000_000n)) / 1_000

  /** Rows first, then entries; answers what seems wrong, with its row. */
  const suspects = Effect.fnUntraced(function*(kind: Kind, ids: readonly string[], { count }: ReturnType<typeof tallying>) {
    const rows = yield* truths(kind, ids), looks = yield* look(kind, ids), out: (readonly [id: string, before: Truth])[] = []
    for (const id of ids) {
      const { value, entry } = looks.get(id)!, truth = rows.get(id)!
      const verdict = verdictOf(kind, truth, value, entry, truth)
      if (isRight(verdict)) count(verdict)
      else out.push([id, truth])
    }
    return out
  })

  /** Entries first, then rows again: what is wrong now is. */
  const judge = Effect.fnUntraced(function*(kind: Kind, suspected: readonly (readonly [id: string, before: Truth])[], repairs: boolean, { count, found }: ReturnType<typeof tallying>) {
    const ids = suspected.map(([id]) => id)
    const looks = yield* look(kind, ids), rows = yield* truths(kind, ids)
    for (const [id, before] of suspected) {
      const { value, entry } = looks.get(id)!, truth = rows.get(id)!
      const verdict = verdictOf(kind, before, value, entry, truth)
      if (isRight(verdict)) {
        count(verdict)
        continue
      }
      found(verdict, { kind: kind.name, id, versionId: truth.row?.version ?? null, entryVersionId: entry?.version ?? null }, ageOf(truth.row))
      if (repairs && (yield* repair(kind, id, verdict, entry, truth))) count("repaired")
    }
  })

  return Effect.fnUntraced(function*(kind: Kind, ids: readonly string[], repairs: boolean): Effect.fn.Return<Tally, Fault> {
    const page = tallying(), seemWrong: (readonly [id: string, before: Truth])[] = []
    for (let from = 0; from < ids.length; from += LOOK) seemWrong.push(...yield* suspects(kind, ids.slice(from, from + LOOK), page))
    if (seemWrong.length > 0) yield* Effect.sleep(ON_ITS_WAY)
    for (let from = 0; from < seemWrong.length; from += LOOK) yield* judge(kind, seemWrong.slice(from, from + LOOK), repairs, page)
    return page.tally
  })
})
