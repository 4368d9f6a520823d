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

const FOLDER = new URL("../../../migrations/", import.meta.url)

const migrations = (): readonly Migration[] =>
  readdirSync(FOLDER).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort().map((name) => {
    const text = readFileSync(new URL(name, FOLDER), "utf8")
    return { number: Number(name.slice(0, 4)), name, text, sha256: createHash("sha256").update(text).digest("hex") }
  })

const applyMissing = async (client: pg.Client, log: Log["Service"]) => {
  await client.query(`create table if not exists schema_migrations (
    number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default clock_timestamp())`)
  const applied = new Map((await client.query("select number, sha256 from schema_migrations")).rows.map((row) => [row.number, row.sha256]))
  for (const { number, name, text, sha256 } of migrations()) {
    const known = applied.get(number)
    if (known === sha256) continue
    if (known !== undefined) throw new SchemaRefused({ message: `${name} was changed after it was applied. Undo the change, and make it in a new file.` })
    await client.query("begin")
    await client.query(text)
    await client.query("insert into schema_migrations (number, name, sha256) values ($1, $2, $3)", [number, name, sha256])
    await client.query("commit")
    log.info("Migration applied", { migration: name })
  }
}

/** A connection that is lost fails the statement that is under way; without a listener it would end the process as well. */
const ignored = () => undefined

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

const refused = (error: unknown) =>
  error instanceof SchemaRefused || error instanceof pg.DatabaseError
    ? new SchemaRefused({ message: error.message })
    : new DatabaseUnavailable({ reason: String(error) })

/** Brings a database up to this version, and makes its installation if there is none. Two at once wait for each other. */
export const migrate = (url: string, options: { readonly partitions: number; readonly log: Log["Service"] }) =>
  Effect.tryPromise({
    try: async () => {
      const client = new pg.Client({ connectionString: url })
      client.on("error", ignored)
      try {
        await client.connect()
        await client.query("select pg_advisory_lock(hashtext('holdfast migrate'))")
        // Behind a statement that waits for an exclusive lock everybody else waits too: better to fail, and to be asked again.
        await client.query("set lock_timeout = '10s'")
        await applyMissing(client, options.log)
        await client.query("select make_time_partitions(2, 7)")
        await installPgBoss(url)
        // Last: where it stands, all the rest does.
        await client.query("insert into installation (partitions, token_secret) values ($1, $2) on conflict do nothing", [options.partitions, randomBytes(32)])
      } finally {
        // An open transaction is rolled back with its connection.
        await client.end()
      }
    },
    catch: refused
  })

/** The installation, if the schema is this version's and the partitions are as configured. */
export const checkSchema = Effect.fn("checkSchema")(function*(options: { readonly partitions: number }) {
  const postgres = yield* Postgres
  const [found] = yield* postgres.read({ name: "schema.migrated", text: "select to_regclass('schema_migrations') is not null as migrated" }, [])
  const applied = found!["migrated"] ? yield* postgres.read({ name: "schema.migrations", text: "select number from schema_migrations" }, []) : []
  const numbers = new Set(applied.map((row) => row["number"]))
  const missing = migrations().filter(({ number }) => !numbers.has(number)).map(({ name }) => name)
  if (missing.length > 0) {
    return yield* new SchemaRefused({ message: `The database lacks the migrations ${missing.join(", ")}. Run \`npm run migrate\`.` })
  }
  const [row] = yield* postgres.read({ name: "schema.installation", text: "select id, partitions, token_secret from installation" }, [])
  if (row === undefined) return yield* new SchemaRefused({ message: "The last migration did not finish. Run `npm run migrate`." })
  if (row["partitions"] !== options.partitions) {
    return yield* new SchemaRefused({
      message: `This installation has ${row["partitions"]} partitions, and CACHE_PARTITIONS says ${options.partitions}. The number cannot change: entries would be looked for elsewhere.`
    })
  }
  return { id: row["id"], partitions: row["partitions"], tokenSecret: row["token_secret"] }
})
