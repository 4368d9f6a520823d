import { expect, onTestFinished, test } from "vitest"
import { createDatabase, dropDatabase } from "../../test/support/database.ts"
import { eventually } from "../../test/support/eventually.ts"
import { creating, freshDatabase, openJobs, openServices, run } from "../../test/support/services.ts"
import { Commands } from "../domain/Commands.ts"
import { Cache } from "../domain/cache/Cache.ts"
import { Keyspace } from "../domain/cache/Keyspace.ts"
import { VerificationRuns } from "../domain/sync/VerificationRuns.ts"
import { layerVerifications } from "../jobs/verifications.ts"
import { holdfast } from "./holdfast.ts"

/** Of the command that runs, what it has written to the errors so far. */
let err = ""
const cli = async (database: string, ...args: readonly string[]) => {
  let out = ""
  err = ""
  // The service reaches the cache; the command line needs neither that nor the keyring.
  const environment = { DATABASE_URL: database, REDIS_URL: "redis://127.0.0.1:1" }
  const code = await holdfast(args, environment, { out: (text) => { out += text }, err: (text) => { err += text } })
  return { code, out, err }
}

const serving = async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  const ids = [(await run(services.get(Commands).create(creating()))).id, (await run(services.get(Commands).create(creating()))).id]
  await openJobs(services, layerVerifications({ every: "50 millis" }))
  const evict = (id: string) => services.get(Cache).evict(services.get(Keyspace).keyOf("product", id))
  return { ...database, ids, evict }
}

test("verify waits for the service, tells how far it is, and succeeds where nothing is wrong", async () => {
  const { url } = await serving()
  const { code, out, err } = await cli(url, "verify", "--kind", "product")
  expect({ code, out }).toEqual({ code: 0, out: "2 looked at: 2 fine, 0 absent, 0 behind, 0 ahead, 0 undecodable, 0 different, 0 repaired\n" })
  expect(err).toBe("2 looked at\n")
})

test("while a run is under way its progress goes to the errors: how many, and at which kind", async () => {
  const { url, query } = await freshDatabase(), runs = (await openServices({ database: url })).get(VerificationRuns)
  const tally = { counts: { fine: 500, behind: 2, repaired: 2 }, oldestSeconds: {}, first: {} }
  const command = cli(url, "verify")
  const [{ id }] = await eventually(async () => {
    const found = await query("select id from verifications") as [{ id: string }]
    expect(found).toHaveLength(1)
    return found
  })
  const standing = async () => (await run(runs.find(id)))!
  await run(runs.move(await standing(), { kind: "order", after: null }, tally))
  await eventually(() => expect(err).toBe("502 looked at, at order\n"))
  await run(runs.move(await standing(), null, tally))
  expect(await command).toEqual({ code: 1, out: "502 looked at: 500 fine, 0 absent, 2 behind, 0 ahead, 0 undecodable, 0 different, 2 repaired\n", err: "502 looked at, at order\n502 looked at\n" })
})

test("what is wrong is named, counted and repaired, and the exit code is 1", async () => {
  const { url, ids, query } = await serving()
  await query("update products set version_id = 2 where id = $1", [ids[1]])
  const counts = (repaired: number) => `2 looked at: 1 fine, 0 absent, 1 behind, 0 ahead, 0 undecodable, 0 different, ${repaired} repaired\n`
  const named = `behind       product   ${ids[1]}\n`
  expect(await cli(url, "verify", "--no-repair")).toMatchObject({ code: 1, out: named + counts(0), err: expect.stringMatching(/^\d+ looked at(, at (product|order|customer))?$/m) })
  expect(await cli(url, "verify")).toMatchObject({ code: 1, out: named + counts(1) })
  expect(await cli(url, "verify", "--sample", "1")).toMatchObject({ code: 0 })
})

test("rebuild cache fills what is absent; rebuild rows names the fields that differ and fails", async () => {
  const { url, ids, evict, query } = await serving()
  await evict(ids[0]!)
  expect(await cli(url, "rebuild", "cache")).toMatchObject({ code: 0, out: "2 looked at: 1 stood, 1 filled, 0 left\n" })
  expect(await cli(url, "rebuild", "rows")).toMatchObject({ code: 0, out: "2 looked at: 2 fine, 0 pruned, 0 different\n" })
  await query("update products set stock = 3 where id = $1", [ids[0]])
  expect(await cli(url, "rebuild", "rows", "--kind", "product")).toMatchObject({ code: 1, out: `different    product   ${ids[0]}  stock\n2 looked at: 1 fine, 0 pruned, 1 different\n` })
})

test("where no process works on it the command gives up, and says so", async () => {
  const { url, query } = await freshDatabase()
  const { code, out, err } = await cli(url, "verify", "--patience", "0.5")
  expect({ code, out }).toEqual({ code: 1, out: "" })
  const [{ id, actor }] = await query("select id, actor from verifications") as [{ id: string; actor: string }]
  expect(err).toContain("Nothing has been done for 0.5 s")
  expect(err).toContain("another run")
  expect(err).toContain(id)
  expect(actor).toBe("command line")
})

test("a run that was lost with a life of the database is said to be lost", async () => {
  const { url, query } = await freshDatabase()
  // As soon as it is made.
  await query("create function lose() returns trigger language plpgsql as 'begin delete from verifications; return null; end'")
  await query("create trigger lost after insert on verifications for each statement execute function lose()")
  expect(await cli(url, "verify")).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/Run [0-9a-f-]{36} is not there any more: the database has begun another life/) })
})

test("a share, a time or a kind that is none is refused, and a database that was not migrated too", async () => {
  for (const args of [["verify", "--sample", "0"], ["verify", "--sample", "2"], ["verify", "--sample", " "], ["verify", "--patience", "never"], ["rebuild", "cache", "--kind", "planet"]]) {
    expect(await cli("postgres://127.0.0.1:1/x", ...args), args.join(" ")).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/^error: option/) })
  }
  const fresh = await createDatabase()
  onTestFinished(() => dropDatabase(fresh))
  expect(await cli(fresh, "verify")).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Run `npm run migrate`") })
})
