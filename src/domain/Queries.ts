import { Context, Effect, Layer } from "effect"
import { isLease } from "./cache/Cache.ts"
import type { Look } from "./cache/Cache.ts"
import { CacheAccess } from "./cache/CacheAccess.ts"
import { Entries } from "./cache/Entries.ts"
import { isLiving } from "./cache/Entry.ts"
import type { Entry } from "./cache/Entry.ts"
import { Keyspace } from "./cache/Keyspace.ts"
import type { Key } from "./cache/Keyspace.ts"
import { judge } from "./Freshness.ts"
import type { Freshness } from "./Freshness.ts"
import { Identifiers } from "./Identifiers.ts"
import type { Kind } from "./Kind.ts"
import { checkTokens } from "./ledger/checkTokens.ts"
import { DatabaseUnavailable, Ledger } from "./ledger/Ledger.ts"
import type { Page } from "./ledger/Ledger.ts"
import { LISTED, oldestOf, Replica } from "./ledger/Replica.ts"
import { makeLoads } from "./Loads.ts"
import { Metrics } from "./observe/Metrics.ts"
import type { TokenUnknown } from "./Refusal.ts"
import { ShadowReads } from "./shadow/ShadowReads.ts"
import type { Truth } from "./sync/verdictOf.ts"

/**
 * Where an answer came from. `hit`: the cache. `miss`: Postgres, because the cache held nothing. `stale`: Postgres, because
 * the entry was older than asked for. `request`: Postgres was asked for. `bypass`: the cache is unavailable.
 */
export interface Source {
  readonly from: "hit" | "miss" | "stale" | "request" | "bypass"
  /** The entry now is what was answered. */
  readonly stored: boolean
  /** Another request's load was shared. */
  readonly collapsed: boolean
  /** A hit while Postgres cannot be reached. */
  readonly databaseAway: boolean
  /** A bypass although the cache is there: it is only held against what Postgres answers. */
  readonly shadow?: true
}

export interface Found { readonly entry: Entry; readonly source: Source }
export interface ListPage {
  readonly entries: readonly Entry[]
  /** How many entities the page has, deleted ones included, and how many of them the cache answered. */
  readonly size: number
  readonly hits: number
  /** The bodies come from Postgres, and the cache is only held against them. */
  readonly shadow: boolean
  /** The id to go on after; null on the last page. */
  readonly next: string | null
}

type ReadFault = DatabaseUnavailable | TokenUnknown
const HIT: Source = { from: "hit", stored: false, collapsed: false, databaseAway: false }
const SHADOW: Source = { from: "bypass", stored: false, collapsed: false, databaseAway: false, shadow: true }
const source = (from: Source["from"], stored = false, collapsed = false): Source => ({ from, stored, collapsed, databaseAway: false })

/** The use case behind every read: the cache first, Postgres where the cache cannot answer. */
export class Queries extends Context.Service<Queries, {
  /** Plain promises: on a hit nothing but the look itself is awaited. Rejects with a `ReadFault`. */
  readonly read: (kind: Kind, id: string, freshness: Freshness) => Promise<Found>
  readonly list: (kind: Kind, page: Page, freshness: Freshness) => Effect.Effect<ListPage, ReadFault>
  /** Nobody shares a load that began before this. */
  readonly startAnew: () => void
}>()("holdfast/Queries") {
  static readonly layer = (options: { readonly ttlMilliseconds: number; readonly lane: number; readonly fallback: boolean }) =>
    Layer.effect(Queries, make(options))
}

const make = (options: { readonly ttlMilliseconds: number; readonly lane: number; readonly fallback: boolean }) =>
  Effect.gen(function*() {
    const access = yield* CacheAccess, ledger = yield* Ledger, keyspace = yield* Keyspace, entries = yield* Entries
    const identifiers = yield* Identifiers, metrics = yield* Metrics, shadow = yield* ShadowReads
    const replica = yield* Replica
    const { throughLane, truths, entryOf, load, one, underLease, miss, many, shared, startAnew } = yield* makeLoads(options)
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    /** What stands there is none of ours: damage, a forgery, or another format. It is as good as evicted, and so it will be. */
    const isForeign = (kind: Kind, id: string, look: Look | null): boolean =>
      look?.value != null && !isLease(look.value) && entries.open(kind, id, look.value) === null

    const switchedOff = Effect.fail(new DatabaseUnavailable({ reason: "the cache is unavailable and the fall-back is switched off" }))

    const { satisfies, youngEnough } = judge(ledger, identifiers)
    const check = checkTokens(ledger, identifiers.authenticate)

    const answer = async (kind: Kind, id: string, entry: Entry, freshness: Freshness, from: Source): Promise<Found> => {
      await run(check(kind, id, entry.epoch, freshness.tokens))
      metrics.read(kind.name, from.from)
      return { entry, source: from }
    }

    /**
     * The row as the replica has it, where the request says how old it may be; it fills nothing. Null: the primary is asked,
     * also for an id of which the replica may just not have heard.
     */
    const fromReplica = async (kind: Kind, id: string, freshness: Freshness): Promise<Entry | null> => {
      const found = await run(replica.ask(oldestOf(kind, freshness, null), ({ ledger }) => ledger.rows(kind, [id])))
      const row = found?.rows.get(id)
      return row === undefined ? null : entries.of(kind, row)
    }

    const fromPostgres = async (kind: Kind, key: Key, id: string, freshness: Freshness, from: "miss" | "stale" | "request" | "bypass"): Promise<Found> => {
      if (from === "bypass") {
        if (!options.fallback) await run(switchedOff)
        const bounded = await fromReplica(kind, id, freshness)
        if (bounded !== null) return answer(kind, id, bounded, freshness, source("bypass"))
        // It never joins a load that began before it.
        if (freshness.noCache) return answer(kind, id, (await run(load(kind, [id]))).get(id)!, freshness, source("bypass"))
        const { load: loading, joined } = shared(`bypass ${key.text}`, () => Effect.map(load(kind, [id]), (loaded) => ({ entry: loaded.get(id)!, stored: false, hit: false })))
        const { entry } = await loading
        const good = !joined || satisfies(kind, id, entry, freshness.tokens, null)
        return answer(kind, id, good ? entry : (await run(load(kind, [id]))).get(id)!, freshness, source("bypass", false, joined && good))
      }
      if (from === "miss") {
        const { load: loading, joined } = shared(key.text, () => miss(kind, key, id))
        const { entry, stored, hit } = await loading
        // What somebody else loaded is held against the tokens too; what fails is read again.
        if (joined || hit ? satisfies(kind, id, entry, freshness.tokens, null) && freshness.maxAgeSeconds === null : true) {
          return answer(kind, id, entry, freshness, hit ? HIT : source("miss", stored, joined))
        }
        from = "stale"
      }
      // Without the primary's clock no entry is young enough, and only a read there brings that.
      const bounded = from === "stale" && ledger.clock() < Infinity ? await fromReplica(kind, id, freshness) : null
      if (bounded !== null) return answer(kind, id, bounded, freshness, source("stale"))
      // An entry stands there, and by the guard a newer one replaces it without a lease; where none does, a lease lets it be made.
      const leased = from === "request" ? await run(underLease(kind, key, id)) : null
      const { entry, stored } = leased ?? await run(one(kind, key, id, null))
      return answer(kind, id, entry, freshness, source(from, stored))
    }

    /** Holds the cache against an answer of Postgres, as this read would have asked it; nobody waits for that. */
    const shadowed = (kind: Kind, key: Key, id: string, freshness: Freshness, answered: Truth): void => {
      const fill = (where: "absent" | "passedOver"): Effect.Effect<unknown, DatabaseUnavailable> =>
        where === "absent" ? underLease(kind, key, id) : one(kind, key, id, null)
      if (freshness.noCache) {
        return shadow.afterwards(Effect.flatMap(fill("absent"), (loaded) => loaded === null ? fill("passedOver") : Effect.void))
      }
      shadow.compare({
        kind, id, key, answered, fill,
        careful: freshness.tokens.length > 0 || freshness.maxAgeSeconds !== null,
        serves: (entry, checkpoint) => satisfies(kind, id, entry, freshness.tokens, checkpoint) && youngEnough(checkpoint, freshness.maxAgeSeconds),
        again: Effect.map(truths(kind, [id]), (found) => found.get(id)!)
      })
    }

    const readInShadow = async (kind: Kind, key: Key, id: string, freshness: Freshness): Promise<Found> => {
      const answered = (await run(truths(kind, [id]))).get(id)!
      const found = await answer(kind, id, entryOf(kind, answered), freshness, freshness.noCache ? source("request") : SHADOW)
      shadowed(kind, key, id, freshness, answered)
      return found
    }

    const read = async (kind: Kind, id: string, freshness: Freshness): Promise<Found> => {
      const key = keyspace.keyOf(kind.name, id)
      if (shadow.covers(kind)) return readInShadow(kind, key, id, freshness)
      if (freshness.noCache) return fromPostgres(kind, key, id, freshness, access.trusts(key.partition) ? "request" : "bypass")
      const look = await access.look(key, freshness.tokens.length > 0 || freshness.maxAgeSeconds !== null)
      if (look === null) return fromPostgres(kind, key, id, freshness, "bypass")
      if (look.value === null || isLease(look.value)) return fromPostgres(kind, key, id, freshness, "miss")
      const entry = entries.read(kind, id, look.value)
      if (entry === null) {
        // Older than what was seen already: by the guard the row replaces it. Evicted it is not, for a look that a store of
        // this process has overtaken brings such a one too, and then what was stored would go.
        if (!isForeign(kind, id, look)) return fromPostgres(kind, key, id, freshness, "stale")
        await run(Effect.ignore(access.evict(key, "undecodable")))
        return fromPostgres(kind, key, id, freshness, "miss")
      }
      if (!satisfies(kind, id, entry, freshness.tokens, look.checkpoint) || !youngEnough(look.checkpoint, freshness.maxAgeSeconds)) {
        return fromPostgres(kind, key, id, freshness, "stale")
      }
      metrics.read(kind.name, "hit")
      return { entry, source: ledger.reachable() ? HIT : { ...HIT, databaseAway: true } }
    }

    const list = Effect.fnUntraced(function*(kind: Kind, page: Page, freshness: Freshness): Effect.fn.Return<ListPage, ReadFault> {
      const oneMore = { ...page, limit: page.limit + 1 }
      // Ids alone: a body is the cache's, or the primary's, which fills it.
      const more = (yield* replica.ask(oldestOf(kind, freshness, LISTED), (of) => of.ledger.list(kind, oneMore))) ?? (yield* throughLane(ledger.list(kind, oneMore)))
      const ids = more.slice(0, page.limit)
      // Where there is no body, nothing else would say that a write was lost. Of no entity: tokens of reads are not about it.
      if (ids.length === 0 && freshness.tokens.length > 0) yield* check(kind, "", (yield* throughLane(ledger.rows(kind, []))).epoch, freshness.tokens)
      const keys = ids.map((id) => keyspace.keyOf(kind.name, id))
      if (shadow.covers(kind)) {
        const answered = yield* truths(kind, ids)
        for (const [id, { epoch }] of answered) yield* check(kind, id, epoch, freshness.tokens)
        const found = ids.map((id, i) => {
          const truth = answered.get(id)!
          shadowed(kind, keys[i]!, id, freshness, truth)
          metrics.read(kind.name, freshness.noCache ? "request" : "bypass")
          return entryOf(kind, truth)
        })
        return { entries: found.filter(isLiving), size: ids.length, hits: 0, shadow: true, next: more.length > ids.length ? ids.at(-1)! : null }
      }
      const careful = freshness.tokens.length > 0 || freshness.maxAgeSeconds !== null
      const looks = freshness.noCache ? keys.map(() => null) : yield* Effect.promise(() => Promise.all(keys.map((key) => access.look(key, careful))))
      if (!options.fallback && looks.includes(null) && !freshness.noCache) return yield* switchedOff
      const cached = looks.map((look, i) => {
        const entry = look?.value == null ? null : entries.read(kind, ids[i]!, look.value)
        return entry !== null && satisfies(kind, ids[i]!, entry, freshness.tokens, look!.checkpoint) && youngEnough(look!.checkpoint, freshness.maxAgeSeconds) ? entry : null
      })
      const missing = ids.filter((_, i) => cached[i] === null)
      cached.forEach((entry, i) => metrics.read(kind.name, entry !== null ? "hit" : freshness.noCache ? "request" : looks[i] === null ? "bypass" : "miss"))
      let loaded: ReadonlyMap<string, Entry> = new Map()
      if (missing.length > 0) {
        // Its version, which nothing proves, could be more than the row's, and the guard would then keep it.
        const foreign = keys.filter((_, i) => cached[i] === null && isForeign(kind, ids[i]!, looks[i]!))
        yield* Effect.forEach(foreign, (key) => Effect.ignore(access.evict(key, "undecodable")), { concurrency: "unbounded", discard: true })
        loaded = yield* many(kind, missing)
        for (const [id, { epoch }] of loaded) yield* check(kind, id, epoch, freshness.tokens)
      }
      const all = ids.map((id, i) => cached[i] ?? loaded.get(id)!)
      // Deleted since the ids were read, or not: a list has living entities only.
      return { entries: all.filter(isLiving), size: ids.length, hits: ids.length - missing.length, shadow: false, next: more.length > ids.length ? ids.at(-1)! : null }
    })

    return Queries.of({ read, list, startAnew })
  })
