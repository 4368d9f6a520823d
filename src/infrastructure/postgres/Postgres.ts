import { Context, Effect, Layer, Schedule } from "effect"
import pg from "pg"
import { Log } from "../../domain/observe/Log.ts"
import { Contended, DatabaseUnavailable, Taken, UnknownOutcome } from "../../domain/ledger/Ledger.ts"

export interface PostgresOptions { readonly url: string; readonly poolMax: number }

/** A statement with a name is parsed and planned once per connection: 2 to 2.5 times as fast as the same text without. */
export interface Statement { readonly name: string; readonly text: string }
export type Values = readonly unknown[]
export type Columns = Readonly<Record<string, any>>

type Rows = readonly Columns[]

/** Connections die together: by then the pool has noticed the others that did, and does not hand out the next dead one. */
const NOTICED = { times: 1, schedule: Schedule.spaced("20 millis") }

/** The pool. One statement is one transaction, unless it is run inside `transaction`. */
export class Postgres extends Context.Service<Postgres, {
  readonly read: (statement: Statement, values: Values) => Effect.Effect<Rows, DatabaseUnavailable>
  readonly write: (statement: Statement, values: Values) => Effect.Effect<Rows, DatabaseUnavailable | UnknownOutcome | Contended | Taken>
  /** Statements of `work` run on one connection, between BEGIN and COMMIT. */
  readonly transaction: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DatabaseUnavailable | UnknownOutcome, R>
  readonly reachable: () => boolean
  readonly pool: pg.Pool
}>()("holdfast/postgres/Postgres") {
  static readonly layer = (options: PostgresOptions) => Layer.effect(Postgres, open(options))
}

/** The connection that the statements of a transaction share. */
const Connection = Context.Reference<pg.PoolClient | null>("holdfast/postgres/Connection", { defaultValue: () => null })

/** An error that the server itself reported has a severity; a lost connection has none. */
const reported = (error: unknown): error is pg.DatabaseError => error instanceof pg.DatabaseError && error.severity !== "FATAL"

const unavailable = (error: unknown) =>
  new DatabaseUnavailable({ reason: (error as { readonly code?: string }).code ?? (error as Error).message })

/** What an error of a statement that changes something means. Retryability is decided here and nowhere else. */
const translate = (error: unknown) => {
  if (!reported(error)) return new UnknownOutcome()
  if (error.code === "23505") return new Taken({ field: /^[a-z]+_(.*)_key$/.exec(String(error.constraint))?.[1] ?? String(error.constraint) })
  // Waited too long for a lock, deadlock, serialization.
  if (error.code === "55P03" || error.code === "40P01" || error.code === "40001") return new Contended()
  return unavailable(error)
}

const open = ({ url, poolMax }: PostgresOptions) =>
  Effect.gen(function*() {
    const log = yield* Log
    let reachable = true
    const pool = new pg.Pool({
      connectionString: url,
      max: poolMax,
      connectionTimeoutMillis: 5_000,
      idleTimeoutMillis: 60_000,
      // A repetition waits at most 2 s for its first attempt; nothing that a request does takes longer than the others.
      options: "-c lock_timeout=2000 -c statement_timeout=30000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC"
    })
    pool.on("error", (error) => log.warn("A connection to Postgres was lost", { reason: error.message }))
    // The pool listens to idle connections only. One that is lost while it is in use fails its statement; without a listener of its own it would end the process too.
    pool.on("connect", (client) => void client.on("error", () => undefined))
    yield* Effect.addFinalizer(() => Effect.promise(() => pool.end()))

    const seen = (now: boolean) => {
      if (now !== reachable) (now ? log.info : log.error)(now ? "Postgres is back" : "Postgres cannot be reached")
      reachable = now
    }

    const connect = Effect.tryPromise({
      try: () => pool.connect(),
      catch: (error) => {
        seen(false)
        return unavailable(error)
      }
    })
    const release = (client: pg.PoolClient, failed: boolean) => Effect.sync(() => client.release(failed))

    const on = <A, E, R>(work: (client: pg.PoolClient) => Effect.Effect<A, E, R>) =>
      Effect.flatMap(Connection, (current) => current === null
        ? Effect.acquireUseRelease(connect, work, (client) => release(client, false))
        : work(current))

    const query = <E>(client: pg.PoolClient, statement: Statement, values: Values, fault: (error: unknown) => E) =>
      Effect.tryPromise({
        try: async () => {
          const result = await client.query<Columns>({ name: statement.name, text: statement.text, values: values as unknown[] })
          seen(true)
          return result.rows as Rows
        },
        catch: (error) => {
          if (!reported(error)) seen(false)
          return fault(error)
        }
      })

    const plain = (text: string) => ({ name: text, text })

    return Postgres.of({
      // A connection that died while idle is noticed by the next statement: a read may simply be asked again.
      read: (statement, values) => Effect.retry(on((client) => query(client, statement, values, unavailable)), NOTICED),
      // Once sent, a write is finished: a client that hangs up must not leave it half-known.
      write: (statement, values) => Effect.uninterruptible(on((client) => query(client, statement, values, translate))),
      transaction: (work) =>
        Effect.acquireUseRelease(
          connect,
          (client) => Effect.gen(function*() {
            yield* query(client, plain("begin"), [], unavailable)
            const result = yield* Effect.provideService(work, Connection, client)
            yield* query(client, plain("commit"), [], () => new UnknownOutcome())
            return result
          }).pipe(Effect.onError(() => Effect.ignore(query(client, plain("rollback"), [], unavailable)))),
          (client) => release(client, false)
        ),
      reachable: () => reachable,
      pool
    })
  })
