import { createHash, randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { Data, Effect } from "effect"
import pg from "pg"
import { PgBoss } from "pg-boss"
import { DatabaseUnavailable } from "../../domain/ledger/Ledger.ts"
import type { Log } from "../../domain/observe/Log.ts"
import { Postgres } from "./Postgres.ts"

/** The database is not as this version of the service needs it. The message says what to do. */
export class SchemaRefused extends Data.TaggedError("SchemaRefused")<{ readonly message: string }> {}

/** What all processes of one installation share. */
export interface Installation {
  readonly id: string
  readonly partitions: number
  /** 32 bytes; authenticates consistency tokens. */
  readonly tokenSecret: Uint8Array
}

interface Migration { readonly number: number; readonly name: string; readonly text: string; readonly sha256: string }

/** Files that are applied in order, and the table that says which were. */
interface Series { readonly folder: URL; readonly table: string; readonly lock: string }

export const DATA: Series = { folder: new URL("../../../migrations/", import.meta.url), table: "schema_migrations", lock: "holdfast migrate" }
/** Of the persons' keys, whose database may be another one. */
export const KEYS: Series = { folder: new URL("../../../migrations/subject-keys/", import.meta.url), table: "subject_keys_migrations", lock: "holdfast migrate subject keys" }

const migrations = ({ folder }: Series): readonly Migration[] =>
  readdirSync(folder).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort().map((name) => {
    const text = readFileSync(new URL(name, folder), "utf8")
    return { number: Number(name.slice(0, 4)), name, text, sha256: createHash("sha256").update(text).digest("hex") }
  })

export const applyMissing = async (client: pg.Client, series: Series, log: Log["Service"]) => {
  const { table } = series
  await client.query(`create table if not exists ${table} (
    number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default clock_timestamp())`)
  const applied = new Map((await client.query(`select number, sha256 from ${table}`)).rows.map((row) => [row.number, row.sha256]))
  for (const { number, name, text, sha256 } of migrations(series)) {
    const known = applied.get(number)
    if (known === sha256) continue
    if (known !== undefined) throw new SchemaRefused({ message: `${name} was changed after it was applied. Undo the change, and make it in a new file.` })
    await client.query("begin")
    await client.query(text)
    await client.query(`insert into ${table} (number, name, sha256) values ($1, $2, $3)`, [number, name, sha256])
    await client.query("commit")
    log.info("Migration applied", { migration: name })
  }
}

/** A connection that is lost fails the statement that is under way; without a listener it would end the process as well. */
const ignored = () => undefined

/** Two at once wait for each other. */
export const oneAtATime = async (url: string, { lock }: Series, work: (client: pg.Client) => Promise<void>) => {
  const client = new pg.Client({ connectionString: url })
  client.on("error", ignored)
  try {
    await client.connect()
    await client.query("select pg_advisory_lock(hashtext($1))", [lock])
    // Behind a statement that waits for an exclusive lock everybody else waits too: better to fail, and to be asked again.
    await client.query("set lock_timeout = '10s'")
    await work(client)
  } finally {
    // An open transaction is rolled back with its connection.
    await client.end()
  }
}

/** Only a migration changes pg-boss' schema, so that a service may run without the right to. */
const installPgBoss = async (url: string) => {
  const boss = new PgBoss({ connectionString: url, max: 1, supervise: false, schedule: false })
  boss.on("error", ignored)
  try {
    await boss.start()
  } finally {
    await boss.stop({ graceful: false })
  }
}

export const refused = (where: string) => (error: unknown) =>
  error instanceof SchemaRefused || error instanceof pg.DatabaseError
    ? new SchemaRefused({ message: error.message })
    : error instanceof DatabaseUnavailable ? error : new DatabaseUnavailable({ reason: `${String(error)}${where}` })

/** Says of a fault which of two databases has it. */
const AT_KEYS = " at SUBJECT_KEYS_URL"

/** As `oneAtATime`, in the database that SUBJECT_KEYS_URL names. */
export const atKeys = (url: string, work: (client: pg.Client) => Promise<void>) =>
  oneAtATime(url, KEYS, work).catch((error) => { throw refused(AT_KEYS)(error) })

const PLACE = "subject_keys_apart as apart, exists (select from customers) as inhabited"

/** What is wrong with where the configuration has the keys of persons; null if nothing is. */
const misplaced = (apart: boolean, configured: boolean) => apart === configured ? null : apart
  ? "The keys of persons are in a database of their own, and SUBJECT_KEYS_URL is not set: every customer would look erased. Set it. " +
    "To have the keys beside the data, set it, end every process and run `npm run holdfast -- subject-keys move beside`."
  : "The keys of persons are beside the data, and SUBJECT_KEYS_URL names another database: every customer would look erased. Unset it. " +
    "To have the keys there, end every process and run `npm run holdfast -- subject-keys move apart`."

export interface MigrateOptions {
  readonly partitions: number
  readonly log: Log["Service"]
  /** Of the persons' keys; without one they are beside the data. */
  readonly subjectKeysUrl?: string | null
}

/** Brings a database up to this version, and that of the keys, and makes its installation if there is none. */
export const migrate = (url: string, { partitions, log, subjectKeysUrl = null }: MigrateOptions) =>
  Effect.tryPromise({
    try: () => oneAtATime(url, DATA, async (client) => {
      await applyMissing(client, DATA, log)
      const apart = subjectKeysUrl !== null, [known] = (await client.query(`select ${PLACE} from installation`)).rows
      const fault = known?.inhabited ? misplaced(known.apart, apart) : null
      if (fault !== null) throw new SchemaRefused({ message: fault })
      await client.query("select make_time_partitions(2, 7)")
      await installPgBoss(url)
      if (subjectKeysUrl === null) await applyMissing(client, KEYS, log)
      else await atKeys(subjectKeysUrl, (keys) => applyMissing(keys, KEYS, log))
      // Last: where it stands, all the rest does.
      await client.query(
        `insert into installation (partitions, token_secret, subject_keys_apart) values ($1, $2, $3)
         on conflict (only_row) do update set subject_keys_apart = excluded.subject_keys_apart`,
        [partitions, randomBytes(32), apart]
      )
    }),
    catch: refused("")
  })

/** Refuses a database that lacks any of these. `where` says which database it is. */
const checkSeries = Effect.fnUntraced(function*(series: Series, where: string) {
  const postgres = yield* Postgres, { table } = series
  const [found] = yield* postgres.read({ name: `${table} made`, text: `select to_regclass('${table}') is not null as migrated` }, [])
  const applied = found!["migrated"] ? yield* postgres.read({ name: `${table} applied`, text: `select number from ${table}` }, []) : []
  const numbers = new Set(applied.map((row) => row["number"]))
  const missing = migrations(series).filter(({ number }) => !numbers.has(number)).map(({ name }) => name)
  if (missing.length > 0) return yield* new SchemaRefused({ message: `The database${where} lacks the migrations ${missing.join(", ")}. Run \`npm run migrate\`.` })
})

/** That the database of the persons' keys is this version's. */
export const checkSubjectKeys = ({ apart }: { readonly apart: boolean }) => apart
  ? Effect.catchTag(checkSeries(KEYS, AT_KEYS), "DatabaseUnavailable", ({ reason }) => Effect.fail(new DatabaseUnavailable({ reason: `${reason}${AT_KEYS}` })))
  : checkSeries(KEYS, "")

/** The installation, if the schema is this version's, the partitions are as configured, and so, where it is said, are the keys of persons. */
export const checkSchema = Effect.fn("checkSchema")(function*(options: { readonly partitions: number; readonly subjectKeysApart?: boolean }) {
  const postgres = yield* Postgres
  yield* checkSeries(DATA, "")
  const [row] = yield* postgres.read({ name: "schema.installation", text: `select id, partitions, token_secret, ${PLACE} from installation` }, [])
  if (row === undefined) return yield* new SchemaRefused({ message: "The last migration did not finish. Run `npm run migrate`." })
  if (row["partitions"] !== options.partitions) {
    return yield* new SchemaRefused({
      message: `This installation has ${row["partitions"]} partitions, and CACHE_PARTITIONS says ${options.partitions}. The number cannot change: entries would be looked for elsewhere.`
    })
  }
  const fault = misplaced(row["apart"], options.subjectKeysApart ?? row["apart"])
  if (fault !== null) return yield* new SchemaRefused({ message: row["inhabited"] ? fault : "The keys of persons are to be in another place than at the last migration. Run `npm run migrate`." })
  return { id: row["id"], partitions: row["partitions"], tokenSecret: row["token_secret"] }
})
