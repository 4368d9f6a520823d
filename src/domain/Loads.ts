import { Effect, Semaphore } from "effect"
import { CacheAccess } from "./cache/CacheAccess.ts"
import { Entries } from "./cache/Entries.ts"
import { timeToLive } from "./cache/Entry.ts"
import type { Entry } from "./cache/Entry.ts"
import { Keyspace } from "./cache/Keyspace.ts"
import type { Key } from "./cache/Keyspace.ts"
import { Identifiers } from "./Identifiers.ts"
import type { Kind } from "./Kind.ts"
import { DatabaseUnavailable, Ledger } from "./ledger/Ledger.ts"
import { Metrics } from "./observe/Metrics.ts"
import type { Truth } from "./sync/verdictOf.ts"

/** A load: the entry as of its statement, and whether it was put into the cache. */
interface Loaded { readonly entry: Entry; readonly stored: boolean; readonly hit: boolean }

// A reader that finds somebody else's lease looks so often, so many milliseconds apart, before it goes to Postgres.
const LOOKS_AGAIN = 4, APART = 5
// Reads that wait for Postgres; more are turned away, so that an outage of the cache does not become one of the database.
const MOST_WAITING = 2_000

/** What is read from Postgres on behalf of the cache, through a lane of `lane` reads at once, and how it comes into the cache. */
export const makeLoads = (options: { readonly ttlMilliseconds: number; readonly lane: number }) =>
  Effect.gen(function*() {
    const access = yield* CacheAccess, ledger = yield* Ledger, keyspace = yield* Keyspace, entries = yield* Entries
    const identifiers = yield* Identifiers, metrics = yield* Metrics
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    const lane = Semaphore.makeUnsafe(options.lane)
    let waiting = 0
    const turnedAway = Effect.fail(new DatabaseUnavailable({ reason: "too many reads wait for Postgres" }))
    /** One that does not answer is asked by as many as the lane has places for; the others would wait for each other's deadlines. */
    const hopeless = () => waiting > options.lane && !ledger.reachable()
    /** Every read of Postgres on behalf of the cache goes through here. */
    const throughLane = <A>(effect: Effect.Effect<A, DatabaseUnavailable>): Effect.Effect<A, DatabaseUnavailable> => Effect.suspend(() => {
      if (waiting >= MOST_WAITING || hopeless()) return turnedAway
      waiting++
      const began = performance.now()
      return lane.withPermit(Effect.suspend(() => hopeless() ? turnedAway : effect)).pipe(Effect.ensuring(Effect.sync(() => {
        waiting--
        metrics.fallbackLatency(performance.now() - began)
      })))
    })

    const truths = (kind: Kind, ids: readonly string[]): Effect.Effect<ReadonlyMap<string, Truth>, DatabaseUnavailable> =>
      throughLane(Effect.map(ledger.rows(kind, ids), ({ epoch, rows }) => new Map(ids.map((id) => [id, { row: rows.get(id) ?? null, epoch }]))))

    const entryOf = (kind: Kind, { row, epoch }: Truth): Entry => row === null ? entries.absence(kind, epoch) : entries.of(kind, row)

    const load = (kind: Kind, ids: readonly string[]): Effect.Effect<ReadonlyMap<string, Entry>, DatabaseUnavailable> =>
      Effect.map(truths(kind, ids), (found) => new Map(Array.from(found, ([id, truth]) => [id, entryOf(kind, truth)])))

    const put = (kind: Kind, key: Key, id: string, entry: Entry, lease: string | null) => {
      const value = entries.write(kind, id, entry)
      return { key, value, lease, ttlMilliseconds: timeToLive(value, options.ttlMilliseconds, identifiers.random()) }
    }

    /** Whether each put now stands there. */
    const fill = (puts: readonly ReturnType<typeof put>[]): Effect.Effect<readonly boolean[]> =>
      access.fill(puts).pipe(
        Effect.map((outcomes) => outcomes.map((outcome) => outcome === "stored" || outcome === "current")),
        Effect.catch(() => Effect.succeed(puts.map(() => false)))
      )

    const one = (kind: Kind, key: Key, id: string, lease: string | null): Effect.Effect<Loaded, DatabaseUnavailable> =>
      Effect.gen(function*() {
        const entry = (yield* load(kind, [id])).get(id)!
        const [stored] = yield* fill([put(kind, key, id, entry, lease)])
        return { entry, stored: stored!, hit: false }
      })

    /** Null where no lease is free. */
    const underLease = (kind: Kind, key: Key, id: string): Effect.Effect<Loaded | null, DatabaseUnavailable> =>
      Effect.gen(function*() {
        let loaded: Loaded | null = null
        // Twice: a lease is broken by a change, and by the relay that settles one, and then the row may have been read too early.
        for (let i = 0; i < 2; i++) {
          const token = identifiers.token()
          const [given] = yield* Effect.catch(access.lease([key], token), () => Effect.succeed([false]))
          if (!given) break
          loaded = yield* one(kind, key, id, token)
          if (loaded.stored) break
        }
        return loaded
      })

    /** Under a lease if one is free; else what its holder brings, or the row without a fill. */
    const miss = (kind: Kind, key: Key, id: string): Effect.Effect<Loaded, DatabaseUnavailable> =>
      Effect.gen(function*() {
        const loaded = yield* underLease(kind, key, id)
        if (loaded !== null) return loaded
        for (let i = 0; i < LOOKS_AGAIN; i++) {
          const look = yield* Effect.promise(() => access.look(key, false))
          const entry = look?.value == null ? null : entries.read(kind, id, look.value)
          if (entry !== null) return { entry, stored: false, hit: true }
          yield* Effect.sleep(APART)
        }
        return { entry: (yield* load(kind, [id])).get(id)!, stored: false, hit: false }
      })

    /** Loads of one key that run at the moment: whoever misses meanwhile shares them. */
    const flights = new Map<string, Promise<Loaded>>()
    const shared = (name: string, start: () => Effect.Effect<Loaded, DatabaseUnavailable>): { readonly load: Promise<Loaded>; readonly joined: boolean } => {
      const under = flights.get(name)
      if (under !== undefined) return { load: under, joined: true }
      const load = run(start())
      flights.set(name, load)
      const over = () => { if (flights.get(name) === load) flights.delete(name) }
      load.then(over, over)
      return { load, joined: false }
    }

    /** The rows of all these; under leases where some are free. */
    const many = (kind: Kind, ids: readonly string[]): Effect.Effect<ReadonlyMap<string, Entry>, DatabaseUnavailable> =>
      Effect.gen(function*() {
        const keys = ids.map((id) => keyspace.keyOf(kind.name, id)), token = identifiers.token()
        const given = yield* Effect.catch(access.lease(keys, token), () => Effect.succeed(keys.map(() => false)))
        const found = yield* load(kind, ids)
        yield* fill(ids.map((id, i) => put(kind, keys[i]!, id, found.get(id)!, given[i] ? token : null)))
        return found
      })

    return { throughLane, truths, entryOf, load, one, underLease, miss, many, shared, startAnew: () => flights.clear() }
  })
