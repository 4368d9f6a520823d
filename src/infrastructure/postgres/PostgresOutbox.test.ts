import { randomUUID } from "node:crypto"
import { Effect, Layer, ManagedRuntime } from "effect"
import pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { product } from "../../domain/kinds/product.ts"
import { Outbox } from "../../domain/ledger/Outbox.ts"
import { shows } from "../../domain/ledger/Snapshot.ts"
import type { Snapshot } from "../../domain/ledger/Snapshot.ts"
import { Log } from "../../domain/observe/Log.ts"
import { migrate } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"
import { layerPostgresOutbox } from "./PostgresOutbox.ts"

const quiet = () => undefined
const log = Log.of({ debug: quiet, info: quiet, warn: quiet, error: quiet })
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)

let url: string, outbox: Outbox["Service"], pool: pg.Pool, epoch: number
let runtime: ManagedRuntime.ManagedRuntime<Outbox | Postgres, never>
beforeAll(async () => {
  url = await createDatabase()
  await run(migrate(url, { partitions: 64, log }))
  // One connection: what it has prepared can be explained.
  runtime = ManagedRuntime.make(Layer.provide(Layer.provideMerge(layerPostgresOutbox, Postgres.layer({ url, poolMax: 1 })), Layer.succeed(Log, log)))
  outbox = await runtime.runPromise(Outbox)
  pool = (await runtime.runPromise(Postgres)).pool
  epoch = (await run(outbox.end)).position.epoch
})
afterAll(async () => {
  await runtime.dispose()
  await dropDatabase(url)
})
beforeEach(() => pool.query("truncate outbox"))

const clients: pg.Client[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client.end()
})
const session = async () => {
  const client = new pg.Client({ connectionString: url })
  clients.push(client)
  await client.connect()
  return client
}

interface Given { readonly xid?: string; readonly partition?: number; readonly kind?: string; readonly id?: string; readonly version?: number; readonly epoch?: number; readonly age?: string }

/** Writes an event, in a given transaction if it is named; answers its transaction. */
const record = async (client: pg.Client | pg.Pool, given: Given = {}) => {
  const { rows } = await client.query(
    `insert into outbox (recorded_at, epoch, xid, seq, partition, kind, entity_id, version_id, type, data, metadata)
     values (now() - $7::interval, coalesce($1::bigint, $8), coalesce($2::xid8, pg_current_xact_id()), nextval('outbox_seq'), $3, $4, $5, $6, 'ProductDeleted', '{"n": 1}', '{}')
     returning xid`,
    [given.epoch ?? null, given.xid ?? null, given.partition ?? 7, given.kind ?? "product", given.id ?? randomUUID(), given.version ?? 1, given.age ?? "0 s", epoch]
  )
  return BigInt(rows[0].xid)
}

const start: Snapshot = { xmin: 3n, xmax: 3n, open: [] }
const since = async (snapshot: Snapshot, limit = 100, partitions = [7]) => run(outbox.since(epoch, snapshot, partitions, limit))
const transactions = (records: readonly { readonly transaction: bigint }[]) => records.map(({ transaction }) => transaction)
/** A transaction that is open in any database of the server holds the fence, one of another test as well. */
const behindFence = <A>(check: () => A | Promise<A>) => eventually(check, { within: 45_000 })
const feed = (after = { epoch: 0, transaction: 0n, sequence: 0 }, kinds = ["product"]) => run(outbox.feed(kinds, after, 100))

test("a look shows what became visible since the last, with the moment that it saw", async () => {
  const before = Date.now(), first = await since(start)
  expect(first).toMatchObject({ epoch, pending: [] })
  // The server may be on another machine, with a clock of its own.
  expect(first.time).toBeGreaterThan(before - 5_000)
  expect(first.time).toBeLessThan(Date.now() + 5_000)
  const id = randomUUID(), transaction = await record(pool, { id, version: 4 })
  const second = await since(first.snapshot)
  expect(second.pending).toEqual([{ transaction, kind: "product", id, partition: 7, version: 4, recordedAt: expect.any(Number) }])
  const { recordedAt } = second.pending[0]!
  expect([first.time, recordedAt, second.time]).toEqual([first.time, recordedAt, second.time].sort((a, b) => a - b))
  expect((await since(second.snapshot)).pending).toEqual([])
})

test("what commits late is seen, although it is below what was seen before", async () => {
  const slow = await session()
  const before = await since(start)
  await slow.query("begin")
  const low = await record(slow)
  const high = await record(pool)
  expect(high).toBeGreaterThan(low)
  // Ahead of the fence, which the open transaction holds.
  const ahead = await since(before.snapshot)
  expect(transactions(ahead.pending)).toEqual([high])
  expect(ahead.snapshot.xmin).toBeLessThanOrEqual(low)
  const higher = await record(pool)
  await slow.query("commit")
  const late = await since(ahead.snapshot)
  expect(transactions(late.pending)).toEqual([low, higher])
  expect((await since(late.snapshot)).pending).toEqual([])
})

test("what was rolled back is never seen", async () => {
  const client = await session(), before = await since(start)
  await client.query("begin")
  await record(client)
  const open = await since(before.snapshot)
  await client.query("rollback")
  expect([open.pending, (await since(open.snapshot)).pending]).toEqual([[], []])
})

test("a look goes by the number of a transaction, not by its text, and is cut by it", async () => {
  await record(pool, { xid: "1000" })
  await record(pool, { xid: "99" })
  await record(pool, { xid: "998" })
  await record(pool, { xid: "1001" })
  expect(transactions((await since(start)).pending)).toEqual([99n, 998n, 1_000n, 1_001n])
  expect(transactions((await since(start, 2)).pending)).toEqual([99n, 998n])
  const open: Snapshot = { xmin: 99n, xmax: 1_001n, open: [99n, 1_000n] }
  expect(transactions((await since(open)).pending)).toEqual([99n, 1_000n, 1_001n])
  expect(transactions((await since(open, 1)).pending)).toEqual([99n])
})

test("events of one transaction come in the order of their sequences", async () => {
  const ids = Array.from({ length: 5 }, () => randomUUID())
  for (const id of ids) await record(pool, { xid: "100", id })
  expect((await since(start)).pending.map(({ id }) => id)).toEqual(ids)
})

test("a look is at the partitions and the epoch asked for", async () => {
  await record(pool, { partition: 7, xid: "100" })
  await record(pool, { partition: 8, xid: "101" })
  await record(pool, { partition: 9, xid: "102" })
  await record(pool, { partition: 7, xid: "103", epoch: epoch - 1 })
  expect(transactions((await since(start, 10, [7, 9])).pending)).toEqual([100n, 102n])
  expect((await run(outbox.since(epoch - 1, start, [7], 10))).pending).toMatchObject([{ transaction: 103n }])
})

test("both halves of a look are ranges of the index", async () => {
  await pool.query(`insert into outbox (recorded_at, epoch, xid, seq, partition, kind, entity_id, version_id, type, data, metadata)
    select now(), $1, (100 + n)::text::xid8, n, n % 64, 'product', gen_random_uuid(), 1, 't', '{}', '{}' from generate_series(1, 20000) n`, [epoch])
  await pool.query("analyze outbox")
  await since(start)
  // Empty months may be walked: there is nothing in them.
  const { rows: [{ month }] } = await pool.query("select tableoid::regclass::text as month from outbox limit 1")
  for (const mode of ["force_generic_plan", "force_custom_plan"]) {
    await pool.query(`set plan_cache_mode = ${mode}`)
    const { rows } = await pool.query(`explain (costs off) execute since(${epoch}, '19000:20000:19000,19500', '{7,8}', 2000)`)
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n")
    expect(plan).not.toContain(`Seq Scan on ${month}`)
    expect(plan.match(new RegExp(`Index Scan using \\w+ on ${month}`, "g"))).toHaveLength(2)
    expect(plan).toMatch(/Index Cond: \(\(epoch = [^\n]*AND \(xid = ANY/)
    expect(plan).toMatch(/Index Cond: \(\(epoch = [^\n]*AND \(xid >= /)
  }
  await pool.query("reset plan_cache_mode")
})

test("a history is an entity's events between two versions, oldest first", async () => {
  const id = randomUUID()
  for (const version of [3, 1, 4, 2, 5]) await record(pool, { id, version, xid: String(100 + version) })
  await record(pool, { version: 2 })
  const versions = async (after: number, upTo: number, limit: number) => (await run(outbox.history(product, id, after, upTo, limit))).map(({ version }) => version)
  expect(await versions(0, 99, 100)).toEqual([1, 2, 3, 4, 5])
  expect(await versions(1, 4, 100)).toEqual([2, 3, 4])
  expect(await versions(1, 4, 2)).toEqual([2, 3])
  const [event] = await run(outbox.history(product, id, 2, 3, 1))
  expect(event).toEqual({
    position: { epoch, transaction: 103n, sequence: expect.any(Number) }, kind: "product", id, version: 3, event: { type: "ProductDeleted", data: { n: 1 } },
    recordedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/), updatedAtNs: expect.stringMatching(/^\d{16}000$/)
  })
})

test("the first event of each entity is found, and none of the unknown", async () => {
  const [a, b] = [randomUUID(), randomUUID()]
  for (const id of [a, b]) for (const version of [2, 1]) await record(pool, { id, version })
  const found = await run(outbox.first(product, [a, randomUUID(), b]))
  expect(found.map(({ id, version }) => [id, version]).sort()).toEqual([[a, 1], [b, 1]].sort())
})

test("the feed never passes an open transaction", async () => {
  const slow = await session()
  await slow.query("begin")
  const low = await record(slow)
  const high = await record(pool)
  expect(await feed()).toEqual([])
  await slow.query("commit")
  const both = await behindFence(async () => {
    const found = await feed()
    return found.length === 2 && found
  })
  expect(both && transactions(both.map(({ position }) => position))).toEqual([low, high])
}, 60_000)

test("the feed is in order of positions, across epochs, and goes on after each", async () => {
  // Below what a new server begins with, and so below the fence.
  await record(pool, { xid: "500", epoch })
  await record(pool, { xid: "99", epoch })
  await record(pool, { xid: "99", epoch })
  await record(pool, { xid: "600", epoch: epoch - 1 })
  await record(pool, { xid: "98", epoch, kind: "order" })
  const all = await behindFence(async () => {
    const found = await feed()
    return found.length === 4 && found
  })
  if (!all) throw new Error("unreachable")
  expect(all.map(({ position }) => [position.epoch, position.transaction])).toEqual([[epoch - 1, 600n], [epoch, 99n], [epoch, 99n], [epoch, 500n]])
  for (const [i, { position }] of all.entries()) expect(await feed(position)).toEqual(all.slice(i + 1))
  expect(await feed(undefined, ["product", "order"])).toHaveLength(5)
}, 60_000)

test("a listener who begins at the end misses nothing that commits from then on", async () => {
  const slow = await session()
  await record(pool)
  await slow.query("begin")
  const open = await record(slow)
  const before = await record(pool)
  const { position, snapshot } = await run(outbox.end)
  const next = await record(pool)
  await slow.query("commit")
  await behindFence(async () => {
    const found = (await feed(position)).map(({ position }) => position.transaction)
    return [open, before, next].every((transaction) => found.includes(transaction))
  })
  expect([open, before, next].map((transaction) => shows(snapshot, transaction))).toEqual([false, true, false])
}, 60_000)

test("the lag counts what the checkpoints do not show, and the age of the oldest", async () => {
  const slow = await session()
  await slow.query("begin")
  await record(slow, { partition: 7, age: "40 min" })
  await record(pool, { partition: 7 })
  const { snapshot } = await since(start)
  await record(pool, { partition: 7, age: "20 min" })
  await record(pool, { partition: 8, age: "90 min" })
  await record(pool, { partition: 9 })
  await slow.query("commit")
  const of = (...partitions: number[]) => run(outbox.lag(partitions.map((partition) => ({ partition, snapshot }))))
  const seven = await of(7)
  expect(seven.events).toBe(2)
  expect(Math.floor(seven.seconds / 60)).toBe(40)
  expect((await of(7, 8)).events).toBe(3)
  expect(Math.floor((await of(7, 8)).seconds / 60)).toBe(90)
  expect(await of(11)).toEqual({ events: 0, seconds: 0 })
  expect(await of()).toEqual({ events: 0, seconds: 0 })
})
