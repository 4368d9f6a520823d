import { randomBytes, randomUUID } from "node:crypto"
import { Effect } from "effect"
import pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { openLedger } from "../../../test/support/ledgers.ts"
import { patient } from "../../../test/support/patient.ts"
import { startProxy } from "../../../test/support/proxy.ts"
import { product } from "../../domain/kinds/product.ts"
import type { Change, IdempotencyKey, Ledger, NewEntity } from "../../domain/ledger/Ledger.ts"
import { Log } from "../../domain/observe/Log.ts"
import { valuesOf } from "./columns.ts"
import { migrate } from "./migrate.ts"
import type { Postgres } from "./Postgres.ts"
import { statementsOf } from "./statements.ts"

const lines: string[] = []
const say = (message: string) => void lines.push(message)
const log = Log.of({ debug: say, info: say, warn: say, error: say })

let url: string, ledger: Ledger["Service"], postgres: Postgres["Service"]
const undo: (() => unknown)[] = [], undoAll: (() => unknown)[] = []
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
/** The error, or nothing where there was none. */
const failing = <A, E>(effect: Effect.Effect<A, E>) => run(Effect.flip(Effect.asVoid(effect)))
const query = async (text: string, values: unknown[] = []) => (await postgres.pool.query(text, values)).rows

const open = async (options: { url: string; poolMax: number }, steps: (() => unknown)[]) => {
  const { close, ...opened } = await openLedger(options.url, { poolMax: options.poolMax, log })
  steps.push(close)
  return opened
}

beforeAll(async () => {
  url = await createDatabase()
  await run(migrate(url, { partitions: 64, log }))
  ;({ ledger, postgres } = await open({ url: patient(url), poolMax: 25 }, undoAll))
})
afterAll(async () => {
  for (const step of undoAll.reverse()) await step()
  await dropDatabase(url)
})
beforeEach(async () => {
  await query("truncate products, outbox, command_keys, sync_retry_queue")
  lines.length = 0
})
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

const other = async () => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  undo.push(() => client.end())
  return client
}

const cause = { actor: "test", trace: "00-aa-bb-01", request: "r-1" }
const stateOf = (over: object = {}) =>
  ({ sku: `sku-${randomUUID()}`, name: "Lamp", description: null, price: { amount: 1_999, currency: "EUR" }, stock: 2 ** 53 - 1, status: "active", ...over })
const key = (): IdempotencyKey => ({ digest: randomBytes(32), request: randomBytes(32) })

const creation = (over: Partial<Change> = {}): Change => {
  const state = stateOf()
  return {
    kind: product, id: randomUUID(), expected: 0, event: { type: "ProductCreated", data: state }, before: null, after: state, key: null, status: 201, cause, also: [], holds: [], owed: false, ...over
  }
}
const changeOf = (change: Change, name: string, over: Partial<Change> = {}): Change => ({
  ...change, expected: 1, event: { type: "ProductChanged", data: { name } }, before: change.after, after: { ...change.after, name }, key: null, status: 200, ...over
})
const created = async (over: Partial<Change> = {}) => {
  const change = creation(over)
  const committed = await run(ledger.commit(change))
  return { change, id: change.id, committed: committed! }
}
const load = (id: string | null, of: IdempotencyKey | null = null) => run(ledger.load(product, id, of))
const events = () => query("select entity_id, version_id::integer as version, type, seq::integer, xid, epoch::float8 as epoch, partition, data, metadata, recorded_at from outbox order by outbox.xid, outbox.seq")

test("a creation makes the row and its event, and the answer knows its place", async () => {
  const { change, id, committed } = await created()
  expect(committed.row).toMatchObject({ id, version: 1, state: change.after })
  expect((await load(id)).row).toEqual(committed.row)
  const [event, ...more] = await events()
  expect(more).toEqual([])
  expect(event).toMatchObject({
    entity_id: id, version: 1, type: "ProductCreated", seq: committed.row.sequence, xid: String(committed.transaction), epoch: committed.row.epoch, data: change.after, metadata: cause
  })
  expect(BigInt(event!["recorded_at"].getTime())).toBe(BigInt(committed.row.updatedAtNs) / 1_000_000n)
  expect(await query("select from sync_retry_queue")).toEqual([])
})

test("a change makes the next version, with a later sequence and a later time", async () => {
  const { change, id, committed } = await created()
  const next = await run(ledger.commit(changeOf(change, "Table lamp")))
  expect(next!.row).toMatchObject({ id, version: 2, state: { ...change.after, name: "Table lamp" } })
  expect(next!.row.sequence).toBeGreaterThan(committed.row.sequence)
  expect(BigInt(next!.row.updatedAtNs)).toBeGreaterThan(BigInt(committed.row.updatedAtNs))
  expect((await load(id)).row).toEqual(next!.row)
})

test("time goes on for an entity whose last change is in the future", async () => {
  const { change, id } = await created()
  await query("update products set updated_at_ns = 4102444800000000000 where id = $1", [id])
  expect((await run(ledger.commit(changeOf(change, "Later"))))!.row.updatedAtNs).toBe("4102444800000001000")
})

test("a deletion is a version without state, and its unique value is free again", async () => {
  const { change, id } = await created()
  const gone = await run(ledger.commit({ ...changeOf(change, ""), event: { type: "ProductDeleted", data: {} }, after: null }))
  expect(gone!.row).toMatchObject({ version: 2, state: null })
  expect((await load(id)).row).toEqual(gone!.row)
  expect(await run(ledger.commit({ ...changeOf(change, "Back"), expected: 2 }))).toBeNull()
  expect(await run(ledger.commit(creation({ after: change.after })))).not.toBeNull()
})

test("a stale expected version changes nothing", async () => {
  const { change } = await created()
  await run(ledger.commit(changeOf(change, "First")))
  const late = key()
  expect(await run(ledger.commit(changeOf(change, "Second", { key: late })))).toBeNull()
  expect(await events()).toHaveLength(2)
  expect((await load(null, late)).kept).toBeNull()
})

test("of two who change one version at once, one does", async () => {
  const { change, id } = await created()
  const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => run(ledger.commit(changeOf(change, `Name ${i}`, { key: key() })))))
  expect(outcomes.filter((outcome) => outcome !== null)).toHaveLength(1)
  expect((await load(id)).row!.version).toBe(2)
  expect(await query("select from command_keys")).toHaveLength(1)
})

test("a taken value says of which field, and leaves no key, no event and no row", async () => {
  const { change } = await created()
  const twin = creation({ after: change.after, key: key() })
  expect(await failing(ledger.commit(twin))).toMatchObject({ _tag: "Taken", field: "sku" })
  expect(await load(twin.id, twin.key)).toEqual({ row: null, kept: null })
  expect(await events()).toHaveLength(1)
})

test("a kept answer is found by its key, with what it takes to say it again", async () => {
  const first = creation({ key: key() }), second = changeOf(first, "Named", { key: key() })
  await run(ledger.commit(first))
  await run(ledger.commit(second))
  const kept = (await load(null, first.key)).kept!
  expect({ ...kept, request: Buffer.from(kept.request) }).toEqual({ request: Buffer.from(first.key!.request), status: 201, id: first.id, version: 1, items: null })
  expect((await load(first.id, second.key)).kept).toMatchObject({ status: 200, id: first.id, version: 2 })
  expect((await load(null, key())).kept).toBeNull()
})

test("a change that changes nothing keeps its key alone, once, and for its version", async () => {
  const { id, committed: { row: { epoch } } } = await created(), of = key()
  expect(await run(ledger.keep(product, id, 2, of, epoch))).toBe(false)
  expect(await run(ledger.keep(product, id, 1, of, epoch))).toBe(true)
  expect(await run(ledger.keep(product, id, 1, of, epoch))).toBe(false)
  expect((await load(id, of)).kept).toMatchObject({ status: 200, id, version: 1, items: [] })
  expect(await events()).toHaveLength(1)
})

test("one key sent 20 times at once makes one row and one event", async () => {
  const of = key()
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => run(ledger.commit(creation({ key: of })))))
  const [committed, ...more] = outcomes.filter((outcome) => outcome !== null)
  expect(more).toEqual([])
  expect(await query("select id from products")).toEqual([{ id: committed!.row.id }])
  expect(await events()).toHaveLength(1)
  expect((await load(null, of)).kept).toMatchObject({ id: committed!.row.id })
})

test("one key sent 20 times at once changes a row once", async () => {
  const { change, id } = await created(), of = key()
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => run(ledger.commit(changeOf(change, "Once", { key: of })))))
  expect(outcomes.filter((outcome) => outcome !== null)).toHaveLength(1)
  expect((await load(id)).row!.version).toBe(2)
})

test("a key that was used changes nothing more, whatever the version", async () => {
  const { change, id } = await created({ key: key() })
  expect(await run(ledger.commit(changeOf(change, "Again", { key: change.key })))).toBeNull()
  expect((await load(id)).row!.version).toBe(1)
  expect(await events()).toHaveLength(1)
})

test("200 races of two changes leave no key without its event", async () => {
  // Of each race both at once, and ten races at a time: who finds the pool crowded waits 5 s at most.
  for (let n = 0; n < 200; n += 10) {
    const rows = await Promise.all(Array.from({ length: 10 }, () => created()))
    await Promise.all(rows.flatMap(({ change }) => ["one", "two"].map((name) => run(ledger.commit(changeOf(change, name, { key: key() }))))))
  }
  expect(await query("select from command_keys")).toHaveLength(200)
  expect(await query("select k.digest from command_keys k left join outbox o using (entity_id, version_id) where o.entity_id is null")).toEqual([])
  expect(await query("select from outbox group by entity_id, version_id having count(*) > 1")).toEqual([])
})

test("the order of positions is the order of an entity's versions", async () => {
  const { change, id } = await created()
  const worker = async () => {
    for (let i = 0; i < 40; i++) {
      const { row } = await load(id)
      await run(ledger.commit(changeOf(change, `${row!.version}`, { expected: row!.version })))
    }
  }
  await Promise.all([worker(), worker(), worker(), worker(), worker()])
  const versions = (await events()).map(({ version }) => version)
  expect(versions).toEqual(versions.map((_, i) => i + 1))
  const sequences = (await events()).map(({ seq }) => seq)
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b))
})

test("the retry row is written by the commit where the cache is known to be away", async () => {
  const { change, id } = await created({ owed: true })
  await run(ledger.commit(changeOf(change, "Away", { owed: true, key: key() })))
  expect(await query("select entity_id, version_id::integer as version, dead from sync_retry_queue")).toEqual([{ entity_id: id, version: 2, dead: false }])
})

const items = (count: number, over: object = {}): NewEntity[] => Array.from({ length: count }, () => {
  const state = stateOf(over)
  return { id: randomUUID(), state, event: { type: "ProductCreated", data: state } }
})
const batch = (of: readonly NewEntity[], over: object = {}) =>
  run(ledger.commitBatch({ kind: product, items: of, ids: of.map(({ id }) => id), key: null, cause, owed: false, ...over }))

test("a batch makes rows and events, and leaves out those whose value is taken", async () => {
  const { change } = await created()
  const [a, b, c] = items(3)
  const taken = items(1, { sku: change.after!["sku"] })[0]!, twin = items(1, { sku: a!.state["sku"] })[0]!
  const committed = (await batch([c!, taken, a!, twin, b!]))!
  expect(committed.map(({ row }) => row.id).sort()).toEqual([a!.id, b!.id, c!.id].sort())
  for (const { row } of committed) expect((await load(row.id)).row).toEqual(row)
  expect(await events()).toHaveLength(4)
  expect((await events()).filter((event) => event["xid"] === String(committed[0]!.transaction))).toHaveLength(3)
})

test("a batch with a key is done once, and keeps the id of every item; one of which nothing is left keeps its key too", async () => {
  const of = key(), all = items(3)
  const outcomes = await Promise.all(Array.from({ length: 5 }, () => batch(all, { key: of, owed: true })))
  expect(outcomes.filter((outcome) => outcome !== null).map((committed) => committed!.length)).toEqual([3])
  expect((await load(null, of)).kept).toMatchObject({ status: 200, id: null, items: all.map(({ id }) => id) })
  expect(await query("select from sync_retry_queue")).toHaveLength(3)
  const none = key()
  expect(await batch(all.map(({ state, event }) => ({ id: randomUUID(), state, event })), { key: none })).toEqual([])
  expect((await load(null, none)).kept!.items).toHaveLength(3)
  expect(await batch([], { key: key() })).toEqual([])
})

test("two batches of the same values in other orders do not wait for each other for ever", async () => {
  const all = items(50), again = [...all].reverse().map(({ state, event }) => ({ id: randomUUID(), state, event }))
  const [one, two] = await Promise.all([batch(all), batch(again)])
  expect(one!.length + two!.length).toBe(50)
})

/** What a statement says at another time of day. */
const clocked = async (client: pg.Client | pg.Pool, change: Change, now: string) => {
  const { text } = statementsOf(product).createWithKey
  expect(text).toContain("now() at time zone")
  return (await client.query(text.replaceAll("now()", `timestamptz '${now}'`), [
    change.id, 0, change.event.type, "{}", "{}", false, change.key!.digest, change.key!.request, 201, ...valuesOf(product, change.after!)
  ])).rows.length
}
const days = () => query("select day::text from command_keys order by day")

test("a key meets its first attempt across midnight", async () => {
  const of = key()
  expect(await clocked(postgres.pool, creation({ key: of }), "2031-05-01 23:59:59.9Z")).toBe(1)
  expect(await clocked(postgres.pool, creation({ key: of }), "2031-05-02 00:00:00.1Z")).toBe(0)
  expect(await query("select from products")).toHaveLength(1)
  expect(await days()).toEqual([{ day: "2031-05-01" }])
})

test("in the first minute of a day a key is kept in the day before too, and later in its day alone", async () => {
  const of = key()
  expect(await clocked(postgres.pool, creation({ key: of }), "2031-05-02 00:00:30Z")).toBe(1)
  expect(await days()).toEqual([{ day: "2031-05-01" }, { day: "2031-05-02" }])
  expect(await clocked(postgres.pool, creation({ key: of }), "2031-05-02 00:01:30Z")).toBe(0)
  expect(await clocked(postgres.pool, creation({ key: key() }), "2031-05-02 00:01:00Z")).toBe(1)
  expect(await days()).toHaveLength(3)
})

test("an attempt that is still open at midnight is waited for", async () => {
  const of = key(), client = await other()
  await client.query("begin")
  expect(await clocked(client, creation({ key: of }), "2031-05-01 23:59:59.9Z")).toBe(1)
  const second = clocked(postgres.pool, creation({ key: of }), "2031-05-02 00:00:00.1Z")
  await eventually(async () => (await query("select from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and not granted and locktype = 'transactionid'")).length === 1, { within: 20_000 })
  await client.query("commit")
  expect(await second).toBe(0)
})

test("what another session holds for more than 2 s is contended", async () => {
  const { ledger: requested } = await open({ url, poolMax: 2 }, undo), { change, id } = await created(), client = await other()
  await client.query("begin")
  await client.query("select from products where id = $1 for update", [id])
  const began = performance.now()
  expect(await failing(requested.commit(changeOf(change, "Waits")))).toMatchObject({ _tag: "Contended" })
  expect(performance.now() - began).toBeGreaterThan(1_900)
  expect(await failing(requested.alone([{ kind: product, id }], requested.commit(changeOf(change, "Waits"))))).toMatchObject({ _tag: "Contended" })
})

test("a statement that the server gives up changed nothing", async () => {
  const { change, id } = await created(), client = await other()
  await client.query("begin")
  await client.query("select from products where id = $1 for update", [id])
  const waiting = failing(ledger.commit(changeOf(change, "Cancelled")))
  await eventually(async () => (await postgres.pool.query("select pg_cancel_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")).rowCount === 1, { within: 20_000 })
  expect(await waiting).toMatchObject({ _tag: "DatabaseUnavailable", reason: "57014" })
  await client.query("commit")
  expect((await load(id)).row!.version).toBe(1)
})

test("an id that is taken is said to be", async () => {
  const { id } = await created()
  expect(await failing(ledger.commit(creation({ id })))).toMatchObject({ _tag: "Taken", field: "products_pkey" })
})

test("a connection that is lost under a commit leaves its outcome unknown; the next statement is answered", async () => {
  const { change, id } = await created(), client = await other()
  await client.query("begin")
  await client.query("select from products where id = $1 for update", [id])
  const waiting = failing(ledger.commit(changeOf(change, "Lost")))
  await eventually(async () => (await postgres.pool.query("select pg_terminate_backend(pid) from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and not granted")).rowCount === 1, { within: 20_000 })
  expect(await waiting).toMatchObject({ _tag: "UnknownOutcome" })
  await client.query("commit")
  expect((await load(id)).row!.version).toBe(1)
  expect(ledger.reachable()).toBe(true)
})

test("connections that died while idle are not noticed by who reads", async () => {
  const { id } = await created()
  await Promise.all(Array.from({ length: 5 }, () => load(id)))
  await query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
  expect((await Promise.all(Array.from({ length: 5 }, () => load(id)))).map(({ row }) => row!.version)).toEqual([1, 1, 1, 1, 1])
})

test("a database that cannot be reached is said to be away, and to be back; the process lives on", async () => {
  // The commit below waits for its lock as long as the test wants it to.
  const target = new URL(patient(url)), proxy = await startProxy({ host: target.hostname, port: Number(target.port) })
  undo.push(proxy.stop)
  target.host = `127.0.0.1:${proxy.port}`
  const { ledger: far } = await open({ url: target.href, poolMax: 3 }, undo)
  const { change, id } = await created(), client = await other()
  await client.query("begin")
  await client.query("select from products where id = $1 for update", [id])
  // One in the middle of a statement, and one between the statements of a transaction.
  const cutOff = changeOf(change, "Cut off", { key: key() }), waiting = failing(far.commit(cutOff))
  let proceed = () => {}, isBetween = false
  const pause = new Promise<void>((resolve) => void (proceed = resolve))
  const between = failing(far.alone([{ kind: product, id: randomUUID() }], Effect.promise(() => {
    isBetween = true
    return pause
  })))
  await eventually(() => isBetween, { within: 20_000 })
  await eventually(async () => (await postgres.pool.query("select from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and not granted")).rowCount === 1, { within: 10_000 })
  await proxy.cut()
  proceed()
  expect(await waiting).toMatchObject({ _tag: "UnknownOutcome" })
  expect(await between).toMatchObject({ _tag: "UnknownOutcome" })
  expect(await failing(far.commit(changeOf(change, "No connection")))).toMatchObject({ _tag: "DatabaseUnavailable", reason: "ECONNREFUSED" })
  expect(await failing(far.load(product, id, null))).toMatchObject({ _tag: "DatabaseUnavailable" })
  expect(far.reachable()).toBe(false)
  await client.query("rollback")
  await proxy.restore()
  // Nobody told the server that its client had gone, so this one went through: the key finds out.
  await eventually(async () => (await run(far.load(product, id, cutOff.key))).kept?.version === 2, { within: 20_000 })
  expect(far.reachable()).toBe(true)
  expect(lines).toContain("Postgres cannot be reached")
  expect(lines).toContain("Postgres is back")
})

test("who is alone with an entity loads and commits before anybody else does", async () => {
  const { change, id } = await created()
  const increase = ledger.alone([{ kind: product, id }], Effect.gen(function*() {
    const { row } = yield* ledger.load(product, id, null)
    return yield* ledger.commit(changeOf(change, `${row!.version}`, { expected: row!.version }))
  }))
  const outcomes = await Promise.all(Array.from({ length: 10 }, () => run(increase)))
  expect(outcomes.every((outcome) => outcome !== null)).toBe(true)
  expect((await events()).map(({ version }) => version)).toEqual(Array.from({ length: 11 }, (_, i) => i + 1))
})

test("what is done alone is undone where it fails", async () => {
  const { change, id } = await created()
  const doomed = ledger.alone([{ kind: product, id }], Effect.andThen(ledger.commit(changeOf(change, "Undone")), Effect.fail("no" as const)))
  expect(await failing(doomed)).toBe("no")
  expect((await load(id)).row!.version).toBe(1)
})

test("rows come with the epoch of the statement, without those that are unknown, and tell the database's clock", async () => {
  const { ledger: fresh } = await open({ url, poolMax: 1 }, undo)
  expect(fresh.clock()).toBe(Infinity)
  const [a, b] = [await created(), await created()]
  const found = await run(fresh.rows(product, [a.id, randomUUID(), b.id]))
  expect(found.rows).toEqual(new Map([[a.id, a.committed.row], [b.id, b.committed.row]]))
  expect((await run(fresh.rows(product, [randomUUID()]))).epoch).toBe(found.epoch)
  await query("insert into database_epochs (epoch, system_identifier, timeline) values ($1, 'x', 2)", [found.epoch + 1])
  undo.push(() => query("delete from database_epochs where timeline = 2 and system_identifier = 'x'"))
  const asked = performance.now()
  expect((await run(fresh.rows(product, []))).epoch).toBe(found.epoch + 1)
  // Never too little, and ahead by no more than the question took. The server may be on another machine, with a clock of its own.
  const took = performance.now() - asked, before = Date.now(), clock = fresh.clock()
  expect(clock).toBeGreaterThan(before - 1_000)
  expect(clock).toBeLessThan(Date.now() + took + 1_000)
})

test("a list has living entities in the order of their ids, and can be narrowed", async () => {
  const all = (await Promise.all(Array.from({ length: 5 }, () => created()))).sort((a, b) => a.id < b.id ? -1 : 1)
  const ids = all.map(({ id }) => id)
  const discontinued = { ...all[1]!.change.after, status: "discontinued" }
  await run(ledger.commit({ ...changeOf(all[1]!.change, ""), after: discontinued }))
  await run(ledger.commit({ ...changeOf(all[3]!.change, ""), event: { type: "ProductDeleted", data: {} }, after: null }))
  const living = ids.filter((_, i) => i !== 3)
  expect(await run(ledger.list(product, { after: null, limit: 10, where: {} }))).toEqual(living)
  expect(await run(ledger.list(product, { after: living[1]!, limit: 1, where: {} }))).toEqual([living[2]])
  expect(await run(ledger.list(product, { after: null, limit: 10, where: { status: "discontinued" } }))).toEqual([ids[1]])
})

test("a snapshot shows what was committed before it, with the database's epoch and clock", async () => {
  const { committed } = await created(), before = Date.now()
  const { epoch, snapshot, time } = await run(ledger.snapshot)
  expect(epoch).toBe(committed.row.epoch)
  expect(snapshot.xmax).toBeGreaterThan(committed.transaction)
  expect(snapshot.open).not.toContain(committed.transaction)
  expect(time).toBeGreaterThan(before - 5_000)
  expect(time).toBeLessThan(Date.now() + 5_000)
})

test("the place of a token is remembered while its event is there", async () => {
  const { id, committed: { row: { epoch, sequence }, transaction } } = await created()
  const remembers = (position: Parameters<typeof ledger.remembers>[2], of = id) => run(ledger.remembers(product, of, position))
  expect(await remembers({ epoch, transaction, sequence })).toBe(true)
  expect(await remembers({ epoch, transaction: transaction + 1n, sequence })).toBe(false)
  expect(await remembers({ epoch, sequence })).toBe(true)
  expect(await remembers({ epoch, sequence }, randomUUID())).toBe(false)
  expect(await remembers({ epoch: epoch - 1, sequence })).toBe(false)
})
