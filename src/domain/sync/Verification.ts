import { Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import type { CacheUnavailable } from "../cache/CacheAccess.ts"
import { Identifiers } from "../Identifiers.ts"
import type { Kind } from "../Kind.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { makeRebuildPage } from "./Rebuild.ts"
import { RowsCheck } from "./RowsCheck.ts"
import { makeVerificationPage } from "./VerificationPage.ts"
import { VerificationRuns } from "./VerificationRuns.ts"
import type { Order, Place, Run, Work } from "./VerificationRuns.ts"
import { added, tallying } from "./VerificationTally.ts"
import type { Tally } from "./VerificationTally.ts"

/** So many entities in a page: its place is committed with it, so that it is what a process that dies costs. */
const PAGE = 500
/** So many ids are read at most for one page of a sample. */
const MOST_IDS = 10_000

const WHOLE: Order = { work: "verification", kind: null, sample: 1, repair: true, reason: "asked", actor: "holdfast" }

/** What a page came to, and the id behind which the kind goes on; null at its end. */
interface Done { readonly tally: Tally; readonly next: string | null }

/**
 * Runs over all entities, a page at a time: entries held against rows, entries made of rows, rows held against events.
 * A page that failed, or whose process died before its place was kept, is done again; what it had repaired by then is
 * counted as fine.
 */
export class Verification extends Context.Service<Verification, {
  /** What is not said: a verification of everything, with repairs. One that waits to do the same is answered. */
  readonly start: (order: Partial<Order>) => Effect.Effect<Run, DatabaseUnavailable>
  readonly find: (id: string) => Effect.Effect<Run | null, DatabaseUnavailable>
  /** The verification that was finished last. */
  readonly last: Effect.Effect<Run | null, DatabaseUnavailable>
  /** One page of the run that comes next; false where there is none that this process can do, or none without the cache while that is away. */
  readonly round: Effect.Effect<boolean, DatabaseUnavailable | CacheUnavailable>
}>()("holdfast/sync/Verification") {
  static readonly layer = (options: { readonly kinds: readonly Kind[]; readonly ttlMilliseconds: number }) => Layer.effect(Verification, Effect.gen(function*() {
    const runs = yield* VerificationRuns, ledger = yield* Ledger, access = yield* CacheAccess, identifiers = yield* Identifiers, rows = yield* RowsCheck
    const verify = yield* makeVerificationPage(options), fill = yield* makeRebuildPage(options)

    const chosen = Effect.fnUntraced(function*(kind: Kind, after: string | null, sample: number) {
      const limit = Math.min(MOST_IDS, Math.ceil(PAGE / sample))
      const ids = yield* ledger.everyId(kind, after, limit)
      return { ids: sample === 1 ? ids : ids.filter(() => identifiers.random() < sample), next: ids.length === limit ? ids.at(-1)! : null }
    })

    const pages: { readonly [W in Work]: (run: Run, kind: Kind, after: string | null) => Effect.Effect<Done, DatabaseUnavailable | CacheUnavailable> } = {
      verification: Effect.fnUntraced(function*({ sample, repair }, kind, after) {
        const { ids, next } = yield* chosen(kind, after, sample)
        return { tally: yield* verify(kind, ids, repair), next }
      }),
      cache: Effect.fnUntraced(function*({ sample }, kind, after) {
        const { ids, next } = yield* chosen(kind, after, sample)
        return { tally: yield* fill(kind, ids), next }
      }),
      rows: Effect.fnUntraced(function*(_, kind, after) {
        const { compared, pruned, differences, next } = yield* rows.page(kind, after)
        const { tally, count, found } = tallying()
        count("fine", compared - differences.length)
        if (pruned > 0) count("pruned", pruned)
        for (const difference of differences) found("different", difference, null)
        return { tally, next }
      })
    }

    const round = Effect.gen(function*() {
      // Whoever noticed the new life: the cache may be ahead of the database.
      yield* runs.startOfEpoch
      const run = yield* runs.next(options.kinds.map(({ name }) => name), access.state() !== "open")
      if (run === null) return false
      if (run.startedAt === null) yield* runs.begin(run)
      const kinds = options.kinds.filter(({ name }) => run.kind === null || name === run.kind)
      const at = kinds.findIndex(({ name }) => name === run.place?.kind), kind = kinds[Math.max(0, at)]!
      const { tally, next } = yield* pages[run.work](run, kind, at === -1 ? null : run.place!.after)
      const following = kinds[Math.max(0, at) + 1]
      const place: Place | null = next !== null ? { kind: kind.name, after: next } : following === undefined ? null : { kind: following.name, after: null }
      yield* runs.move(run, place, added(run.tally, tally))
      return true
    })

    return Verification.of({ start: (order) => runs.start({ ...WHOLE, ...order }), find: runs.find, last: runs.last, round })
  }))
}
