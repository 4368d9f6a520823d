import { Cause, Context, Effect, Exit, Layer, Schedule, Semaphore } from "effect"
import pg from "pg"
import { Log } from "../../domain/observe/Log.ts"
import { knownEpochs } from "../../domain/ledger/Epochs.ts"
import type { Epochs } from "../../domain/ledger/Epochs.ts"
import { Contended, DatabaseUnavailable, Taken, UnknownOutcome } from "../../domain/ledger/Ledger.ts"
import { admitByEpoch, admitByServer, ServerRefused } from "./epochs.ts"
import type { Admitted, NewestCached } from "./epochs.ts"

export interface PostgresOptions {
  readonly url: string
  readonly poolMax: number
  /** Given for the database whose lives are kept: every connection is then compared, and a new life is given its epoch. */
  readonly newestCached?: NewestCached
}

/** A statement with a name is parsed and planned once per connection: 2 to 2.5 times as fast as the same text without. */
export interface Statement { readonly name: string; readonly text: string }
export type Values = readonly unknown[]
export type Columns = Readonly<Record<string, any>>

type Rows = readonly Columns[]

/** The pool. One statement is one transaction, unless it is run inside `transaction`. */
export class Postgres extends Context.Service<Postgres, {
  readonly read: (statement: Statement, values: Values) => Effect.Effect<Rows, DatabaseUnavailable>
  /** With an epoch, that of what was read before: a connection of another life writes nothing, and answers no rows. */
  readonly write: (statement: Statement, values: Values, epoch?: number) => Effect.Effect<Rows, DatabaseUnavailable | UnknownOutcome | Contended | Taken>
  /** Statements of `work` run on one connection, between BEGIN and COMMIT. */
  readonly transaction: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DatabaseUnavailable | UnknownOutcome, R>
  readonly reachable: () => boolean
  readonly epochs: Epochs["Service"]
  /** Where no lives are kept: the server is not the one of before. */
  readonly onAnotherServer: (listener: () => void) => void
  /** Connections that were made before this are used by nobody any more. */
  readonly renew: () => void
  readonly pool: pg.Pool
}>()("holdfast/postgres/Postgres") {
  static readonly layer = (options: PostgresOptions) => Layer.effect(Postgres, open(options))
}

/** The connection that the statements of a transaction share, one at a time, and of which pool it is: another database has another one. */
const Connection = Context.Reference<{ readonly pool: pg.Pool; readonly client: pg.PoolClient; readonly turn: Semaphore.Semaphore } | null>("holdfast/postgres/Connection", { defaultValue: () => null })

/** The server itself said so; a lost connection says nothing, and its end is FATAL. */
const reported = (error: unknown): error is pg.DatabaseError => error instanceof pg.DatabaseError && error.severity !== "FATAL"

export const reasonOf = (error: unknown): string => (error as { readonly code?: string }).code ?? (error as Error).message

// Connection, resources, operator, system; locks and serialization. Anything else that is reported is a fault of ours.
const PASSING = /^(08|53|57|58|55|40)/

/** Chosen by the server out of those who waited for each other in a circle; nothing of the statement was done. */
export class Deadlocked extends Contended {}

/** What an error means where nothing can have been changed. */
const ofRead = (error: unknown): DatabaseUnavailable | null => !reported(error) || PASSING.test(String(error.code)) ? new DatabaseUnavailable({ reason: reasonOf(error) }) : null

/** What an error of a statement that changes something means; null: it is a bug. Retryability is decided here and nowhere else. */
const ofWrite = (error: unknown): DatabaseUnavailable | UnknownOutcome | Contended | Taken | null => {
  if (!reported(error)) return new UnknownOutcome()
  if (error.code === "23505") return new Taken({ field: /^[a-z]+_(.*)_key$/.exec(String(error.constraint))?.[1] ?? String(error.constraint) })
  if (error.code === "40P01") return new Deadlocked()
  // Waited too long for a lock, serialization.
  if (error.code === "55P03" || error.code === "40001") return new Contended()
  return ofRead(error)
}

// The pool says this of a queue that is too long; it says nothing of the server.
const CROWDED = "timeout exceeded when trying to connect"
// Terminated by an operator or for being idle, cut by the network; and no slot free yet, as the server still clears away the
// connections that were replaced. Not: refused, starting up, silent until a timeout. That is a database that is away, and
// nobody is kept waiting for it.
const GONE = /^(57P01|57P05|53300|ECONNRESET|EPIPE|Connection terminated unexpectedly)$/
// Where one connection was lost all are replaced, so the second try has a new one; who lost that too was unlucky twice.
const AGAIN = { times: 3, schedule: Schedule.spaced("20 millis") }

/** Nothing was sent. */
class NotConnected extends DatabaseUnavailable {}

const open = ({ url, poolMax, newestCached }: PostgresOptions) =>
  Effect.gen(function*() {
    const log = yield* Log
    const epochs = knownEpochs()
    epochs.onChange((epoch) => log.warn("A new life of the database", { epoch }))
    const anotherServer: (() => void)[] = []
    const admit = newestCached === undefined ? admitByServer(() => anotherServer.forEach((listener) => listener())) : admitByEpoch(epochs, newestCached, log)
    /** Of a connection: what was lost before it was made. */
    const admitted = new WeakMap<pg.ClientBase, Admitted & { readonly after: number }>()
    let reachable = true, refusal = "", losses = 0
    const seen = (now: boolean) => {
      if (now !== reachable) (now ? log.info : log.error)(now ? "Postgres is back" : "Postgres cannot be reached")
      reachable = now
    }

    const pool = new pg.Pool({
      connectionString: url,
      max: poolMax,
      connectionTimeoutMillis: 5_000,
      idleTimeoutMillis: 60_000,
      // Where a dump was put in place under a running service, only a new connection notices that it is another life.
      maxLifetimeSeconds: 60,
      keepAlive: true,
      // Waited for. A life of the database ends with its server, and so with the connection: compared once, it is of that life for good.
      onConnect: async (client) => {
        const life = await admit(client)
        // Not where somebody else's statement is answered: that may be over a connection from before.
        refusal = ""
        admitted.set(client, { ...life, after: losses })
      },
      // A server that is frozen, or behind a network that swallows everything, must not keep a request for ever.
      query_timeout: 12_000,
      // An acknowledged write is on disk, whatever the server or the role prefers. A repetition waits at most 2 s for its first attempt; nothing that a request does takes longer than the others.
      options: "-c synchronous_commit=on -c lock_timeout=2000 -c statement_timeout=10000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC"
    })
    const asking = Semaphore.makeUnsafe(1)
    pool.on("error", (error) => {
      losses++
      log.warn("A connection to Postgres was lost", { reason: error.message })
      // Known at once, not at the next request: hits have to say that they are all there is.
      Effect.runFork(Effect.ignore(asking.withPermitsIfAvailable(1)(read({ name: "there", text: "select 1" }, []))))
    })
    // The pool listens to idle connections only. One that is lost while it is in use fails its statement; without a listener of its own it would end the process too.
    pool.on("connect", (client) => void client.on("error", () => undefined))
    yield* Effect.addFinalizer(() => Effect.promise(() => pool.end()))

    const connect = Effect.retry(Effect.tryPromise({
      try: async () => {
        for (;;) {
          const client = await pool.connect(), { stands, after } = admitted.get(client)!
          // What took one connection may have taken all, or leads elsewhere now; the pool notices of each one in its own time.
          // Of a life that is over: its server may be there still, and answer.
          if (after === losses && stands()) return client
          client.release(true)
        }
      },
      catch: (error) => {
        const { message } = error as Error
        if (message !== CROWDED) seen(false)
        if (error instanceof ServerRefused && message !== refusal) log.error("A Postgres server is not used", { reason: refusal = message })
        return new NotConnected({ reason: reasonOf(error) })
      }
    }), { ...AGAIN, while: ({ reason }) => GONE.test(reason) })

    /** Connections that nobody may use again: lost, or with a statement still under way. */
    const spoilt = new WeakSet<pg.PoolClient>()
    const release = (client: pg.PoolClient, exit: Exit.Exit<unknown, unknown>) =>
      Effect.sync(() => client.release(spoilt.has(client) || (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause))))

    const on = <A, E, R>(work: (client: pg.PoolClient) => Effect.Effect<A, E, R>) =>
      Effect.flatMap(Connection, (current) => current?.pool === pool ? current.turn.withPermit(work(current.client)) : Effect.acquireUseRelease(connect, work, release))

    const query = <E>(client: pg.PoolClient, { name, text }: Statement, values: Values, meaning: (error: unknown) => E | null) =>
      Effect.catch(
        Effect.tryPromise({
          try: async () => {
            const { rows, command } = await client.query<Columns>({ name, text, values: values as unknown[] })
            seen(true)
            return { rows: rows as Rows, command }
          },
          catch: (error) => {
            if (!reported(error)) {
              // Whatever else is sent over it, ROLLBACK too, fails as well; it is one loss.
              if (!spoilt.has(client)) losses++
              seen(false)
              spoilt.add(client)
            }
            return { error }
          }
        }),
        ({ error }) => {
          const fault = meaning(error)
          return fault === null ? Effect.die(error) : Effect.fail(fault)
        }
      )
    const rowsOf = <E, R>(answer: Effect.Effect<{ readonly rows: Rows }, E, R>) => Effect.map(answer, ({ rows }) => rows)
    const plain = (text: string) => ({ name: text, text })
    const read = (statement: Statement, values: Values) => Effect.retry(
      rowsOf(on((client) => query(client, statement, values, ofRead))),
      { ...AGAIN, while: (error) => !(error instanceof NotConnected) && GONE.test(error.reason) }
    )

    return Postgres.of({
      read,
      // Once sent, a write is finished: a client that hangs up must not leave it half-known.
      write: (statement, values, epoch = 0) => Effect.uninterruptible(rowsOf(on((client) => {
        const isOfAnother = epoch > 0 && admitted.get(client)!.epoch > 0 && epoch !== admitted.get(client)!.epoch
        return isOfAnother ? Effect.succeed({ rows: [] as Rows, command: "" }) : query(client, statement, values, ofWrite)
      }))),
      transaction: (work) =>
        Effect.acquireUseRelease(
          connect,
          (client) => Effect.gen(function*() {
            yield* query(client, plain("begin"), [], ofRead)
            const result = yield* Effect.provideService(work, Connection, { pool, client, turn: Semaphore.makeUnsafe(1) })
            // Of a transaction that failed in between Postgres makes a ROLLBACK, and no error.
            const { command } = yield* query(client, plain("commit"), [], () => new UnknownOutcome())
            if (command !== "COMMIT") return yield* Effect.die(new Error("a transaction that had failed was committed"))
            // Of a server whose life is over, as became known while it was under way: what it committed went with it, or not.
            return admitted.get(client)!.stands() ? result : yield* new UnknownOutcome()
          }).pipe(Effect.onError(() => Effect.ignore(query(client, plain("rollback"), [], ofRead)))),
          release
        ),
      reachable: () => reachable,
      epochs,
      onAnotherServer: (listener) => void anotherServer.push(listener),
      renew: () => void losses++,
      pool
    })
  })
