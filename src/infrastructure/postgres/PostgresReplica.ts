import { Cause, Effect, Exit, Layer } from "effect"
import pg from "pg"
import { DatabaseUnavailable } from "../../domain/ledger/Ledger.ts"
import { LISTED, noReplica, Replica } from "../../domain/ledger/Replica.ts"
import { Log } from "../../domain/observe/Log.ts"
import { Metrics } from "../../domain/observe/Metrics.ts"
import { ServerRefused } from "./epochs.ts"
import { Postgres, reasonOf } from "./Postgres.ts"
import type { Columns, Statement, Values } from "./Postgres.ts"
import { historiesBy } from "./PostgresOutbox.ts"
import { readingsBy } from "./readings.ts"
import { EPOCH } from "./statements.ts"

/** So long, in milliseconds, a replica that does not answer holds up a request; a look of the loop, for which nobody waits, longer. */
const DEADLINE = 250, PATIENCE = 1_000
// A look proves what was replayed up to the one before: the lag of a replica that is not behind is between one pause and two, and has to stay below `LISTED`.
const PAUSE = 250
/** Moments of the primary that wait to be replayed. Once there are so many no new ones are kept: a replica that is far behind is then taken for more so. */
const MOST_MARKS = 100
/** So many looks in a row have to say the same before the log does. */
const SAYS_AFTER = 4

/** A moment of the primary: whoever has replayed its position, and knows its last event, shows everything that was committed before. */
interface Mark { readonly at: number; readonly epoch: number; readonly system: string; readonly position: string; readonly xid: string | null; readonly seq: string | null; readonly entity: string | null }
/** One run of one server: behind a name there may be several, or another one now. */
interface Server { readonly system: string; readonly run: string }
interface Proved { readonly at: number; readonly epoch: number; readonly run: string; readonly askedAt: number }

/**
 * Positions alone would be fooled by a server that went its own way from the same beginning: its log is longer than the
 * primary's. The last event is of the primary's own way.
 */
const MARK: Statement = {
  name: "replica mark",
  text: `select ${EPOCH} as epoch, (select c.system_identifier::text from pg_control_system() c) as system, pg_current_wal_flush_lsn()::text as position, l.*
    from (select) one left join (select o.xid::text as xid, o.seq, o.entity_id as entity from outbox o where o.epoch = ${EPOCH} order by o.xid desc, o.seq desc limit 1) l on true`
}

/** How many of these marks are passed. What is replayed while this runs may count or not; what comes after this sees it. */
const SHOWN: Statement = {
  name: "replica shown",
  text: `select coalesce(max(m.place), 0)::int as shown from unnest($1::pg_lsn[], $2::text[], $3::bigint[], $4::uuid[]) with ordinality m(position, xid, seq, entity, place)
    where pg_last_wal_replay_lsn() >= m.position
      and (m.xid is null or exists (select from outbox o where o.epoch = ${EPOCH} and o.xid = m.xid::xid8 and o.seq = m.seq and o.entity_id = m.entity))`
}

/** Asked behind every statement: nothing goes back to recovery or to an older epoch, so what it says held before, too. */
const STILL: Statement = { name: "replica still", text: `select pg_is_in_recovery() as recovering, ${EPOCH} as epoch` }

const SERVER = `select (select c.system_identifier::text from pg_control_system() c) as system, extract(epoch from pg_postmaster_start_time())::text as run`

export const layerNoReplica = Layer.succeed(Replica, noReplica)

/**
 * The replica, and the loop that watches how far behind it is. Whatever it does, nobody waits for it for longer than a
 * deadline, and after that not before it has answered the loop again.
 */
export const layerWatchedReplica = ({ url, poolMax }: { readonly url: string; readonly poolMax: number }) =>
  Layer.effect(Replica, Effect.gen(function*() {
    const postgres = yield* Postgres, log = yield* Log, metrics = yield* Metrics
    const servers = new WeakMap<pg.ClientBase, Server>()
    const pool = new pg.Pool({
      connectionString: url,
      // One is the loop's.
      max: poolMax + 1,
      connectionTimeoutMillis: PATIENCE,
      idleTimeoutMillis: 60_000,
      keepAlive: true,
      query_timeout: PATIENCE,
      onConnect: async (client) => {
        const { rows: [columns] } = await client.query(SERVER)
        servers.set(client, { system: columns.system, run: `${columns.system} ${columns.run}` })
      },
      options: "-c default_transaction_read_only=on -c statement_timeout=1000 -c timezone=UTC"
    })
    // What was lost at work fails its statement. What was lost while idle may be the end of a crash in there: the same server then begins again before what it had shown.
    pool.on("error", () => { failedAt = performance.now() })
    pool.on("connect", (client) => void client.on("error", () => undefined))
    yield* Effect.addFinalizer(() => Effect.promise(() => pool.end()))

    let marks: Mark[] = [], proved: Proved | null = null, failedAt = -Infinity, asking = 0

    /** Rejects where the connection leads to another server than is meant, or to one that is not a replica of this life any more. */
    const query = async ({ name, text }: Statement, values: Values, epoch: number, isMeant: (server: Server) => boolean): Promise<{ readonly rows: readonly Columns[]; readonly server: Server }> => {
      const client = await pool.connect(), server = servers.get(client)!
      let isSound = false
      try {
        if (!isMeant(server)) throw new ServerRefused("it is another server")
        const { rows } = await client.query<Columns>({ name, text, values: values as unknown[] }), { rows: [still] } = await client.query<Columns>(STILL)
        if (still!["recovering"] === false) throw new ServerRefused("it follows nobody, and takes writes itself")
        if (Number(still!["epoch"]) !== epoch) throw new ServerRefused("it is of another life of the database")
        isSound = true
        return { rows, server }
      } finally {
        client.release(!isSound)
      }
    }

    const lag = () => proved !== null && proved.epoch === postgres.epochs.newest() && failedAt < proved.askedAt ? performance.now() - proved.at : Infinity

    /** From now on it is not used, until a look that begins later has succeeded. */
    const failed = (reason: string) => Effect.suspend(() => {
      failedAt = performance.now()
      return Effect.fail(new DatabaseUnavailable({ reason }))
    })
    const asked = (milliseconds: number, ...question: Parameters<typeof query>) =>
      Effect.tryPromise({ try: () => query(...question), catch: (error) => error as Error }).pipe(
        Effect.catch((error) => failed(reasonOf(error))),
        // What is late ends by itself, and gives its connection back.
        Effect.timeoutOrElse({ duration: milliseconds, orElse: () => failed("it does not answer") })
      )

    // Nobody asks where nothing is proved; since then that may have become something of another server, or life, and nothing is answered.
    const readings = readingsBy((statement, values) => Effect.suspend(() => {
      const { run, epoch } = proved!
      return Effect.map(asked(DEADLINE, statement, values, epoch, (server) => server.run === run), ({ rows }) => rows)
    }), historiesBy)

    const look = Effect.gen(function*() {
      const at = performance.now()
      const [now] = yield* Effect.mapError(postgres.read(MARK, []), ({ reason }) => new DatabaseUnavailable({ reason: `the primary does not say how far it is: ${reason}` }))
      const mark: Mark = { at, epoch: Number(now!["epoch"]), system: now!["system"], position: now!["position"], xid: now!["xid"], seq: now!["seq"], entity: now!["entity"] }
      marks = [...marks.filter(({ epoch }) => epoch === mark.epoch), mark].slice(0, MOST_MARKS)
      const askedAt = performance.now()
      const values = [marks.map(({ position }) => position), marks.map(({ xid }) => xid), marks.map(({ seq }) => seq), marks.map(({ entity }) => entity)]
      const { rows, server } = yield* asked(PATIENCE, SHOWN, values, mark.epoch, ({ system }) => system === mark.system)
      const shown: number = rows[0]!["shown"]
      if (shown === 0) return
      proved = { at: marks[shown - 1]!.at, epoch: mark.epoch, run: server.run, askedAt }
      marks = marks.slice(shown)
    })

    let said: string | null = null, state = "", looks = 0
    const reasonOfFault = (cause: Cause.Cause<DatabaseUnavailable>): string => {
      const fault = Cause.squash(cause)
      return fault instanceof DatabaseUnavailable ? fault.reason : `the primary does not say how far it is: ${reasonOf(fault)}`
    }
    const say = (looked: Exit.Exit<void, DatabaseUnavailable>) => {
      const now = lag() <= LISTED ? "" : Exit.isFailure(looked) ? reasonOfFault(looked.cause) : "it is behind"
      looks = now === state ? looks + 1 : 1
      state = now
      if (looks !== SAYS_AFTER || state === said) return
      said = state
      if (state === "") log.info("The replica is used")
      else log.warn("The replica is not used", { reason: state })
    }

    yield* Effect.exit(look).pipe(
      Effect.tap((looked) => Effect.sync(() => say(looked))),
      Effect.andThen(Effect.sleep(PAUSE)),
      Effect.forever,
      Effect.forkScoped
    )

    return Replica.of({
      lag,
      ask: (oldest, question) => Effect.suspend(() => {
        if (oldest === null) return Effect.succeed(null)
        // Nobody queues for a connection to it.
        if (lag() > oldest || asking >= poolMax) return Effect.sync(() => {
          metrics.replica("unused")
          return null
        })
        asking++
        return question(readings).pipe(
          Effect.tap(() => Effect.sync(() => metrics.replica("answered"))),
          Effect.catch(() => Effect.sync(() => {
            metrics.replica("failed")
            return null
          })),
          Effect.ensuring(Effect.sync(() => { asking-- }))
        )
      })
    })
  }))
