import { Clock, Effect, Schedule } from "effect"
import type { Cache } from "./Cache.ts"
import { parseCheckpoint } from "./Checkpoint.ts"

/** A connection to the cache that is being made is there after some milliseconds. */
const CONNECTS = { schedule: Schedule.spaced("100 millis"), times: 15 }
/** No clock is this far ahead, in milliseconds. Who writes such a checkpoint by hand must not use up the numbers. */
const YEAR = 366 * 86_400_000

/** The newest epoch among the checkpoints, 0 where there are none; null where the cache is away. */
export const newestEpoch = (cache: Cache["Service"], partitions: number): Effect.Effect<number | null> =>
  Effect.tryPromise(() => cache.checkpoints(Array.from({ length: partitions }, (_, partition) => partition))).pipe(
    Effect.retry(CONNECTS),
    Effect.timeout("2 seconds"),
    Effect.flatMap((texts) => Effect.map(Clock.currentTimeMillis, (now) =>
      Math.max(0, ...texts.map((text) => parseCheckpoint(text)?.epoch ?? 0).filter((epoch) => epoch < now + YEAR)))),
    Effect.catch(() => Effect.succeed(null))
  )
