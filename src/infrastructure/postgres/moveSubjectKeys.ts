import { Effect } from "effect"
import type pg from "pg"
import type { Log } from "../../domain/observe/Log.ts"
import { applyMissing, atKeys, DATA, KEYS, oneAtATime, refused, SchemaRefused } from "./migrate.ts"

// A row has some 200 bytes.
const PAGE = 10_000
const TABLES = ["subject_keys", "erased_subjects"]

/** Who is there already stays as they are. A row that could not be had, because the person has another key there, is not counted. */
const PUT = {
  keys: `insert into subject_keys as k select * from json_populate_recordset(null::subject_keys, $1)
    on conflict (subject) do update set made_at = k.made_at where k.wrapped = excluded.wrapped`,
  erased: "insert into erased_subjects select * from json_populate_recordset(null::erased_subjects, $1) on conflict do nothing"
}

/** Pages of a table, as JSON that Postgres makes and takes: nothing of it is looked at here. */
const pages = async function*(from: pg.Client, table: string) {
  await from.query(`declare ${table}_pages cursor for select to_json(t)::text as row from ${table} t`)
  for (;;) {
    const { rows } = await from.query(`fetch ${PAGE} from ${table}_pages`)
    if (rows.length === 0) break
    yield { json: `[${rows.map(({ row }) => row).join()}]`, length: rows.length }
  }
  // A table that a cursor is open on cannot be truncated.
  await from.query(`close ${table}_pages`)
}

/** Answers how many keys there were. */
const copy = async (from: pg.Client, to: pg.Client): Promise<number> => {
  // A process that was not ended waits here, and makes its key afterwards: it is not lost.
  await from.query(`lock table ${TABLES.join(", ")} in access exclusive mode`)
  let keys = 0
  for await (const { json, length } of pages(from, "subject_keys")) {
    if ((await to.query(PUT.keys, [json])).rowCount !== length) {
      throw new SchemaRefused({ message: "Some persons have another key there, and one of the two opens what is kept of them. Nothing was moved." })
    }
    keys += length
  }
  for await (const { json } of pages(from, "erased_subjects")) await to.query(PUT.erased, [json])
  // Who was erased in one of the two places is erased: a copy of the data that was restored knows less than its keys' database.
  await to.query("delete from subject_keys k using erased_subjects e where e.subject = k.subject")
  return keys
}

export interface MoveOptions { readonly apart: boolean; readonly log: Log["Service"] }

/**
 * Takes the keys of persons, and the list of the erased, from beside the data to the database of `keysUrl`, or back, and
 * has the installation say so. Answers how many keys there were. Broken off it can be run again: what is copied is
 * committed before anything is removed.
 */
export const moveSubjectKeys = (url: string, keysUrl: string, { apart, log }: MoveOptions) =>
  Effect.tryPromise({
    try: async () => {
      let moved = 0
      await oneAtATime(url, DATA, (data) => atKeys(keysUrl, async (keys) => {
        const [from, to] = apart ? [data, keys] : [keys, data]
        for (const client of [from, to]) {
          await applyMissing(client, KEYS, log)
          await client.query("begin")
        }
        moved = await copy(from, to)
        if (!apart) {
          const { rows: [lacking] } = await data.query("select count(*)::integer as n from customers c where deleted_at is null and not exists (select from subject_keys where subject = c.id)")
          if (lacking.n > 0) throw new SchemaRefused({ message: `${lacking.n} customers have no key in the database at SUBJECT_KEYS_URL: it is not where theirs are. Nothing was moved.` })
        }
        await data.query("update installation set subject_keys_apart = $1", [apart])
        await from.query(`truncate ${TABLES.join(", ")}`)
        for (const client of [to, from]) await client.query("commit")
      }))
      return moved
    },
    catch: refused("")
  })
