import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { beforeEach, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../test/support/database.ts"
import { changingCustomer, registering, tombstoning } from "../../test/support/requests.ts"
import { afterwards, failing, freshDatabase, openServices, run } from "../../test/support/services.ts"
import { Commands } from "../domain/Commands.ts"
import { SubjectKeys } from "../domain/secrets/SubjectKeys.ts"
import { holdfast } from "./holdfast.ts"

const tool = async (environment: Readonly<Record<string, string>>, ...args: readonly string[]) => {
  let out = "", err = ""
  const code = await holdfast(args, environment, { out: (text) => { out += text }, err: (text) => { err += text } })
  return { code, out, err }
}
const move = (where: string, more: Readonly<Record<string, string>> = {}) => tool({ DATABASE_URL: data.url, SUBJECT_KEYS_URL: keys, ...more }, "subject-keys", "move", where)

const emptyDatabase = async () => {
  const url = await createDatabase()
  afterwards(() => dropDatabase(url))
  return url
}
const ask = async (url: string, text: string, values: readonly unknown[] = []) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text, values as unknown[])).rows
  } finally {
    await client.end()
  }
}
const subjects = async (url: string) => (await ask(url, "select subject from subject_keys order by subject")).map(({ subject }) => subject as string)
const erased = async (url: string) => (await ask(url, "select subject from erased_subjects order by subject")).map(({ subject }) => subject as string)

let data: Awaited<ReturnType<typeof freshDatabase>>, keys: string
beforeEach(async () => {
  [data, keys] = [await freshDatabase(), await emptyDatabase()]
})

/** A process: its keys beside the data, or apart. */
const process = async (apart: boolean) => {
  const { get } = await openServices({ database: data.url, environment: apart ? { SUBJECT_KEYS_URL: keys } : {} })
  const commands = get(Commands)
  const register = async () => (await run(commands.create(registering()))).id
  const erase = async (id: string) => {
    await run(commands.change(tombstoning(id)))
    await run(get(SubjectKeys).destroy(id))
  }
  // What is not personal needs no key; a name does.
  const rename = async (id: string, name: string) => (await run(commands.change(changingCustomer(id, { name })))).version
  return { commands, register, erase, rename }
}

test("the keys of persons and the list of the erased go to a database of their own and back, the installation says so, and everybody is still who they were", async () => {
  const first = await process(false), living = [await first.register(), await first.register()].sort(), gone = await first.register()
  await first.erase(gone)
  expect(await move("apart")).toEqual({ code: 0, out: "Keys that were moved: 2. Start every process with SUBJECT_KEYS_URL from now on.\n", err: "" })
  expect([await subjects(keys), await erased(keys), await subjects(data.url), await erased(data.url)]).toEqual([living, [gone], [], []])
  expect(await tool({ DATABASE_URL: data.url }, "migrate")).toMatchObject({ code: 1, err: expect.stringContaining("SUBJECT_KEYS_URL is not set") })
  const second = await process(true)
  expect(await second.rename(living[0]!, "Grace")).toBe(2)
  await second.erase(living[1]!)
  const young = await second.register()
  expect(await move("beside")).toEqual({ code: 0, out: "Keys that were moved: 2. Start every process without SUBJECT_KEYS_URL from now on.\n", err: "" })
  expect([await subjects(data.url), await erased(data.url), await subjects(keys), await erased(keys)]).toEqual([[living[0], young].sort(), [gone, living[1]].sort(), [], []])
  const third = await process(false)
  expect([await third.rename(living[0]!, "Ada"), await third.rename(young, "Grace")]).toEqual([3, 2])
  expect(await failing(third.commands.change(changingCustomer(gone, { name: "x" })))).toMatchObject({ _tag: "Deleted" })
})

test("more keys than are taken at once all arrive", async () => {
  await data.query("insert into subject_keys (subject, wrapped) select gen_random_uuid(), sha256(n::text::bytea) from generate_series(1, 10001) n")
  const before = await subjects(data.url)
  expect(await move("apart")).toMatchObject({ code: 0, out: expect.stringContaining("moved: 10001.") })
  expect(await subjects(keys)).toEqual(before)
})

test("a move that was broken off after the copy is run again, and once more does no harm", async () => {
  const id = await (await process(false)).register()
  await move("apart")
  // As if the keys had not been removed beside the data.
  const [row] = await ask(keys, "select * from subject_keys")
  await data.query("insert into subject_keys (subject, wrapped) values ($1, $2)", [row!["subject"], row!["wrapped"]])
  for (const moved of [1, 0]) expect(await move("apart")).toMatchObject({ code: 0, out: expect.stringContaining(`moved: ${moved}.`) })
  expect([await subjects(keys), await subjects(data.url)]).toEqual([[id], []])
})

test("a copy of the data that comes back with its keys brings nobody back who was erased since", async () => {
  const first = await process(false), id = await first.register()
  const backup = await data.query("select * from subject_keys")
  await move("apart")
  await (await process(true)).erase(id)
  for (const { subject, wrapped } of backup) await data.query("insert into subject_keys (subject, wrapped) values ($1, $2)", [subject, wrapped])
  expect(await move("apart")).toMatchObject({ code: 0 })
  expect([await subjects(keys), await erased(keys), await subjects(data.url)]).toEqual([[], [id], []])
})

test("where a person has another key in the other place nothing is moved", async () => {
  const first = await process(false), ids = [await first.register(), await first.register()].sort()
  await tool({ DATABASE_URL: await emptyDatabase(), SUBJECT_KEYS_URL: keys }, "migrate")
  await ask(keys, "insert into subject_keys (subject, wrapped) values ($1, 'another')", [ids[1]])
  expect(await move("apart")).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Some persons have another key there") })
  expect([await subjects(keys), await subjects(data.url)]).toEqual([[ids[1]], ids])
  expect(await first.rename(ids[0]!, "Grace")).toBe(2)
  await process(false)
})

test("from a database that is not the one with the keys of these customers nothing is moved", async () => {
  const first = await process(false), id = await first.register()
  await first.erase(await first.register())
  await move("apart")
  expect(await move("beside", { SUBJECT_KEYS_URL: await emptyDatabase() })).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/^1 customers have no key in the database at SUBJECT_KEYS_URL/) })
  expect(await subjects(keys)).toEqual([id])
  expect(await (await process(true)).rename(id, "Grace")).toBe(2)
})

test("what cannot be moved says why: no place, a place that does not answer, a database that was not migrated", async () => {
  expect(await move("apart", { SUBJECT_KEYS_URL: "" })).toMatchObject({ code: 1, err: expect.stringContaining("SUBJECT_KEYS_URL is needed") })
  expect(await move("apart", { SUBJECT_KEYS_URL: "postgres://somebody:opensesame@127.0.0.1:1/x" })).toMatchObject({ code: 1, err: expect.stringMatching(/^The database cannot be reached: (?!.*opensesame).*ECONNREFUSED.* at SUBJECT_KEYS_URL/) })
  expect(await move("apart", { DATABASE_URL: await emptyDatabase() })).toMatchObject({ code: 1, err: expect.stringContaining("Run `npm run migrate`") })
})

test("keys beside an embedded Postgres can be moved, and come back", { timeout: 120_000 }, async () => {
  const HOLDFAST_FOLDER = await mkdtemp(join(tmpdir(), "holdfast-keys-"))
  afterwards(() => rm(HOLDFAST_FOLDER, { recursive: true, force: true }))
  for (const where of ["apart", "beside"]) expect(await move(where, { DATABASE_URL: "", HOLDFAST_FOLDER })).toMatchObject({ code: 0, out: expect.stringContaining("Keys that were moved: 0.") })
})
