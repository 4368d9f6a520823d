import { randomUUID } from "node:crypto"
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import { expect, inject, test } from "vitest"
import { startCluster } from "../../../test/support/clusters.ts"
import type { Cluster } from "../../../test/support/clusters.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { newKey } from "../../../test/support/ledgers.ts"
import { registering, tombstoning } from "../../../test/support/requests.ts"
import { afterwards, behindProxy, creating, failing, keptLog, openServices, renaming, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Cache } from "../../domain/cache/Cache.ts"
import { CacheAccess } from "../../domain/cache/CacheAccess.ts"
import { Keyspace } from "../../domain/cache/Keyspace.ts"
import { Commands } from "../../domain/Commands.ts"
import { Erasure } from "../../domain/erasure/Erasure.ts"
import { product } from "../../domain/kinds/product.ts"
import { Epochs } from "../../domain/ledger/Epochs.ts"
import { Ledger } from "../../domain/ledger/Ledger.ts"
import { formatPosition } from "../../domain/ledger/Position.ts"
import { Outbox } from "../../domain/ledger/Outbox.ts"
import { Log } from "../../domain/observe/Log.ts"
import { ANY } from "../../domain/Freshness.ts"
import { Queries } from "../../domain/Queries.ts"
import { SubjectKeys } from "../../domain/secrets/SubjectKeys.ts"
import { layerFileKeyring } from "../crypto/FileKeyring.ts"
import { readKeyring } from "../crypto/keyringFile.ts"
import { migrate } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"
import { layerPostgresSubjectKeys } from "./PostgresSubjectKeys.ts"

const cause = { actor: "tester", trace: "", request: "r-1" }
/** The second of the two was copied from the first, has a timeline of its own, and both are there. */
let before: Cluster, after: Cluster, network: Awaited<ReturnType<typeof behindProxy>>

const servers = async () => {
  before = await startCluster()
  await Effect.runPromise(migrate(before.url, { partitions: 64, log: keptLog().log }))
  network = await behindProxy(before.url)
  // A statement waits for a lock, and for its answer, for as long as the test wants it to.
  const services = await openServices({ database: `${network.to}&options=-c%20lock_timeout%3D60000&query_timeout=60000`, environment: { DATABASE_POOL_MAX: "8" } })
  const commands = services.get(Commands), { id } = await run(commands.create(creating()))
  return { services, commands, id }
}
/** The copy follows no more; what happens on the first server from now on it never hears of. */
const fork = async () => {
  after = await before.replica(before.port)
  await after.promote()
}
/** Everything new goes there, and connections that are idle are lost. Those at work stay. */
const lead = async (from: Cluster, to: Cluster, which = "true") => {
  network.redirect(to.port)
  await from.query("select pg_stat_clear_snapshot()")
  await from.query(`select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle' and pid <> pg_backend_pid() and datname = current_database() and ${which}`)
}
/** The same, with nobody left behind, until it is so. One who was just connecting, or at work, is found by the next try. */
const leadAll = (from: Cluster, to: Cluster, until: () => Promise<unknown>) => eventually(async () => {
  network.redirect(to.port)
  await from.query("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()")
  await until()
}, { within: 30_000 })
const knows = (services: Services, epoch: number) => eventually(() => services.get(Epochs).newest() > epoch, { within: 30_000 })
/** So many statements wait for a lock. In a transaction the activity of the others stands still; their locks do not. */
const waiting = (server: Cluster, count: number) => eventually(async () => (await server.query("select from pg_locks where not granted")).length === count, { within: 30_000 })
/** How often it was said of the pool of the data; that of the persons' keys says it for itself. */
const refusals = ({ lines }: Pick<Services, "lines">) => lines.filter(({ message, fields }) => message === "A Postgres server is not used" && fields["database"] === undefined).length

test("what a server whose life is over still answers is not used, and what it still committed is of unknown outcome", async () => {
  const { services, commands, id } = await servers(), ledger = services.get(Ledger), queries = services.get(Queries)
  const { epoch } = await run(ledger.snapshot), { id: unchanged } = await run(commands.create(creating()))
  await fork()
  const written = (await run(ledger.rows(product, [id]))).rows.get(id)!
  expect(ledger.clock()).toBeLessThan(Infinity)
  await before.query("begin")
  await before.query("lock table products in access exclusive mode")
  const reading = failing(ledger.rows(product, [id]))
  const joined = queries.read(product, id, { ...ANY, noCache: true }).then(() => null, (error) => error)
  const unknown = randomUUID(), shared = () => queries.read(product, unknown, ANY)
  services.get(CacheAccess).distrust([services.get(Keyspace).keyOf("product", unknown).partition])
  const alone = shared().then(() => null, (error) => error)
  const changing = failing(ledger.commit({
    kind: product, id, expected: 1, event: { type: "ProductChanged", data: { name: "Torch" } }, before: written.state, after: { ...written.state!, name: "Torch" },
    key: null, status: 200, cause, also: [], holds: [], owed: false
  }))
  const keeping = failing(ledger.keep(product, unchanged, 1, newKey(), epoch))
  await waiting(before, 5)
  await lead(before, after)
  // Nothing else needs a new connection at the moment.
  const noticed = run(Effect.ignore(ledger.snapshot))
  await knows(services, epoch)
  await noticed
  expect(services.get(CacheAccess).distrusted()).toHaveLength(64)
  // Nobody shares the load that began before.
  expect(await shared()).toMatchObject({ entry: { what: "unknown" }, source: { collapsed: false } })
  await before.query("commit")
  expect(await reading).toMatchObject({ _tag: "DatabaseUnavailable", reason: "a new life of the database began meanwhile" })
  for (const late of [await joined, await alone]) expect(late).toMatchObject({ _tag: "DatabaseUnavailable" })
  for (const late of [await changing, await keeping]) expect(late).toMatchObject({ _tag: "UnknownOutcome" })
  // It was committed, there.
  expect((await before.query("select version_id from products where id = $1", [id]))[0].version_id).toBe("2")
  expect((await queries.read(product, id, ANY)).entry).toMatchObject({ version: 1, epoch: services.get(Epochs).newest() })
  expect((await run(commands.change(renaming(id, "Lantern")))).version).toBe(2)
}, 120_000)

test("nothing is committed on what was read in a life that is over, though the version is the same", async () => {
  const { services, commands, id } = await servers(), ledger = services.get(Ledger)
  await fork()
  await run(commands.change(renaming(id, "of the lost timeline")))
  const lost = (await run(ledger.rows(product, [id]))).rows.get(id)!
  await lead(before, after)
  await knows(services, lost.epoch)
  const late = (name: string, epoch: number) => run(ledger.commit({
    kind: product, id, expected: 2, epoch, event: { type: "ProductChanged", data: { name } }, before: lost.state, after: { ...lost.state!, name },
    key: null, status: 200, cause, also: [], holds: [], owed: false
  }))
  await run(commands.change(renaming(id, "of the new life", {})))
  expect(await late("decided before", lost.epoch)).toBeNull()
  // Nor is "it changed nothing" said for good of what was lost.
  const keep = (epoch: number) => run(ledger.keep(product, id, 2, newKey(), epoch))
  expect([await keep(lost.epoch), await keep(services.get(Epochs).newest())]).toEqual([false, true])
  const { row } = (await late("decided now", services.get(Epochs).newest()))!
  expect(row).toMatchObject({ version: 3, epoch: services.get(Epochs).newest() })
}, 120_000)

test("a server that is in recovery, or of a life that is over, is refused, and that is said once", async () => {
  const { services, id } = await servers(), ledger = services.get(Ledger), { epoch } = await run(ledger.snapshot)
  const replica = await before.replica(before.port)
  const refused = async (why: string) => expect(await failing(ledger.snapshot)).toMatchObject({ _tag: "DatabaseUnavailable", reason: expect.stringContaining(why) })
  await leadAll(before, replica, () => refused("recovery"))
  for (let n = 0; n < 3; n++) await refused("recovery")
  expect(refusals(services)).toBe(1)
  // So is it by those who keep no lives.
  const tool = ManagedRuntime.make(Postgres.layer({ url: replica.url, poolMax: 1 }).pipe(Layer.provide(Layer.succeed(Log, keptLog().log))))
  afterwards(() => tool.dispose())
  const { read } = await tool.runPromise(Effect.service(Postgres))
  expect(await failing(read({ name: "one", text: "select 1" }, []))).toMatchObject({ reason: expect.stringContaining("recovery") })

  await replica.promote()
  await eventually(async () => (await run(ledger.rows(product, [id]))).rows.has(id), { within: 30_000 })
  expect(services.get(Epochs).newest()).toBeGreaterThan(epoch)
  // Back by mistake: the old one is there, whole, and writable.
  await leadAll(replica, before, () => refused("life of the database that is over"))
  expect(refusals(services)).toBe(2)
  await leadAll(before, replica, () => run(ledger.snapshot))
}, 120_000)

test("of a person's key that only the lost timeline had, nothing is kept; where the keys are apart too", async () => {
  const { services } = await servers(), { epoch } = await run(services.get(Ledger).snapshot)
  const runtime = ManagedRuntime.make(layerPostgresSubjectKeys({ url: network.to, apart: true }).pipe(
    Layer.provide(layerFileKeyring(readKeyring(inject("keyringFile")))),
    Layer.provide(Layer.succeed(Log, keptLog().log))
  ))
  afterwards(() => runtime.dispose())
  const beside = services.get(SubjectKeys), apart = Context.get(await runtime.context(), SubjectKeys)
  await fork()
  const person = randomUUID(), other = randomUUID()
  expect(await run(beside.make(person))).not.toBeNull()
  expect(await run(apart.make(other))).not.toBeNull()
  await lead(before, after)
  await knows(services, epoch)
  await eventually(async () => expect(await run(beside.find(person))).toBeNull(), { within: 30_000 })
  await eventually(async () => expect(await run(apart.find(other))).toBeNull(), { within: 30_000 })
}, 120_000)

// Their pool had lost nothing, and went on asking a server whose data nobody used any more.
test("where only the pool of the data has lost its connections, the keys of persons are asked of the new life's server too", async () => {
  const { services, commands } = await servers(), keys = services.get(SubjectKeys), { epoch } = await run(services.get(Ledger).snapshot)
  const { id: old } = await run(commands.create(registering()))
  await fork()
  const ofKeys = "(query like '%subject_key%' or query like '%erased_subjects%')"
  // The latest statement on its connection is one of theirs.
  expect(await run(keys.find(randomUUID()))).toBeNull()
  await lead(before, after, `not ${ofKeys}`)
  const noticed = run(Effect.ignore(services.get(Ledger).snapshot))
  await knows(services, epoch)
  await noticed
  await before.query("select pg_stat_clear_snapshot()")
  expect(await before.query(`select from pg_stat_activity where ${ofKeys} and pid <> pg_backend_pid() and datname = current_database()`)).not.toEqual([])
  const { id, token } = await run(commands.create(registering()))
  expect(token.epoch).toBe(services.get(Epochs).newest())
  expect(await after.query("select (select count(*)::int from customers where id = $1) as persons, (select count(*)::int from subject_keys where subject = $1) as keys", [id])).toEqual([{ persons: 1, keys: 1 }])
  expect(await run(services.get(Erasure).erase(tombstoning(old)))).toMatchObject({ status: 200 })
  expect(await after.query(`select certificate is not null as certificate, (select count(*)::int from subject_keys where subject = id) as keys,
    (select count(*)::int from erased_subjects where subject = id) as erased from customers where id = $1`, [old])).toEqual([{ certificate: true, keys: 0, erased: 1 }])
}, 120_000)

test("a dump in a new cluster, whose transactions begin far below, goes on: the feed by epoch first, and an entry of before is none", async () => {
  const { services, commands, id } = await servers()
  await before.burn(3_000)
  const lost = await run(commands.change(renaming(id, "of the old cluster")))
  const outbox = services.get(Outbox), old = await run(outbox.feed(["product"], { epoch: 0, transaction: 0n, sequence: 0 }, 100))
  const other = await startCluster()
  await Effect.runPromise(migrate(other.url, { partitions: 64, log: keptLog().log }))
  for (const table of ["database_epochs", "installation", "products", "outbox"]) {
    const rows = (await before.query(`select to_jsonb(t)::text as row from ${table} t`)).map(({ row }) => row)
    await other.query(`truncate ${table}`)
    await other.query(`insert into ${table} select t.* from unnest($1::text[]) r, jsonb_populate_record(null::${table}, r::jsonb) t`, [rows])
  }
  await other.query("select setval('outbox_seq', (select max(seq) from outbox))")
  expect(BigInt((await other.query("select pg_current_xact_id()::text as id"))[0].id)).toBeLessThan(lost.token.transaction!)
  const restored = await openServices({ database: other.url })
  const epochs = (await other.query("select epoch, system_identifier from database_epochs order by epoch"))
  expect(epochs).toHaveLength(2)
  expect(epochs[1].system_identifier).not.toBe(epochs[0].system_identifier)
  const changed = await run(restored.get(Commands).change(renaming(id, "of the new one")))
  expect(changed.token.transaction!).toBeLessThan(lost.token.transaction!)
  // Who had heard all of the old cluster hears what is new, and nothing twice.
  await eventually(async () => {
    const heard = await run(restored.get(Outbox).feed(["product"], old.at(-1)!.position, 100))
    expect(heard.map(({ version, position }) => [version, position.epoch])).toEqual([[3, Number(epochs[1].epoch)]])
    expect(formatPosition(heard[0]!.position) > formatPosition(old.at(-1)!.position)).toBe(true)
  }, { within: 30_000 })
  const cache = restored.get(Cache), key = restored.get(Keyspace).keyOf("product", id)
  expect((await cache.describe(key)).value).not.toBeNull()
}, 120_000)
