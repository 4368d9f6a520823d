import { randomUUID } from "node:crypto"
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import { expect, inject, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { patient } from "../../../test/support/patient.ts"
import { afterwards, behindProxy, failing, freshDatabase, keptLog, run } from "../../../test/support/services.ts"
import { Log } from "../../domain/observe/Log.ts"
import { SubjectKeys } from "../../domain/secrets/SubjectKeys.ts"
import { layerFileKeyring } from "../crypto/FileKeyring.ts"
import { readKeyring } from "../crypto/keyringFile.ts"
import { Postgres } from "./Postgres.ts"
import { layerPostgresSubjectKeys } from "./PostgresSubjectKeys.ts"
import type { PostgresSubjectKeysOptions } from "./PostgresSubjectKeys.ts"

/** The keys as one process has them. */
const open = async (url: string, options: Partial<PostgresSubjectKeysOptions> = {}) => {
  const { log, lines } = keptLog()
  const runtime = ManagedRuntime.make(layerPostgresSubjectKeys({ url, apart: false, ...options }).pipe(
    Layer.provide(layerFileKeyring(readKeyring(inject("keyringFile")))),
    Layer.provide(Layer.succeed(Log, log))
  ))
  afterwards(() => runtime.dispose())
  return { keys: Context.get(await runtime.context(), SubjectKeys), lines }
}

const WAITING = "select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())"
const PLAIN = Buffer.from("maria.anders@example.com")

test.each([[true, "unreadable"], [false, "keys-share-backup"]] as const)("whether the keys are apart (%s) says what a backup of the data is worth after an erasure: %s", async (apart, backups) => {
  const { keys } = await open((await freshDatabase()).url, { apart })
  expect(keys.backups).toBe(backups)
})

test("a person's key is made once, stays through a restart, and opens what it sealed", async () => {
  const { url, query } = await freshDatabase(), { keys } = await open(url), person = randomUUID()
  expect(await run(keys.find(person))).toBeNull()
  const made = (await run(keys.make(person)))!
  const sealed = made.seal(PLAIN, "customer 1")
  for (const key of [await run(keys.make(person)), await run(keys.find(person)), await run((await open(url)).keys.find(person))]) expect(key!.open(sealed, "customer 1")).toEqual(PLAIN)
  expect(await query("select subject from subject_keys")).toEqual([{ subject: person }])
})

test("those who make a person's key at once are given the same one", async () => {
  const { url } = await freshDatabase(), [one, other] = [await open(url), await open(url)], person = randomUUID()
  const made = await Promise.all([one, other, one, other].map(({ keys }) => run(keys.make(person))))
  const sealed = made[0]!.seal(PLAIN, "a")
  for (const key of made) expect(key!.open(sealed, "a")).toEqual(PLAIN)
})

test("what is sealed opens at its place alone, under its person's key alone, unaltered and whole; two of the same differ", async () => {
  const { keys } = await open((await freshDatabase()).url)
  const [key, other] = [(await run(keys.make(randomUUID())))!, (await run(keys.make(randomUUID())))!]
  const sealed = key.seal(PLAIN, "customer 1")
  expect(sealed).toHaveLength(12 + PLAIN.length + 16)
  expect(key.seal(PLAIN, "customer 1")).not.toEqual(sealed)
  expect(key.open(sealed, "customer 2")).toBeNull()
  expect(other.open(sealed, "customer 1")).toBeNull()
  for (let at = 0; at < sealed.length; at++) {
    const altered = Buffer.from(sealed)
    altered[at]! ^= 1
    expect(key.open(altered, "customer 1")).toBeNull()
    expect(key.open(sealed.subarray(0, at), "customer 1")).toBeNull()
  }
})

test("a destroyed key is gone for good: it is not found, not made again, and the person is on the list; all of it can be repeated", async () => {
  const { url, query } = await freshDatabase(), { keys } = await open(url), persons = [randomUUID(), randomUUID(), randomUUID()].sort()
  for (const person of persons) await run(keys.make(person))
  // Of somebody who never had one, too.
  for (const person of [persons[1]!, persons[0]!, persons[0]!, persons[2]!]) await run(keys.destroy(person))
  for (const person of persons) {
    expect([await run(keys.find(person)), await run(keys.make(person)), await run(keys.isErased(person))]).toEqual([null, null, true])
  }
  expect(await run(keys.isErased(randomUUID()))).toBe(false)
  expect(await run(keys.erased(null, 2))).toEqual(persons.slice(0, 2))
  expect(await run(keys.erased(persons[1]!, 2))).toEqual(persons.slice(2))
  expect(await query("select count(*)::integer as left from subject_keys")).toEqual([{ left: 0 }])
})

test("a key that is made while it is destroyed is not left behind", async () => {
  const { url, query } = await freshDatabase(), { keys } = await open(url)
  for (let n = 0; n < 20; n++) {
    const person = randomUUID()
    await Promise.all([run(keys.make(person)), run(keys.destroy(person)), run(keys.make(person))])
    expect(await run(keys.make(person))).toBeNull()
  }
  expect(await query("select count(*)::integer as left from subject_keys")).toEqual([{ left: 0 }])
})

test("who makes a key waits for a destruction that is under way, and then has none", async () => {
  const database = await freshDatabase(), { keys } = await open(patient(database.url)), person = randomUUID()
  const other = await database.connect()
  await other.query("begin")
  await other.query("select destroy_subject_key($1)", [person])
  const making = run(keys.make(person))
  await eventually(async () => (await database.query(WAITING)).length === 1, { within: 10_000 })
  await other.query("commit")
  expect(await making).toBeNull()
})

test("a key that was made for nobody is taken back, and can be made anew: that is no erasure", async () => {
  const { keys } = await open((await freshDatabase()).url), person = randomUUID()
  const sealed = (await run(keys.make(person)))!.seal(PLAIN, "a")
  await run(keys.discard(person))
  expect([await run(keys.find(person)), await run(keys.isErased(person))]).toEqual([null, false])
  expect((await run(keys.make(person)))!.open(sealed, "a")).toBeNull()
})

test("a wrapped key that was moved to another person opens nothing, and is not taken for an erasure", async () => {
  const { url, query } = await freshDatabase(), { keys } = await open(url), [one, other] = [randomUUID(), randomUUID()]
  await run(keys.make(one))
  await query("insert into subject_keys (subject, wrapped) select $1, wrapped from subject_keys", [other])
  await expect(run(keys.find(other))).rejects.toThrow("does not open")
})

test("what one process destroyed another finds no more once its kept key is too old, and the one itself at once", async () => {
  const { url } = await freshDatabase(), person = randomUUID()
  const [one, other] = [await open(url), await open(url, { keptMilliseconds: 300 })]
  await run(one.keys.make(person))
  expect(await run(other.keys.find(person))).not.toBeNull()
  await run(one.keys.destroy(person))
  expect(await run(one.keys.find(person))).toBeNull()
  await eventually(async () => await run(other.keys.find(person)) === null)
})

test("keys are kept for a while, so that an unreachable database is not missed at once; then it is said to be unavailable", async () => {
  const { url } = await freshDatabase(), proxy = await behindProxy(url), { keys, lines } = await open(proxy.to, { apart: true, most: 2 }), persons = [randomUUID(), randomUUID(), randomUUID()]
  for (const person of persons) await run(keys.make(person))
  // The first one was pushed out by the third, and the second is used.
  await proxy.cut()
  expect(await run(keys.find(persons[1]!))).not.toBeNull()
  expect(await run(keys.find(persons[2]!))).not.toBeNull()
  for (const asked of [keys.find(persons[0]!), keys.make(persons[0]!), keys.isErased(persons[0]!), keys.discard(persons[1]!), keys.destroy(persons[2]!)]) {
    expect(await failing<unknown, unknown>(asked)).toMatchObject({ _tag: "DatabaseUnavailable" })
  }
  expect(lines).toContainEqual({ level: "error", message: "Postgres cannot be reached", fields: { database: "subject keys" } })
  await proxy.restore()
  await eventually(async () => await run(keys.find(persons[1]!)) !== null)
  expect(lines).toContainEqual({ level: "info", message: "Postgres is back", fields: { database: "subject keys" } })
})

test("a key that was asked for before another went, and came after it, is handed out and not kept", async () => {
  const database = await freshDatabase(), { keys } = await open(patient(database.url)), person = randomUUID()
  const other = await database.connect()
  await other.query("begin")
  await other.query("select pg_advisory_xact_lock(hashtextextended('subject ' || $1::text, 0))", [person])
  const making = run(keys.make(person))
  await eventually(async () => (await database.query(WAITING)).length === 1, { within: 10_000 })
  await run(keys.discard(person))
  await other.query("commit")
  expect(await making).not.toBeNull()
  await database.query("delete from subject_keys")
  expect(await run(keys.find(person))).toBeNull()
})

test("when kept keys are forgotten, so is the way there: nothing is asked over a connection from before, whose server may be there still", async () => {
  const { url, query } = await freshDatabase(), { keys } = await open(url), person = randomUUID()
  const connected = async (): Promise<number[]> => (await query("select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()")).map(({ pid }) => pid)
  await run(keys.make(person))
  const before = await connected()
  expect(before.length).toBeGreaterThan(0)
  await query("delete from subject_keys")
  expect(await run(keys.find(person))).not.toBeNull()
  keys.forget()
  expect(await run(keys.find(person))).toBeNull()
  const after = await connected()
  await eventually(async () => expect((await connected()).filter((pid) => before.includes(pid))).toEqual([]), { within: 10_000 })
  expect(after.filter((pid) => !before.includes(pid))).not.toEqual([])
})

test("a key is made for good also inside a transaction of the data that is rolled back", async () => {
  const { url } = await freshDatabase(), { keys } = await open(url), person = randomUUID()
  const runtime = ManagedRuntime.make(Layer.provide(Postgres.layer({ url, poolMax: 1 }), Layer.succeed(Log, keptLog().log)))
  afterwards(() => runtime.dispose())
  const work = Effect.flatMap(Postgres, ({ transaction }) => transaction(Effect.andThen(keys.make(person), Effect.fail("undone"))))
  expect(await runtime.runPromise(Effect.flip(work))).toBe("undone")
  expect(await run((await open(url)).keys.find(person))).not.toBeNull()
})
