import { Effect } from "effect"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { startCluster } from "../../../test/support/clusters.ts"
import type { Cluster } from "../../../test/support/clusters.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { CHANGED_WITHOUT_STORE } from "../../../test/support/holdfast.ts"
import { afterwards, behindProxy, creating, deleting, keptLog, openServices, renaming, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Cache } from "../../domain/cache/Cache.ts"
import { CacheAccess } from "../../domain/cache/CacheAccess.ts"
import { Keyspace } from "../../domain/cache/Keyspace.ts"
import { decodeEntry } from "../../domain/cache/Entry.ts"
import { Commands } from "../../domain/Commands.ts"
import { customer } from "../../domain/kinds/customer.ts"
import { order } from "../../domain/kinds/order.ts"
import { product } from "../../domain/kinds/product.ts"
import { LISTED, oldestOf, Replica } from "../../domain/ledger/Replica.ts"
import { Metrics } from "../../domain/observe/Metrics.ts"
import { ANY } from "../../domain/Freshness.ts"
import { Queries } from "../../domain/Queries.ts"
import { migrate } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"

const WITHIN = { within: 30_000 }
/** Of tests that start servers, and begin anew where one answer came late. */
const SLOW = 240_000

const migrated = async (whenOver?: (work: () => Promise<unknown>) => void) => {
  const primary = await startCluster(whenOver)
  await Effect.runPromise(migrate(primary.url, { partitions: 64, log: keptLog().log }))
  return primary
}

/** A process beside a replica; the way there can be led elsewhere. */
const processOf = (services: Services) => {
  const replica = services.get(Replica), commands = services.get(Commands), queries = services.get(Queries)
  return {
    services, replica, queries,
    create: async () => run(commands.create(creating())),
    rename: (id: string, name: string) => run(commands.change(renaming(id, name))),
    remove: (id: string) => run(commands.change(deleting(id))),
    read: (id: string, freshness = {}) => queries.read(product, id, { ...ANY, ...freshness }),
    ids: async (freshness = {}) => (await run(queries.list(product, { after: null, limit: 200, where: {} }, { ...ANY, ...freshness }))).entries.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()).id as string),
    /** What was asked of the replica by now, by how it went. */
    counts: async () => {
      const text = (await services.get(Metrics).exposition()).body
      const count = (result: string) => Number(new RegExp(`^holdfast_replica_reads_total\\{result="${result}"\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0)
      return { answered: count("answered"), unused: count("unused"), failed: count("failed") }
    },
    /** Of the log's lines those about the replica, the reason behind a colon. */
    said: () => services.lines.filter(({ message }) => message.startsWith("The replica")).map(({ message, fields }) => message + ("reason" in fields ? `: ${String(fields["reason"])}` : "")),
    isUsed: () => eventually(() => replica.lag()! <= LISTED, WITHIN),
    isUnused: () => eventually(() => replica.lag() === Infinity, WITHIN),
    bytes: async (id: string) => (await services.get(Cache).describe(services.get(Keyspace).keyOf("product", id))).value
  }
}
type Process = ReturnType<typeof processOf>

const following = async (primary: Cluster, replica: { readonly url: string }) => {
  const network = await behindProxy(replica.url)
  return { network, ...processOf(await openServices({ database: primary.url, environment: { DB_REPLICA_URL: network.to, DATABASE_POOL_MAX: "4" } })) }
}

let primary: Cluster, follower: Cluster
const over: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  primary = await migrated((work) => void over.push(work))
  follower = await primary.replica(primary.port)
}, 120_000)
afterAll(async () => { for (const work of over.reverse()) await work() }, 60_000)
beforeEach(() => primary.query("delete from products"))

/** What is younger than the lag may be missing there. */
const hasHeardOf = (id: string) => eventually(async () => (await follower.query("select from products where id = $1", [id])).length === 1, WITHIN)
const servers = async () => ({ primary, follower, ...await following(primary, follower) })
type Servers = Awaited<ReturnType<typeof servers>>

/** What happens on the primary from now on the replica hears of, and does not show. */
const pause = async (replica: Cluster) => {
  afterwards(() => resume(replica))
  await replica.query("select pg_wal_replay_pause()")
  await eventually(async () => (await replica.query("select pg_get_wal_replay_pause_state() as state"))[0].state === "paused", WITHIN)
}
const resume = (replica: Cluster) => replica.query("select pg_wal_replay_resume()")

/** Fails where the replica was passed over, as a machine that is busy may have it. */
const onceFromReplica = async <A>({ counts }: Pick<Process, "counts">, ask: () => Promise<A>): Promise<A> => {
  const { answered } = await counts(), answer = await ask()
  if ((await counts()).answered === answered) throw new Error("the primary answered")
  return answer
}
const fromReplica = <A>(all: Pick<Process, "counts">, ask: () => Promise<A>): Promise<A> => eventually(() => onceFromReplica(all, ask), WITHIN)

/**
 * With the follower paused, and from the start again where that fails: one answer that is late has the replica not used until
 * it shows something newer, which one that is paused never does. So has what the primary writes by itself, as it tidies up.
 */
const whilePaused = <A>(all: Process, attempt: () => Promise<A>): Promise<A> => eventually(async () => {
  await resume(follower)
  await all.isUsed()
  await pause(follower)
  return attempt()
}, { within: 90_000 })

test("what only the primary may answer is never asked of a replica", () => {
  const token = { epoch: 1, sequence: 1, transaction: 1n, entity: null }
  expect(oldestOf(product, ANY, LISTED)).toBe(LISTED)
  expect(oldestOf(order, ANY, null)).toBeNull()
  expect(oldestOf(order, { ...ANY, maxAgeSeconds: 5 }, null)).toBe(5_000)
  for (const only of [{ noCache: true }, { tokens: [token] }, { maxAgeSeconds: 5, tokens: [token] }]) expect(oldestOf(product, { ...ANY, ...only }, LISTED)).toBeNull()
  expect(oldestOf(customer, { ...ANY, maxAgeSeconds: 5 }, LISTED)).toBeNull()
})

test("a list takes its ids from the replica while that is young enough, and from the primary with a token or no-cache", async () => {
  const all = await servers()
  const { id } = await all.create()
  await all.isUsed()
  await hasHeardOf(id)
  await fromReplica(all, all.ids)
  expect(all.replica.lag()).toBeGreaterThan(0)
  // Nothing was committed since: a replica that has all there is is young, however long ago its last transaction was.
  await whilePaused(all, () => onceFromReplica(all, all.ids))
  const known = [id]
  // It does not show the new one, which is known a moment later; who may see a list of ten minutes gets the old one.
  const made = await whilePaused(all, async () => {
    const made = await all.create(), shown = (await follower.query("select id from products")).map((row) => row.id as string)
    known.push(made.id)
    expect(shown).toContain(id)
    expect(shown).not.toContain(made.id)
    await eventually(() => all.replica.lag()! > LISTED, WITHIN)
    expect((await onceFromReplica(all, () => all.ids({ maxAgeSeconds: 600 }))).sort()).toEqual(shown.sort())
    return made
  })
  expect((await all.ids()).sort()).toEqual(known.sort())
  const before = await all.counts()
  for (const freshness of [{ maxAgeSeconds: 600, tokens: [made.token] }, { noCache: true }]) expect((await all.ids(freshness)).sort()).toEqual(known)
  expect(await all.counts()).toEqual(before)
  await resume(follower)
  await all.isUsed()
  expect(await eventually(async () => {
    const ids = await fromReplica(all, all.ids)
    return ids.length === known.length && ids.sort()
  }, WITHIN)).toEqual(known)
}, SLOW)

test("a bounded read that the cache cannot answer comes from the replica, and fills nothing; what that has not heard of is the primary's to say", async () => {
  const all = await servers(), access = all.services.get(CacheAccess)
  const { id } = await all.create()
  await eventually(async () => (await all.read(id)).source.from === "hit")
  // No relay works, so nothing is known to be settled. One that the primary answers mends the entry, so each try is a new change.
  const bounded = { maxAgeSeconds: 600 }, versionOf = async () => decodeEntry((await all.bytes(id))!)!.version
  let changes = 1
  const mendsNothing = (from: string) => eventually(async () => {
    await primary.query(CHANGED_WITHOUT_STORE, [id])
    changes++
    await eventually(async () => (await follower.query("select from products where id = $1 and version_id = $2", [id, changes])).length === 1, WITHIN)
    const { answered } = await all.counts(), before = await versionOf(), read = await all.read(id, bounded)
    expect((await all.counts()).answered).toBe(answered + 1)
    expect([read.entry.version, read.source, await versionOf()]).toEqual([changes, { from, stored: false, collapsed: false, databaseAway: false }, before])
    expect(before).toBeLessThan(changes)
  }, WITHIN)
  await mendsNothing("stale")
  const { partition } = all.services.get(Keyspace).keyOf("product", id)
  access.distrust([partition])
  await mendsNothing("bypass")
  const other = await whilePaused(all, async () => {
    const made = await all.create()
    access.distrust([all.services.get(Keyspace).keyOf("product", made.id).partition])
    expect(await onceFromReplica(all, () => all.read(made.id, bounded))).toMatchObject({ entry: { version: 1 }, source: { from: "bypass" } })
    return made
  })
  expect(await follower.query("select from products where id = $1", [other.id])).toEqual([])
  await primary.query(CHANGED_WITHOUT_STORE, [id])
  // Whoever does not say how old it may be, or says what it must show, gets the newest, and by way of the primary the entry is mended.
  const before = await all.counts()
  for (const exact of [{}, { noCache: true }]) expect((await all.read(id, exact)).entry.version).toBe(changes + 1)
  expect(await all.counts()).toEqual(before)
  access.trust(partition)
  expect((await all.read(id, { noCache: true })).source).toMatchObject({ from: "request", stored: true })
}, SLOW)

test("a replica that is killed costs no error and is left alone, until it is back; the log says so once each way", async () => {
  const all = await servers()
  const { id } = await all.create()
  await hasHeardOf(id)
  await all.isUsed()
  await eventually(() => all.said().at(-1) === "The replica is used", WITHIN)
  await follower.kill()
  expect(await all.ids()).toEqual([id])
  await all.isUnused()
  const { answered, failed } = await all.counts()
  for (let n = 0; n < 20; n++) expect(await all.ids()).toEqual([id])
  expect(await all.counts()).toMatchObject({ answered, failed })
  await eventually(() => all.said().at(-1)?.startsWith("The replica is not used: ") === true, WITHIN)
  await follower.start()
  await all.isUsed()
  expect(await fromReplica(all, all.ids)).toEqual([id])
  await eventually(() => all.said().at(-1) === "The replica is used", WITHIN)
  const lines = all.said()
  expect(lines.filter((line, i) => line === lines[i - 1])).toEqual([])
}, SLOW)

test("one that does not answer holds up one request after another never: after the first it is not asked, until it has answered the loop", async () => {
  const all = await servers()
  const { id } = await all.create()
  await hasHeardOf(id)
  await fromReplica(all, all.ids)
  all.network.blackhole("answers")
  const { failed } = await all.counts()
  for (let n = 0; n < 30; n++) expect(await all.ids()).toEqual([id])
  expect((await all.counts()).failed - failed).toBeLessThanOrEqual(1)
  await all.isUnused()
  await eventually(() => all.said().at(-1)?.startsWith("The replica is not used: ") === true, WITHIN)
  await all.network.restore()
  await all.isUsed()
  expect(await fromReplica(all, all.ids)).toEqual([id])
}, SLOW)

test("nobody queues for it: when all that may ask it do, the primary is asked", async () => {
  const all = await servers()
  await all.create()
  await all.isUsed()
  let letGo = (): void => undefined, asking = 0
  const gate = new Promise<void>((resolve) => { letGo = resolve }), holding: Promise<unknown>[] = []
  // A replica that is passed over for a moment is asked again.
  await eventually(() => {
    holding.push(run(all.replica.ask(600_000, () => Effect.promise(() => {
      asking++
      return gate
    }))))
    return asking === 4
  }, WITHIN)
  await fromReplicaNot(all)
  letGo()
  await Promise.all(holding)
  await fromReplica(all, () => all.ids({ maxAgeSeconds: 600 }))
}, SLOW)
const fromReplicaNot = async (all: Servers) => {
  const before = await all.counts()
  await all.ids({ maxAgeSeconds: 600 })
  expect(await all.counts()).toEqual({ ...before, unused: before.unused + 1 })
}

test("one that was promoted is not used, not even by a connection from before", async () => {
  const follower = await primary.replica(primary.port), all = await following(primary, follower), { id } = await all.create()
  await fromReplica(all, all.ids)
  await follower.promote()
  await eventually(async () => (await follower.query("select pg_is_in_recovery() as follows"))[0].follows === false, WITHIN)
  await follower.query("update products set deleted_at = now() where id = $1", [id])
  // It may be young enough still, as far as is known.
  expect(await all.ids({ maxAgeSeconds: 600 })).toEqual([id])
  await all.isUnused()
  await eventually(() => all.said().at(-1) === "The replica is not used: it follows nobody, and takes writes itself", WITHIN)
  // It has gone further than the primary by now, and shows all of its events; what is promoted elsewhere takes nothing with it.
  await follower.burn(500)
  await primary.burn(10)
  expect(await all.ids({ maxAgeSeconds: 600 })).toEqual([id])
}, SLOW)

test("one that follows a server of another way is not used, though it has more of the log than the primary and knows the same beginning", async () => {
  const elsewhere = await primary.replica(primary.port), services = await openServices({ database: primary.url })
  const first = processOf(services), { id } = await first.create()
  await eventually(async () => (await elsewhere.query("select from products")).length === 1, WITHIN)
  await elsewhere.promote()
  await eventually(async () => (await elsewhere.query("select pg_is_in_recovery() as follows"))[0].follows === false, WITHIN)
  const second = await first.create()
  await elsewhere.burn(5_000)
  const stray = await elsewhere.replica(elsewhere.port)
  const all = await following(primary, stray)
  await eventually(() => all.said().at(-1) === "The replica is not used: it is behind", WITHIN)
  const [{ ahead }] = await stray.query("select pg_last_wal_replay_lsn() > $1::pg_lsn as ahead", [(await primary.query("select pg_current_wal_flush_lsn()::text as l"))[0].l])
  expect(ahead).toBe(true)
  expect((await all.ids({ maxAgeSeconds: 600 })).sort()).toEqual([id, second.id].sort())
  expect((await all.counts()).answered).toBe(0)
}, SLOW)

test("one of another cluster is not used, nor the primary itself", async () => {
  // The clusters have passwords of their own. And who may only read can be let in.
  const other = await migrated()
  for (const { query } of [primary, other]) await query("create role reader login password 'reader' in role pg_read_all_data")
  const url = new URL(follower.url)
  url.username = url.password = "reader"
  const all = await following(primary, { url: url.href }), { id } = await all.create()
  await all.isUsed()
  await fromReplica(all, all.ids)
  const strange = await other.replica(other.port)
  const lead = async (to: Cluster) => {
    all.network.redirect(to.port)
    await follower.query("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")
  }
  // One that was just connecting is found by the next try.
  await eventually(async () => {
    await lead(strange)
    return all.said().at(-1) === "The replica is not used: it is another server"
  }, WITHIN)
  await all.isUnused()
  expect(await all.ids({ maxAgeSeconds: 600 })).toEqual([id])
  const self = await following(primary, primary)
  await eventually(() => self.said().at(-1) === "The replica is not used: it follows nobody, and takes writes itself", WITHIN)
}, SLOW)

test("behind one name there may be two: what one of them has proved counts for none of the other's connections", async () => {
  const all = await servers(), { id } = await all.create()
  const lagging = await primary.replica(primary.port)
  await eventually(async () => (await lagging.query("select from products")).length === 1, WITHIN)
  await pause(lagging)
  const second = await all.create(), made = performance.now()
  await eventually(async () => (await fromReplica(all, all.ids)).length === 2, WITHIN)
  // What is proved is later than the second, and so is all that waits to be: the other one could prove what was before.
  await eventually(() => all.replica.lag()! < performance.now() - made, WITHIN)
  all.network.redirect(lagging.port)
  // Those that are open lead where they did; everything new leads to the other one, and that shows too little.
  for (let n = 0; n < 20; n++) {
    const lists = await Promise.all(Array.from({ length: 4 }, () => all.ids()))
    for (const ids of lists) expect(ids.sort()).toEqual([id, second.id].sort())
  }
}, SLOW)

test("a new life of the database is not told by one that has not heard of it", async () => {
  const all = await servers(), { id } = await all.create()
  await fromReplica(all, all.ids)
  await pause(follower)
  await primary.query("select begin_epoch(0, true)")
  await all.remove(id)
  await eventually(() => all.said().at(-1) === "The replica is not used: it is of another life of the database", WITHIN)
  expect(await all.ids({ maxAgeSeconds: 600 })).toEqual([])
  await resume(follower)
  await all.isUsed()
  expect(await fromReplica(all, all.ids)).toEqual([])
}, SLOW)

test("while the primary does not say how far it is, what was proved of the replica grows old", async () => {
  const all = await servers()
  await hasHeardOf((await all.create()).id)
  await all.isUsed()
  await eventually(() => all.said().at(-1) === "The replica is used", WITHIN)
  // From the start again where one answer of the replica was late: without the primary it proves nothing any more.
  await eventually(async () => {
    await primary.kill()
    try {
      await eventually(() => all.replica.lag()! > LISTED, WITHIN)
      await eventually(() => all.said().at(-1)?.startsWith("The replica is not used: the primary does not say how far it is") === true, WITHIN)
      expect(await onceFromReplica(all, () => run(all.replica.ask(600_000, ({ ledger }) => ledger.list(product, { after: null, limit: 10, where: {} }))))).toHaveLength(1)
    } finally {
      await primary.start()
      await all.isUsed()
    }
  }, { within: 90_000 })
}, SLOW)

// One look that failed of something that Postgres is not expected to say was the last, and the log said nothing of it.
test("what goes wrong in the primary's schema for a moment takes the replica out of use for as long, and the log says why", async () => {
  const all = await servers(), { id } = await all.create()
  await hasHeardOf(id)
  await all.isUsed()
  await primary.query("alter table outbox rename to away")
  afterwards(() => primary.query("alter table if exists away rename to outbox"))
  await eventually(() => all.said().at(-1) === "The replica is not used: the primary does not say how far it is: 42P01", WITHIN)
  expect(await all.ids()).toEqual([id])
  await primary.query("alter table away rename to outbox")
  await all.isUsed()
  expect(await fromReplica(all, all.ids)).toEqual([id])
}, SLOW)

// It may be the end of a crash in there: the same server then shows less than what it has shown.
test("a connection that ends while it is idle takes with it what was proved, until a look that begins later", async () => {
  const all = await servers(), { id } = await all.create(), { pool } = all.services.get(Postgres)
  await hasHeardOf(id)
  await all.isUsed()
  // No look gets so far as to ask the replica while the primary has no connection for it.
  const held = await Promise.all(Array.from({ length: 4 }, () => pool.connect()))
  try {
    await eventually(() => pool.waitingCount > 0, WITHIN)
    expect(await follower.query("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")).not.toEqual([])
    await all.isUnused()
  } finally {
    for (const client of held) client.release()
  }
  await all.isUsed()
  expect(await fromReplica(all, all.ids)).toEqual([id])
}, SLOW)
