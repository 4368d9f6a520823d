import { randomUUID } from "node:crypto"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { patient } from "../../../test/support/patient.ts"
import { Log } from "../../domain/observe/Log.ts"
import { RetryQueue } from "../../domain/sync/RetryQueue.ts"
import type { Debt } from "../../domain/sync/RetryQueue.ts"
import { migrate } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"
import { layerPostgresRetryQueue } from "./PostgresRetryQueue.ts"

const quiet = () => undefined
const log = Log.of({ debug: quiet, info: quiet, warn: quiet, error: quiet })

let url: string
let runtime: ManagedRuntime.ManagedRuntime<RetryQueue | Postgres, never>
let queue: RetryQueue["Service"], pool: Postgres["Service"]["pool"]
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)

beforeAll(async () => {
  url = await createDatabase()
  await run(migrate(url, { partitions: 64, log }))
  runtime = ManagedRuntime.make(Layer.provide(Layer.provideMerge(layerPostgresRetryQueue, Postgres.layer({ url: patient(url), poolMax: 10 })), Layer.succeed(Log, log)))
  queue = await runtime.runPromise(RetryQueue)
  pool = (await runtime.runPromise(Postgres)).pool
})
afterAll(async () => {
  await runtime.dispose()
  await dropDatabase(url)
})
beforeEach(() => pool.query("truncate sync_retry_queue"))

const debt = (over: Partial<Debt> = {}): Debt => ({ kind: "product", id: randomUUID(), version: 1, reason: "store missed: timeout", ...over })
const owing = async (count: number) => {
  const debts = Array.from({ length: count }, () => debt()).sort((a, b) => a.id < b.id ? -1 : 1)
  await run(queue.owe(debts))
  return debts
}
const all = () => run(queue.list({ after: null, limit: 1_000, state: null }))
const postpone = async (id: string, over: { delayMilliseconds?: number; dead?: boolean } = {}) => {
  const [row] = await run(queue.select({ kind: "product", id }, 1))
  await run(queue.postpone([{ row: row!, delayMilliseconds: 60_000, reason: "again: timeout", dead: false, ...over }]))
}

test("an entity that is owed twice has one row, with the newest version", async () => {
  const first = debt()
  await run(queue.owe([first]))
  await run(queue.owe([{ ...first, version: 5, reason: "later" }]))
  await run(queue.owe([{ ...first, version: 3, reason: "late" }]))
  expect(await run(queue.due(10))).toEqual([{ kind: "product", id: first.id, version: 5, owed: expect.any(Number), attempts: 0 }])
  expect((await all())[0]).toMatchObject({ reason: "late", state: "due" })
})

test("rows that are due come longest due first", async () => {
  const [a, b, c] = await owing(3)
  await pool.query("update sync_retry_queue set next_attempt_at = now() - case entity_id when $1 then interval '1 s' when $2 then interval '3 s' else interval '2 s' end", [a!.id, b!.id])
  expect((await run(queue.due(2))).map(({ id }) => id)).toEqual([b!.id, c!.id])
})

test("a replay removes its row only if it was not owed again meanwhile", async () => {
  const [a, b] = await owing(2)
  const rows = await run(queue.due(10))
  await run(queue.owe([{ ...b!, version: 2 }]))
  await run(queue.settle(rows))
  expect((await all()).map(({ id, version }) => [id, version])).toEqual([[b!.id, 2]])
  expect(a).toBeDefined()
})

test("a replay that stood still while others settled its row leaves what is owed since then", async () => {
  const [a] = await owing(1)
  const rows = await run(queue.due(10))
  await run(queue.settle(rows))
  await run(queue.owe([{ ...a!, version: 2 }]))
  await run(queue.settle(rows))
  await run(queue.postpone([{ row: rows[0]!, delayMilliseconds: 60_000, reason: "again: timeout", dead: false }]))
  expect(await all()).toMatchObject([{ id: a!.id, version: 2, state: "due" }])
})

test("a row that is postponed is due after its delay, with one attempt more", async () => {
  const [a] = await owing(1)
  await postpone(a!.id)
  expect(await run(queue.due(10))).toEqual([])
  const [row] = await all()
  expect(row).toMatchObject({ attempts: 1, reason: "again: timeout", state: "delayed" })
  expect(Date.parse(row!.nextAttemptAt) - Date.parse(row!.firstFailedAt)).toBeGreaterThanOrEqual(60_000)
  await postpone(a!.id, { delayMilliseconds: 0 })
  expect(await run(queue.due(10))).toMatchObject([{ id: a!.id, attempts: 2 }])
})

test("what is owed again during an attempt that fails stays due, and alive", async () => {
  const [a] = await owing(1)
  const [row] = await run(queue.due(1))
  await run(queue.owe([{ ...a!, version: 2 }]))
  await run(queue.postpone([{ row: row!, delayMilliseconds: 60_000, reason: "cannot be encoded", dead: true }]))
  expect(await run(queue.due(10))).toMatchObject([{ id: a!.id, version: 2 }])
})

test("times are RFC 3339 in UTC with milliseconds", async () => {
  const before = Date.now()
  await owing(1)
  const [row] = await all()
  expect([row!.firstFailedAt, row!.nextAttemptAt].every((time) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time))).toBe(true)
  expect(Date.parse(row!.firstFailedAt)).toBeGreaterThan(before - 5_000)
  expect(Date.parse(row!.firstFailedAt)).toBeLessThan(Date.now() + 5_000)
})

test("a release makes every row due that is not dead; dead ones if they are asked for", async () => {
  const [a, b, c] = await owing(3)
  await postpone(a!.id)
  await postpone(b!.id, { dead: true })
  expect(await run(queue.release(null, false))).toBe(2)
  expect((await run(queue.due(10))).map(({ id }) => id).sort()).toEqual([a!.id, c!.id])
  expect(await run(queue.release({ kind: "product", id: b!.id }, false))).toBe(1)
  expect(await run(queue.select({ kind: "product", id: b!.id }, 1))).toMatchObject([{ attempts: 0 }])
  await postpone(c!.id, { dead: true })
  expect(await run(queue.release(null, true))).toBe(3)
  expect(await run(queue.size)).toMatchObject({ size: 3, due: 3, dead: 0 })
  expect(await run(queue.release({ kind: "product", id: randomUUID() }, true))).toBe(0)
})

test("a row that was due already keeps its place when all are released", async () => {
  await owing(1)
  const before = await all()
  await run(queue.release(null, false))
  expect(await all()).toEqual(before)
})

test("the size counts every state, and the age of the oldest", async () => {
  expect(await run(queue.size)).toEqual({ size: 0, due: 0, delayed: 0, dead: 0, oldestAgeSeconds: 0 })
  const [a, b] = await owing(3)
  await postpone(a!.id)
  await postpone(b!.id, { dead: true })
  await pool.query("update sync_retry_queue set first_failed_at = now() - interval '90 s' where entity_id = $1", [a!.id])
  const size = await run(queue.size)
  expect(size).toMatchObject({ size: 3, due: 1, delayed: 1, dead: 1 })
  expect(size.oldestAgeSeconds).toBeGreaterThanOrEqual(90)
  expect(size.oldestAgeSeconds).toBeLessThan(180)
})

test("a list goes on where it left off, and shows one state alone", async () => {
  const debts = await owing(5)
  const first = await run(queue.list({ after: null, limit: 2, state: null }))
  const rest = await run(queue.list({ after: first.at(-1)!, limit: 10, state: null }))
  expect([...first, ...rest].map(({ id }) => id)).toEqual(debts.map(({ id }) => id))
  await postpone(debts[0]!.id)
  await postpone(debts[1]!.id, { dead: true })
  const states = await Promise.all((["due", "delayed", "dead"] as const).map((state) => run(queue.list({ after: null, limit: 10, state }))))
  expect(states.map((rows) => rows.map(({ state }) => state))).toEqual([["due", "due", "due"], ["delayed"], ["dead"]])
})

test("only a dead row is discarded", async () => {
  const [a] = await owing(1), selection = { kind: "product", id: a!.id }
  expect(await run(queue.discard(selection))).toBe("alive")
  await postpone(a!.id, { dead: true })
  expect(await run(queue.discard(selection))).toBe("discarded")
  expect(await run(queue.discard(selection))).toBe("gone")
})

test("everybody may owe, settle, postpone and release the same rows at once", async () => {
  const debts = await owing(300), backwards = [...debts].reverse()
  for (let round = 0; round < 8; round++) {
    const rows = await run(queue.select(null, 1_000))
    const postponed = rows.map((row) => ({ row, delayMilliseconds: 0, reason: "r", dead: false }))
    await Promise.all([
      run(queue.postpone(postponed)), run(queue.postpone([...postponed].reverse())), run(queue.release(null, true)), run(queue.owe(backwards)),
      run(queue.settle([...rows].reverse())), run(queue.settle(rows)), run(queue.owe(debts))
    ])
  }
  expect((await all()).length).toBe(300)
  const { rows: [database] } = await pool.query("select deadlocks::integer from pg_stat_database where datname = current_database()")
  expect(database.deadlocks).toBe(0)
})
