import { Option } from "commander"
import type { Command } from "commander"
import { Effect, Schedule } from "effect"
import { Cache } from "../domain/cache/Cache.ts"
import { CacheUnavailable } from "../domain/cache/CacheAccess.ts"
import { kinds } from "../domain/kinds/kinds.ts"
import { Log } from "../domain/observe/Log.ts"
import { Replay } from "../domain/sync/Replay.ts"
import { RetryQueue } from "../domain/sync/RetryQueue.ts"
import type { RetryCursor, RetryRow, RetryState, Selection } from "../domain/sync/RetryQueue.ts"
import { layerServices } from "../infrastructure/live.ts"
import { withKeyring, withTools } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"
import { rowOf } from "./rowOf.ts"

const PAGE = 200
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** A connection to Redis is there after some milliseconds, and a wrong address is never: 2 s tell them apart. */
const CONNECTS = { schedule: Schedule.spaced("100 millis"), times: 20 }

const row = rowOf(7, 8, 36, 7, 8, 24)

const ls = (surroundings: Surroundings, state: RetryState | null) =>
  withTools(surroundings, Effect.gen(function*() {
    const { list, size } = yield* RetryQueue
    surroundings.print(row("STATE", "KIND", "ID", "VERSION", "ATTEMPTS", "NEXT ATTEMPT", "REASON"))
    for (let after: RetryCursor | null = null, more = true; more;) {
      const rows: readonly RetryRow[] = yield* list({ after, limit: PAGE, state })
      for (const { state, kind, id, version, attempts, nextAttemptAt, reason } of rows) {
        surroundings.print(row(state, kind, id, String(version), String(attempts), nextAttemptAt, reason))
      }
      after = rows.at(-1) ?? null
      more = rows.length === PAGE
    }
    const { size: all, due, delayed, dead } = yield* size
    surroundings.print(`${all} in the queue: ${due} due, ${delayed} delayed, ${dead} dead`)
  }))

const preview = Effect.fnUntraced(function*(selection: Selection | null) {
  const cache = yield* Cache, replay = yield* Replay
  yield* Effect.retry(Effect.tryPromise({ try: () => cache.ping(), catch: () => new CacheUnavailable({ reason: "the cache cannot be reached" }) }), CONNECTS)
  const { selected, wouldStore, alreadyCurrent } = yield* replay.preview(selection)
  return `${selected} selected: ${wouldStore} would be stored, ${alreadyCurrent} are current already.`
})

const ELSEWHERE = new CacheUnavailable({ reason: "the cache is in the memory of the service, which compares by POST /ops/retry-queue/replay" })
const MOST_COUNTED = 10_000

const dryRun = (surroundings: Surroundings, selection: Selection | null): Promise<string> =>
  withKeyring(surroundings, (running) =>
    Effect.runPromise((running.REDIS_URL === null ? Effect.fail(ELSEWHERE) : preview(selection)).pipe(
      Effect.catchTag("CacheUnavailable", ({ reason }) => Effect.flatMap(RetryQueue, (queue) =>
        Effect.map(queue.select(selection, MOST_COUNTED), ({ length }) => `${length} selected. Not compared: ${reason}.`))),
      Effect.provide(layerServices(running)),
      Effect.provideService(Log, surroundings.log)
    )))

const release = (surroundings: Surroundings, selection: Selection | null): Promise<string> =>
  // As over HTTP: a dead row only where it is named.
  withTools(surroundings, Effect.flatMap(RetryQueue, (queue) =>
    Effect.map(queue.release(selection, selection !== null), (released) => `${released} released: the relay replays them now.`)))

const selectionOf = (kind: string | undefined, id: string | undefined): Selection | null => {
  if (kind === undefined && id === undefined) return null
  if (kind === undefined || id === undefined) throw new Error("--kind and --id come together, or not at all.")
  if (!UUID.test(id)) throw new Error("--id is a UUID.")
  return { kind, id }
}

/** `queue ls` and `queue replay`. */
export const addQueue = (program: Command, surroundings: Surroundings): void => {
  const group = program.command("queue").description("what the cache is owed: sync_retry_queue")

  group.command("ls").description("show the rows of the queue")
    .addOption(new Option("--state <state>", "only these").choices(["due", "delayed", "dead"]))
    .action(({ state }: { readonly state?: RetryState }) => ls(surroundings, state ?? null))

  group.command("replay").description("make rows due at once; dead ones only where they are named")
    .addOption(new Option("--kind <kind>", "of one entity").choices(kinds.map(({ name }) => name)))
    .option("--id <id>", "of one entity")
    .option("--dry-run", "change nothing, and compare the rows with the cache", false)
    .action(async ({ kind, id, dryRun: dry }: { readonly kind?: string; readonly id?: string; readonly dryRun: boolean }) => {
      surroundings.print(await (dry ? dryRun : release)(surroundings, selectionOf(kind, id)))
    })
}
