import { Effect, Exit, Layer } from "effect"
import { Ledger } from "../ledger/Ledger.ts"
import { covers } from "../ledger/Snapshot.ts"
import type { Snapshot } from "../ledger/Snapshot.ts"
import { Log } from "../observe/Log.ts"
import { Cache } from "./Cache.ts"
import { CacheAccess } from "./CacheAccess.ts"
import { parseCheckpoint } from "./Checkpoint.ts"
import type { Checkpoint } from "./Checkpoint.ts"
import { Keyspace } from "./Keyspace.ts"

/** How long it waits between two looks, in milliseconds: while the cache is away, while it comes back, and while all is well. */
const PAUSES = { open: 100, "half-open": 50, closed: 1_000 } as const

/**
 * The loop that watches the cache and says what of it may be read. While the breaker is open it asks for a sign of life;
 * when there is one, writes use the cache at once, but a partition's entries are served only when its checkpoint shows
 * everything that a snapshot taken after the return shows: what changed meanwhile is never served stale. A process that
 * starts knows as little as one whose cache was away. A partition whose checkpoint is ahead of the database is not read.
 */
export const layerCacheReturn = Layer.effectDiscard(Effect.gen(function*() {
  const cache = yield* Cache, access = yield* CacheAccess, ledger = yield* Ledger, log = yield* Log, { partitions } = yield* Keyspace
  const all = Array.from({ length: partitions }, (_, i) => i)
  /** Taken once per return: what came later was stored. */
  let since: Snapshot | null = null
  let ahead = false, life = 0

  const comeBack = Effect.gen(function*() {
    yield* Effect.timeout(Effect.tryPromise(() => cache.ping()), "1 second")
    since = null
    access.distrust(all)
    access.breaker.close()
  })

  const look = Effect.gen(function*() {
    const texts = yield* access.work((of) => of.checkpoints(all))
    const now = yield* ledger.snapshot
    // Of another life its transactions say nothing.
    if (now.epoch !== life) since = null
    life = now.epoch
    since ??= now.snapshot
    const distrusted = new Set(access.distrusted())
    const isAhead = (checkpoint: Checkpoint) =>
      checkpoint.epoch > now.epoch || (checkpoint.is === "settled" && checkpoint.epoch === now.epoch && checkpoint.snapshot.xmax > now.next)
    let found = false
    for (const partition of all) {
      const checkpoint = parseCheckpoint(texts[partition]!)
      if (checkpoint === null) continue
      if (isAhead(checkpoint)) {
        found = true
        access.distrust([partition])
      } else if (distrusted.has(partition) && checkpoint.is === "settled" && checkpoint.epoch === now.epoch && covers(checkpoint.snapshot, since)) {
        access.trust(partition)
      }
    }
    if (found && !ahead) log.error("The cache is ahead of the database: nothing is read from it. If the database is the right one, `holdfast epoch new` makes it the newest", { epoch: now.epoch })
    ahead = found
  })

  yield* Effect.suspend((): Effect.Effect<Exit.Exit<void, unknown>> => access.breaker.open ? Effect.exit(comeBack) : Effect.exit(look)).pipe(
    // After a failure soon again: five in a row say that the cache is away, and a process without traffic makes no others.
    Effect.flatMap((exit) => Effect.sleep(Exit.isSuccess(exit) ? PAUSES[access.state()] : PAUSES.open)),
    Effect.forever,
    Effect.forkScoped
  )
}))
