import { Context, Effect, Exit, FiberSet, Layer, Semaphore } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { Entries } from "../cache/Entries.ts"
import { rankOf } from "../cache/Entry.ts"
import type { Entry } from "../cache/Entry.ts"
import type { Key } from "../cache/Keyspace.ts"
import type { Kind } from "../Kind.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { Outbox } from "../ledger/Outbox.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { Compared } from "../observe/Metrics.ts"
import { rankOfTruth, verdictOf } from "../sync/verdictOf.ts"
import type { Truth } from "../sync/verdictOf.ts"
import { shadowTally } from "./ShadowTally.ts"
import type { KindReport } from "./ShadowTally.ts"

/** A read that Postgres has answered, and how it would have gone with the cache. */
export interface ShadowRead {
  readonly kind: Kind
  readonly id: string
  readonly key: Key
  /** What was answered: read before the cache is asked, so that an older entry is behind, whatever happens meanwhile. */
  readonly answered: Truth
  /** Whether the checkpoint is needed to judge the entry. */
  readonly careful: boolean
  /** Whether the read would have been answered with this entry, new enough for its tokens and its max-age. */
  readonly serves: (entry: Entry, checkpoint: string | null) => boolean
  /** What Postgres says now. */
  readonly again: Effect.Effect<Truth, DatabaseUnavailable>
  /** What the read would have put into the cache: where nothing stands, or over what is too old. */
  readonly fill: (where: "absent" | "passedOver") => Effect.Effect<unknown, DatabaseUnavailable>
}

export interface ShadowReport {
  /** RFC 3339: this process began to count. */
  readonly since: string
  readonly kinds: readonly KindReport[]
}

// A page of a list is up to 200 comparisons, each some hundred bytes that wait for one MGET.
const MOST_UNDER_WAY = 1_000
// What is asked of Postgres for the cache's sake must not keep answers from its connections.
const AT_ONCE = 2

/**
 * Kinds whose reads Postgres answers while the cache is held against the answers: what it *would* have said is compared and
 * counted, and no client waits for it. Misses are filled as always, or there would be nothing to compare; what is behind
 * stays, as it would with the cache: the relay finds it or does not.
 */
export class ShadowReads extends Context.Service<ShadowReads, {
  /** Whether reads of this kind are answered by Postgres. */
  readonly covers: (kind: Kind) => boolean
  /** Returns at once. */
  readonly compare: (read: ShadowRead) => void
  /** What a read does to the cache that had not to ask it; returns at once. */
  readonly afterwards: (work: Effect.Effect<unknown, unknown>) => void
  /** Null where no kind is in shadow. */
  readonly report: () => ShadowReport | null
}>()("holdfast/shadow/ShadowReads") {
  /** `kinds`: the names of those in shadow. */
  static readonly layer = (kinds: readonly string[], mostUnderWay = MOST_UNDER_WAY) => Layer.effect(ShadowReads, make(kinds, mostUnderWay))
}

const make = (kinds: readonly string[], mostUnderWay: number) => Effect.gen(function*() {
  const access = yield* CacheAccess, entries = yield* Entries, ledger = yield* Ledger, outbox = yield* Outbox, metrics = yield* Metrics
  // Of the layer's scope: what is under way when the process ends is interrupted.
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const few = Semaphore.makeUnsafe(AT_ONCE)
  const since = new Date(performance.timeOrigin + performance.now()).toISOString()
  const tallies = new Map(kinds.map((name) => [name, shadowTally(name)]))
  let underWay = 0

  const count = (kind: Kind, result: Compared, ageMilliseconds: number | null = null): void => {
    tallies.get(kind.name)!.count(result, ageMilliseconds)
    metrics.shadow(kind.name, result, ageMilliseconds)
  }

  /** Whether it was begun. */
  const beside = (work: Effect.Effect<void>): boolean => {
    if (underWay >= mostUnderWay) return false
    underWay++
    fork(Effect.ensuring(work, Effect.sync(() => { underWay-- })))
    return true
  }

  /** For how long the cache has been behind: since the first write that the entry does not show, or a busy entity would flatter it. */
  const missedFor = (kind: Kind, { row }: Truth, { version }: Entry, now: number): Effect.Effect<number, DatabaseUnavailable> =>
    row === null
      ? Effect.succeed(Infinity)
      : Effect.map(outbox.history(kind, row.id, version, row.version, 1), (events) =>
        now - Math.min(Number(row.updatedAtNs) / 1e6, ...events.map(({ recordedAt }) => Date.parse(recordedAt))))

  const comparison = Effect.fnUntraced(function*({ kind, id, key, answered, careful, serves, again, fill }: ShadowRead) {
    const look = yield* Effect.promise(() => access.look(key, careful))
    if (look === null) return count(kind, "notCompared")
    const now = ledger.clock()
    // Not `read`: by the row this process has just seen the newest version, of which with the cache on it would not know.
    const entry = look.value === null ? null : entries.open(kind, id, look.value)
    if (entry !== null && !serves(entry, look.checkpoint)) {
      count(kind, "passedOver")
      return yield* Effect.ignore(few.withPermit(fill("passedOver")))
    }
    // Newer than the answer it may be by a commit meanwhile.
    const after = entry !== null && rankOf(entry) > rankOfTruth(answered) ? yield* few.withPermit(again) : answered
    const verdict = verdictOf(kind, answered, look.value, entry, after)
    if (verdict === "behind") {
      // Found is found: where nobody tells since when, it counts as old.
      const age = yield* Effect.exit(few.withPermit(missedFor(kind, answered, entry!, now)))
      return count(kind, verdict, Exit.isSuccess(age) ? age.value : Infinity)
    }
    count(kind, verdict === "fine" ? "agreed" : verdict === "different" ? "otherBytes" : verdict)
    if (verdict === "undecodable") yield* Effect.ignore(access.evict(key, "undecodable"))
    // Where somebody's lease stands none is given, and nothing is filled.
    if (verdict === "undecodable" || verdict === "absent") yield* Effect.ignore(few.withPermit(fill("absent")))
  })

  return ShadowReads.of({
    covers: ({ name }) => tallies.has(name),
    compare: (read) => {
      const { kind } = read
      const uncounted = Effect.sync(() => count(kind, "notCompared"))
      if (!beside(Effect.catchCause(comparison(read), () => uncounted))) count(kind, "notCompared")
    },
    afterwards: (work) => { beside(Effect.ignore(few.withPermit(work))) },
    report: () => kinds.length === 0 ? null : { since, kinds: Array.from(tallies.values(), ({ report }) => report()) }
  })
})
