import { Context, Data, Effect, Layer } from "effect"
import { Log } from "../observe/Log.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { BreakerState } from "../observe/Metrics.ts"
import { Breaker } from "./Breaker.ts"
import { Cache } from "./Cache.ts"
import type { Look, Outcome, Put } from "./Cache.ts"
import { Keyspace } from "./Keyspace.ts"
import type { Key } from "./Keyspace.ts"
import { Transitions } from "./Transitions.ts"

/** The cache did not answer in time, or is known to be away. */
export class CacheUnavailable extends Data.TaggedError("CacheUnavailable")<{ readonly reason: string }> {}

export interface CacheAccessOptions {
  /** Tries inside one deadline while the breaker is closed. */
  readonly attempts: number
  /** How long a write may wait for its store, in milliseconds. */
  readonly syncBudgetMilliseconds: number
  /** So long, in milliseconds, every answer but a store's is waited for at least; without it the breaker's own minimum holds. */
  readonly shortestDeadlineMilliseconds?: number | undefined
}

type Access<A> = Effect.Effect<A, CacheUnavailable>

// A command with many keys holds the cache up for everybody else.
const LARGEST_LOOK = 500

interface Waiting { readonly key: Key; readonly checkpoint: boolean; readonly resume: (look: Look | null) => void }

/**
 * The cache as the use cases see it: behind a breaker and a deadline. While the breaker is open nothing is asked of the
 * cache; after its return the entries of a partition are not trusted until that partition is known to be settled.
 */
export class CacheAccess extends Context.Service<CacheAccess, {
  /** `half-open`: the cache is there, and some partitions are not trusted yet. */
  readonly state: () => BreakerState
  /** Whether an entry of this partition may be served. */
  readonly trusts: (partition: number) => boolean
  /** Null where the cache is unavailable or the partition is not trusted yet. All looks of one turn of the event loop leave as one. */
  readonly look: (key: Key, checkpoint: boolean) => Promise<Look | null>
  readonly lease: (keys: readonly Key[], token: string) => Access<readonly boolean[]>
  readonly giveBack: (keys: readonly Key[], token: string) => Effect.Effect<void>
  readonly store: (puts: readonly Put[]) => Access<readonly Outcome[]>
  readonly fill: (puts: readonly Put[]) => Access<readonly Outcome[]>
  /** `why` is what its transition says. */
  readonly evict: (key: Key, why?: string) => Access<void>
  /** What somebody else keeps in the same server: under the same breaker and deadline. */
  readonly call: <A>(operation: () => Promise<A>) => Access<A>
  /** One more under a name that lives so long; null while the cache is away, or where no other process counts there. */
  readonly count: (name: string, ttlMilliseconds: number) => Promise<number | null>
  /** Any other command, for those who work on the cache itself: under a deadline of 2 s. */
  readonly work: <A>(operation: (cache: Cache["Service"]) => Promise<A>) => Access<A>
  /** Becomes true for partitions again, and for the breaker. Only `CacheReturn` calls these. */
  readonly breaker: Breaker
  readonly distrust: (partitions: Iterable<number>) => void
  readonly trust: (partition: number) => void
  readonly distrusted: () => readonly number[]
}>()("holdfast/cache/CacheAccess") {
  static readonly layer = (options: CacheAccessOptions) =>
    Layer.effect(CacheAccess, Effect.gen(function*() {
      const cache = yield* Cache, log = yield* Log, metrics = yield* Metrics, transitions = yield* Transitions, { partitions } = yield* Keyspace
      // Who has just started does not know what was missed before.
      const distrusted = new Set(Array.from({ length: partitions }, (_, partition) => partition))
      const breaker = new Breaker(() => {
        metrics.breaker(state())
        if (breaker.open) log.warn("Redis unavailable, falling back to PostgreSQL", { cache: cache.name })
        else log.info("The cache is back: used for writes, and for reads as its partitions are settled", { cache: cache.name })
      }, options.shortestDeadlineMilliseconds)
      const state = (): BreakerState => breaker.open ? "open" : distrusted.size > 0 ? "half-open" : "closed"

      /** Resolves to null at the deadline, or when every attempt failed. */
      const attempt = <A>(operation: () => Promise<A>, milliseconds: number, tries = options.attempts): Promise<{ readonly answer: A } | null> =>
        new Promise((resolve) => {
          const began = performance.now()
          let over = false
          const end = (answer: { readonly answer: A } | null) => {
            if (over) return
            over = true
            clearTimeout(timer)
            if (answer === null) breaker.failed()
            else {
              const took = performance.now() - began
              breaker.succeeded(took)
              metrics.cacheLatency(took)
            }
            resolve(answer)
          }
          // Timers run before the sockets are read: after a pause of this process the answer may be there already, unread.
          const timer = setTimeout(() => setImmediate(() => end(null)), milliseconds)
          const run = (left: number, backoff: number): void => {
            operation().then(
              (answer) => end({ answer }),
              () => { if (left > 1 && !over) setTimeout(() => run(left - 1, 2 * backoff), backoff); else end(null) }
            )
          }
          run(tries, 2)
        })

      let waiting: Waiting[] = []
      const flush = () => {
        const all = waiting
        waiting = []
        for (let from = 0; from < all.length; from += LARGEST_LOOK) {
          const piece = all.slice(from, from + LARGEST_LOOK)
          void attempt(() => cache.look(piece), breaker.deadline).then((answer) => {
            // What began to be distrusted while the look was under way is not served either.
            piece.forEach(({ key, resume }, i) => resume(answer === null || distrusted.has(key.partition) ? null : answer.answer[i]!))
          })
        }
      }

      const unavailable = (reason: string) => Effect.fail(new CacheUnavailable({ reason }))
      const guarded = <A>(operation: () => Promise<A>, milliseconds: () => number, tries?: number): Access<A> =>
        Effect.suspend(() => breaker.open
          ? unavailable("breaker open")
          : Effect.flatMap(Effect.promise(() => attempt(operation, milliseconds(), tries)), (answer) =>
            answer === null ? unavailable("no answer") : Effect.succeed(answer.answer)))

      const recorded = <A>(work: Access<A>, record: (answer: A) => void): Access<A> =>
        Effect.tap(work, (answer) => Effect.sync(() => record(answer)))

      return CacheAccess.of({
        state,
        trusts: (partition) => !breaker.open && !distrusted.has(partition),
        look: (key, checkpoint) => {
          if (breaker.open || distrusted.has(key.partition)) return Promise.resolve(null)
          return new Promise((resume) => {
            if (waiting.push({ key, checkpoint, resume }) === 1) setImmediate(flush)
          })
        },
        // Once: a request that was given up may arrive after all, and a token that was asked for again would then come back after it was broken.
        lease: (keys, token) => recorded(guarded(() => cache.lease(keys, token), () => breaker.deadline, 1), (given) =>
          keys.forEach((key, i) => { if (given[i]) transitions.record(key, "lease", null, "given") })),
        giveBack: (keys, token) => Effect.ignore(recorded(guarded(() => cache.giveBack(keys, token), () => breaker.deadline), () =>
          keys.forEach((key) => transitions.record(key, "lease", null, "given back")))),
        store: (puts) => recorded(guarded(() => cache.store(puts), () => options.syncBudgetMilliseconds), (outcomes) => transitions.puts("store", puts, outcomes)),
        fill: (puts) => recorded(guarded(() => cache.fill(puts), () => breaker.deadline), (outcomes) => transitions.puts("fill", puts, outcomes)),
        evict: (key, why = "asked for") => recorded(guarded(() => cache.evict(key), () => breaker.deadline), () => transitions.record(key, "evict", null, why)),
        call: (operation) => guarded(operation, () => breaker.deadline),
        count: async (name, ttlMilliseconds) => {
          const { count } = cache
          if (breaker.open || count === null) return null
          return (await attempt(() => count(name, ttlMilliseconds), breaker.deadline))?.answer ?? null
        },
        work: (operation) => Effect.suspend(() => breaker.open
          ? unavailable("breaker open")
          : Effect.tryPromise({ try: () => operation(cache), catch: (cause) => new CacheUnavailable({ reason: String(cause) }) }).pipe(
            Effect.timeoutOrElse({ duration: "2 seconds", orElse: () => unavailable("no answer") }),
            Effect.tap(() => Effect.sync(() => breaker.answered())),
            Effect.tapError(() => Effect.sync(() => breaker.failed()))
          )),
        breaker,
        distrust: (partitions) => { for (const partition of partitions) distrusted.add(partition) },
        trust: (partition) => {
          distrusted.delete(partition)
          metrics.breaker(state())
        },
        distrusted: () => [...distrusted]
      })
    }))
}
