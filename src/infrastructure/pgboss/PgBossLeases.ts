import { Cause, Effect, Exit, Fiber, Layer, Schedule } from "effect"
import { PgBoss } from "pg-boss"
import { WorkLeases } from "../../domain/jobs/WorkLeases.ts"
import type { LeasedWork } from "../../domain/jobs/WorkLeases.ts"
import { Log } from "../../domain/observe/Log.ts"

/**
 * A lease is a job: its queue holds one at most, waiting or at work. Whoever fetched it holds the lease for as long as it
 * sends heartbeats. Abandoned, given back or timed out, the same job waits again at once, and after work that ended the
 * schedule makes the next.
 */
const QUEUE = {
  // pg-boss allows no less. With looks every 2 s and polls every second, a process that was killed is replaced after 7 to 13 s.
  heartbeatSeconds: 10,
  // How often a lease may be abandoned. After that its schedule makes another.
  retryLimit: 1_000,
  retryDelay: 0,
  // pg-boss' longest. The lease is then given anew, to whoever fetches it.
  expireInSeconds: 86_400,
  // Longer than a job lives: one that waits to be given again must not be swept away.
  retentionSeconds: 30 * 86_400,
  deleteAfterSeconds: 60
}

const LOOKS = {
  superviseIntervalSeconds: 2,
  monitorIntervalSeconds: 2,
  maintenanceIntervalSeconds: 60,
  cronMonitorIntervalSeconds: 5,
  cronWorkerIntervalSeconds: 1,
  // Our tables are a few rows; their size needs no watch.
  monitorVacuum: false,
  reindex: false
} as const

/** Where pg-boss keeps the ticks of its schedules: one a minute and schedule, and a week long if nobody says otherwise. */
const TICKS = "__pgboss__send-it"

/** While the database is away every poll fails: one line tells of them all. */
const QUIET_MILLISECONDS = 10_000

// Where a host has several addresses the refusal has a code and no message.
const reasonOf = ({ code, message }: { readonly code?: string; readonly message: string }) => [code, message].filter(Boolean).join(": ")

export const layerPgBossLeases = ({ url }: { readonly url: string }) =>
  Layer.effect(WorkLeases, Effect.gen(function*() {
    const log = yield* Log
    let said = -Infinity
    const tell = (error: Error) => {
      const now = performance.now()
      if (now - said < QUIET_MILLISECONDS) return
      said = now
      log.warn("pg-boss failed and tries again", { reason: reasonOf(error) })
    }

    /** Again and again, until it works. */
    const insist = (work: () => Promise<unknown>) =>
      Effect.tryPromise(work).pipe(
        Effect.tapError(({ cause }) => Effect.sync(() => tell(cause as Error))),
        Effect.retry(Schedule.spaced("1 second")),
        Effect.orDie
      )

    // A database that does not answer must not keep a process from ending.
    const atMost = (work: () => Promise<unknown>) => Effect.ignore(Effect.timeoutOption(Effect.tryPromise(work), "2 seconds"))

    const boss = new PgBoss({ connectionString: url, max: 3, connectionTimeoutMillis: 5_000, application_name: "holdfast pg-boss", migrate: false, ...LOOKS })
    boss.on("error", tell)
    yield* Effect.addFinalizer(() => atMost(() => boss.stop({ graceful: false })))
    const started = yield* Effect.forkScoped(insist(async () => {
      try {
        await boss.start()
        await boss.updateQueue(TICKS, { deleteAfterSeconds: QUEUE.deleteAfterSeconds })
      } catch (error) {
        // What a start that failed half-way left running.
        await boss.stop({ graceful: false })
        throw error
      }
    }))

    const apply = ({ name, schedule, run }: LeasedWork, stopping: AbortSignal) => async () => {
      await boss.createQueue(name, { policy: "exclusive", ...QUEUE })
      await boss.updateQueue(name, QUEUE)
      await boss.schedule(name, schedule)
      // Work that nobody does need not wait for its schedule. Where a job is there already, this adds none.
      await boss.send(name)
      // Nothing stops a promise: a scope that closed meanwhile has been here already.
      stopping.throwIfAborted()
      await boss.work(name, { pollingIntervalSeconds: 1, heartbeatRefreshSeconds: 3 }, async ([job]) => {
        const exit = await Effect.runPromiseExit(run, { signal: AbortSignal.any([job!.signal, stopping]) })
        // A job that fails waits again at once, for another process.
        if (stopping.aborted) throw new Error("The process stops")
        if (Exit.isSuccess(exit)) log.debug("Leased work ended", { work: name })
        else if (Cause.hasInterruptsOnly(exit.cause)) log.warn("A lease of work was lost", { work: name })
        else log.error("Leased work failed", { work: name, cause: Cause.pretty(exit.cause) })
      })
    }

    return WorkLeases.of({
      serve: (work) =>
        Effect.gen(function*() {
          const stopping = new AbortController()
          // Ends the loop first: or it would fetch the job that is given back.
          yield* Effect.addFinalizer(() => atMost(() => {
            const ended = boss.offWork(work.name)
            stopping.abort()
            return ended
          }))
          yield* Effect.forkScoped(Effect.andThen(Fiber.join(started), insist(apply(work, stopping.signal))))
        })
    })
  }))
