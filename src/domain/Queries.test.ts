import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { patient } from "../../test/support/patient.ts"
import { behindProxy, creating, deleting, failing, freshDatabase, freshRedis, openServices, renaming, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Cache } from "./cache/Cache.ts"
import { CacheAccess } from "./cache/CacheAccess.ts"
import { Entries } from "./cache/Entries.ts"
import { absenceOf, entryOf } from "./cache/Entry.ts"
import type { Entry } from "./cache/Entry.ts"
import { Keyspace } from "./cache/Keyspace.ts"
import { Commands } from "./Commands.ts"
import { product } from "./kinds/product.ts"
import { Ledger } from "./ledger/Ledger.ts"
import type { Token } from "./ledger/Token.ts"
import { ANY } from "./Freshness.ts"
import { Queries } from "./Queries.ts"
import type { Found } from "./Queries.ts"
import { Relay } from "./sync/Relay.ts"

type Database = Awaited<ReturnType<typeof freshDatabase>>
const everyPartition = Array.from({ length: 64 }, (_, partition) => partition)

/** One process, and what the tests ask of it. */
const processOf = (services: Services) => {
  const queries = services.get(Queries), commands = services.get(Commands), cache = services.get(Cache), access = services.get(CacheAccess)
  const key = (id: string) => services.get(Keyspace).keyOf("product", id)
  return {
    services, queries, cache, access, key,
    read: (id: string, freshness = {}) => queries.read(product, id, { ...ANY, ...freshness }),
    list: (freshness = {}, limit = 10, after: string | null = null) => run(queries.list(product, { after, limit, where: {} }, { ...ANY, ...freshness })),
    create: async (fields = {}) => run(commands.create(creating(fields))),
    rename: async (id: string, name: string) => (await run(commands.change(renaming(id, name)))).token,
    remove: async (id: string) => run(commands.change(deleting(id))),
    evict: (id: string) => run(access.evict(key(id))),
    bytes: async (id: string) => (await cache.describe(key(id))).value,
    written: (id: string, entry: Entry) => services.get(Entries).write(product, id, entry),
    /** As somebody who can write to the cache. */
    force: async (id: string, value: Uint8Array) => {
      await cache.evict(key(id))
      await cache.lease([key(id)], "forced")
      await cache.store([{ key: key(id), value, lease: "forced", ttlMilliseconds: 60_000 }])
    },
    settle: async () => eventually(async () => !(await run(services.get(Relay).lane(everyPartition).round))),
    /** Its cache is there. A breaker that opened before the connection stood has closed again, and left nothing that is trusted. */
    ready: async () => {
      await eventually(async () => {
        await cache.ping()
        expect(access.state()).not.toBe("open")
      })
      for (const partition of access.distrusted()) access.trust(partition)
    },
    /** A read under way, which has found what stood there a moment ago and does not know yet of what comes now. */
    reading: async (id: string, freshness = {}) => {
      const found = queries.read(product, id, { ...ANY, ...freshness })
      // Looks of one turn leave together.
      await access.look(key(id), false)
      return { found }
    }
  }
}
type Process = ReturnType<typeof processOf>

const textOf = (found: Found) => Buffer.from(found.entry.payload).toString()
const HIT = { from: "hit", stored: false, collapsed: false, databaseAway: false }
const from = (how: string, stored = false, collapsed = false) => ({ from: how, stored, collapsed, databaseAway: false })

/** From now on, reads of the session `reader` have their snapshot and wait for the gate. */
const gate = async (database: Database) => {
  await database.query(`
    create function gate() returns boolean language plpgsql as $$ begin
      if current_setting('application_name') = 'reader' and current_query() like '%products r on%' then
        perform pg_advisory_lock_shared(4711);
        perform pg_advisory_unlock_shared(4711);
      end if;
      return true;
    end $$;
    alter table database_epochs rename to epochs;
    create view database_epochs as select * from epochs where gate()`)
  const keeper = await database.connect()
  return {
    url: `${patient(database.url)}&application_name=reader`,
    close: () => keeper.query("select pg_advisory_lock(4711)"),
    open: () => keeper.query("select pg_advisory_unlock(4711)"),
    waiting: async (count: number) => eventually(async () =>
      (await database.query("select 1 from pg_stat_activity where application_name = 'reader' and wait_event = 'advisory' and query like '%products r on%' and datname = current_database()")).length === count)
  }
}

describe("with its cache at hand", () => {
  let database: Database, one: Process
  beforeEach(async () => {
    database = await freshDatabase()
    one = processOf(await openServices({ database: database.url }))
  })

  test("a read is a hit where the cache has it, and what was missing is stored under a lease", async () => {
    const { id, payload } = await one.create()
    expect((await one.read(id)).source).toEqual(HIT)
    await one.evict(id)
    const found = await one.read(id)
    expect(found.source).toEqual(from("miss", true))
    expect(textOf(found)).toBe(Buffer.from(payload!).toString())
    expect((await one.read(id)).source).toEqual(HIT)
  })

  test("what does not exist, and what was deleted, is known from the cache too", async () => {
    const nobody = randomUUID(), { id } = await one.create()
    await one.remove(id)
    expect((await one.read(nobody)).source).toEqual(from("miss", true))
    expect(await one.read(nobody)).toMatchObject({ entry: { what: "unknown", version: 0 }, source: HIT })
    expect(await one.read(id)).toMatchObject({ entry: { what: "deleted", version: 2 }, source: HIT })
  })

  test("no-cache is answered by Postgres, and puts the entry right", async () => {
    const { id } = await one.create({ name: "Lamp" })
    const old = (await one.bytes(id))!
    await one.rename(id, "Torch")
    await one.force(id, old)
    expect((await one.read(id)).entry.version).toBe(1)
    expect(await one.read(id, { noCache: true })).toMatchObject({ entry: { version: 2 }, source: from("request", true) })
    expect((await one.read(id)).entry.version).toBe(2)
    await one.evict(id)
    expect((await one.read(id, { noCache: true })).source).toEqual(from("request", true))
  })

  test("with the token of a write no read is older than it", async () => {
    const { id } = await one.create()
    const old = (await one.bytes(id))!, token = await one.rename(id, "Torch")
    await one.force(id, old)
    expect(await one.read(id, { tokens: [token] })).toMatchObject({ entry: { version: 2 }, source: from("stale", true) })
    expect((await one.read(id, { tokens: [token] })).source).toEqual(HIT)
  })

  test("a token of another change is satisfied by an older entry once the partition's checkpoint shows that change", async () => {
    // Where there is no checkpoint yet, the first round purges.
    await one.settle()
    const { id } = await one.create(), other = await one.create()
    expect((await one.read(id, { tokens: [other.token] })).source).toEqual(from("stale", true))
    await one.settle()
    expect((await one.read(id, { tokens: [other.token] })).source).toEqual(HIT)
  })

  test("a read's token speaks for its entity alone", async () => {
    const { id } = await one.create(), other = await one.create()
    const { token } = await run(one.services.get(Commands).change(renaming(other.id, "Lamp")))
    expect(token.entity).not.toBeNull()
    expect((await one.read(id, { tokens: [token] })).source).toEqual(HIT)
    expect((await one.read(id, { tokens: [{ ...token, epoch: token.epoch - 1 }] })).source).toEqual(HIT)
    expect((await one.read(id, { tokens: [{ ...token, epoch: token.epoch - 1 }], noCache: true })).source).toEqual(from("request", true))
    expect((await one.read(other.id, { tokens: [token] })).source).toEqual(HIT)
  })

  test("an age is kept only where the partition is known to have been settled so recently", async () => {
    const { id } = await one.create()
    expect((await one.read(id, { maxAgeSeconds: 60 })).source).toEqual(from("stale", true))
    await one.settle()
    expect((await one.read(id)).source).toEqual(from("miss", true))
    expect((await one.read(id, { maxAgeSeconds: 60 })).source).toEqual(HIT)
    await one.evict(id)
    expect((await one.read(id, { maxAgeSeconds: 60 })).source).toEqual(from("miss", true))
  })

  test("damage counts as evicted, and is", async () => {
    const { id } = await one.create()
    const damaged = Buffer.from((await one.bytes(id))!)
    damaged.write("z", 45, "latin1")
    await one.force(id, damaged)
    expect(await one.read(id)).toMatchObject({ entry: { version: 1 }, source: from("miss", true) })
  })

  test("a reader that finds somebody's lease waits for what that one brings", async () => {
    const { id } = await one.create(), value = (await one.bytes(id))!
    await one.evict(id)
    await one.cache.lease([one.key(id)], "another process")
    const { found } = await one.reading(id)
    await one.cache.fill([{ key: one.key(id), value, lease: "another process", ttlMilliseconds: 60_000 }])
    expect((await found).source).toEqual(HIT)
  })

  test("and reads for itself, without a fill, where that one brings nothing", async () => {
    const { id } = await one.create()
    await one.evict(id)
    await one.cache.lease([one.key(id)], "another process")
    expect((await one.read(id)).source).toEqual(from("miss"))
    expect((await one.bytes(id))![0]).toBe(0x4c)
  })

  test("what somebody else brings is held against the token, and read again where it fails", async () => {
    const { id } = await one.create(), old = (await one.bytes(id))!, token = await one.rename(id, "Torch")
    for (const freshness of [{ tokens: [token] }, { maxAgeSeconds: 5 }]) {
      await one.evict(id)
      await one.cache.lease([one.key(id)], "another process")
      const { found } = await one.reading(id, freshness)
      await one.cache.fill([{ key: one.key(id), value: old, lease: "another process", ttlMilliseconds: 60_000 }])
      expect(await found).toMatchObject({ entry: { version: 2 }, source: from("stale", true) })
    }
  })

  test("an entity above 64 KiB is answered whole, and never kept", async () => {
    const { id } = await one.create({ description: "x".repeat(70_000) })
    for (let i = 0; i < 2; i++) {
      const found = await one.read(id)
      expect(found.source).toEqual(from("miss"))
      expect(JSON.parse(textOf(found)).description).toHaveLength(70_000)
    }
    expect(await one.bytes(id)).toBeNull()
  })

  test("reads of one key at once share one load", async () => {
    const { id } = await one.create()
    const gated = await gate(database)
    const reader = processOf(await openServices({ database: gated.url }))
    await gated.close()
    const reads = Array.from({ length: 5 }, () => reader.read(id))
    await gated.waiting(1)
    await gated.open()
    expect((await Promise.all(reads)).map(({ source }) => source)).toEqual([from("miss", true), ...Array.from({ length: 4 }, () => from("miss", true, true))])
  })

  test("a load that began before a write is not taken by who has its token", async () => {
    const { id } = await one.create()
    const gated = await gate(database)
    const reader = processOf(await openServices({ database: gated.url }))
    await gated.close()
    const early = reader.read(id)
    await gated.waiting(1)
    const token = await one.rename(id, "Torch")
    const late = reader.read(id, { tokens: [token] })
    await gated.open()
    expect((await early).entry.version).toBe(1)
    expect(await late).toMatchObject({ entry: { version: 2 }, source: from("stale", true) })
  })

  test.each([["miss", {}], ["request", { noCache: true }]])("a load (%s) whose lease was broken by a change is made again, and what it then brings is stored", async (how, freshness) => {
    const redis = await freshRedis(), gated = await gate(database)
    const [reader, writer] = [processOf(await openServices({ database: gated.url, redis: redis.url })), processOf(await openServices({ database: database.url, redis: redis.url }))]
    for (const { ready } of [reader, writer]) await ready()
    const { id } = await writer.create()
    await writer.evict(id)
    await gated.close()
    const early = reader.read(id, freshness)
    await gated.waiting(1)
    await writer.rename(id, "Torch")
    await gated.open()
    expect(await early).toMatchObject({ entry: { version: 2 }, source: from(how, true) })
    expect(await writer.read(id)).toMatchObject({ entry: { version: 2 }, source: { from: "hit" } })
  })

  test("a read that fails leaves nothing behind: the next one loads anew", async () => {
    const { id } = await one.create()
    await one.evict(id)
    const holder = await database.connect()
    await holder.query("begin")
    await holder.query("lock table products in access exclusive mode")
    await expect(one.read(id)).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
    await holder.query("rollback")
    expect((await one.read(id)).entry.version).toBe(1)
  })

  test("more than 2,000 reads that wait for Postgres are turned away", async () => {
    const holder = await database.connect()
    await holder.query("begin")
    await holder.query("lock table products in access exclusive mode")
    // The first ones must not be over before the last one asks.
    const reader = processOf(await openServices({ database: patient(database.url) }))
    const reads = Array.from({ length: 2_001 }, () => reader.read(randomUUID()))
    const outcome = Promise.allSettled(reads)
    await expect(Promise.any(reads.map((read) => read.then(() => "answered", (error) => Promise.resolve(error))))).resolves.toMatchObject({ reason: "too many reads wait for Postgres" })
    await holder.query("rollback")
    expect((await outcome).filter(({ status }) => status === "rejected")).toHaveLength(1)
  })

  test("where Postgres does not answer, those that wait for a place are turned away, and do not each wait for its deadline", async () => {
    const proxy = await behindProxy(database.url), reader = processOf(await openServices({ database: patient(proxy.to) }))
    const holder = await database.connect()
    await holder.query("begin")
    await holder.query("lock table products in access exclusive mode")
    const reads = Promise.all(Array.from({ length: 50 }, () => reader.read(randomUUID()).then(() => "answered", ({ reason }) => reason as string)))
    await eventually(async () => (await database.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).length === 10)
    await proxy.cut()
    const outcomes = await reads
    await holder.query("rollback")
    expect(outcomes).toContain("ECONNREFUSED")
    expect(outcomes.filter((reason) => reason === "too many reads wait for Postgres").length).toBeGreaterThan(20)
  })

  describe("lists", () => {
    test("have living entities in order of creation, from the cache where it has them, and are refreshed where it has not", async () => {
      const all = [await one.create(), await one.create(), await one.create(), await one.create()].map(({ id }) => id)
      await one.remove(all[1]!)
      await one.evict(all[2]!)
      const first = await one.list({}, 2)
      expect(first).toMatchObject({ size: 2, hits: 1, next: all[2] })
      expect(first.entries.map((entry) => JSON.parse(Buffer.from(entry.payload).toString()).id)).toEqual([all[0], all[2]])
      expect(await one.list({}, 2, first.next)).toMatchObject({ size: 1, hits: 1, next: null })
      expect(await one.list({}, 2)).toMatchObject({ hits: 2 })
    })

    test("leave out what was deleted since their ids were read", async () => {
      const { id } = await one.create()
      await one.create()
      const row = (await run(one.services.get(Ledger).rows(product, [id]))).rows.get(id)!
      await one.force(id, one.written(id, entryOf(product, { ...row, version: 2, state: null })))
      expect(await one.list()).toMatchObject({ entries: [{ version: 1 }], size: 2, hits: 2 })
    })

    test("come from Postgres with no-cache, and with a token or an age that an entry does not meet", async () => {
      const { id } = await one.create(), old = (await one.bytes(id))!, token = await one.rename(id, "Torch")
      for (const freshness of [{ noCache: true }, { tokens: [token] }, { maxAgeSeconds: 5 }]) {
        await one.force(id, old)
        expect(await one.list(freshness)).toMatchObject({ entries: [{ version: 2 }], size: 1, hits: 0 })
      }
    })

    test("put nothing where somebody else's lease stands", async () => {
      const { id } = await one.create()
      await one.evict(id)
      await one.cache.lease([one.key(id)], "another process")
      expect(await one.list()).toMatchObject({ entries: [{ version: 1 }], hits: 0 })
      expect((await one.bytes(id))![0]).toBe(0x4c)
    })
  })

  describe("after a change of epoch", () => {
    /** It is known, and the cache is trusted again: as when the relay has purged it. */
    const next = async () => {
      await database.query("insert into database_epochs (epoch, system_identifier, timeline) select max(epoch) + 1000, min(system_identifier), min(timeline) from database_epochs")
      const { epoch } = await run(one.services.get(Ledger).snapshot), access = one.services.get(CacheAccess)
      for (const partition of access.distrusted()) access.trust(partition)
      return epoch
    }

    test("a token of a newer epoch than the database's is unknown", async () => {
      const { id, token } = await one.create(), newer = { ...token, epoch: token.epoch + 1 }
      await expect(one.read(id, { tokens: [newer] })).rejects.toMatchObject({ _tag: "TokenUnknown" })
      await expect(one.read(id, { tokens: [newer], noCache: true })).rejects.toMatchObject({ _tag: "TokenUnknown" })
      expect(await failing(one.services.get(Queries).list(product, { after: null, limit: 5, where: {} }, { ...ANY, tokens: [newer] }))).toMatchObject({ _tag: "TokenUnknown" })
    })

    test("a token of an older one is satisfied where its event is in the outbox, and unknown where it was lost", async () => {
      const { id, token } = await one.create()
      const { token: read } = await run(one.services.get(Commands).change(renaming(id, "Lamp")))
      await next()
      const later = await one.rename(id, "Torch")
      for (const kept of [token, read]) expect(await one.read(id, { tokens: [kept] })).toMatchObject({ entry: { version: 2, epoch: later.epoch } })
      await database.query("delete from outbox where version_id = 1")
      for (const lost of [token, read]) await expect(one.read(id, { tokens: [lost] })).rejects.toMatchObject({ _tag: "TokenUnknown" })
    })

    // Where there is no body nothing was held against the token: a write that was lost looked like one that is on none of the pages.
    test("an empty list, too, is refused to who has the token of a lost write or of a newer life, and answered with what else there is", async () => {
      const { token } = await one.create(), { id } = await one.create(), queries = one.services.get(Queries)
      const { token: lost } = await run(one.services.get(Commands).change(renaming(id, "Torch")))
      const empty = (tokens: readonly Token[]) => queries.list(product, { after: null, limit: 5, where: { status: "discontinued" } }, { ...ANY, tokens })
      // A read's speaks for its entity alone, and a list is of none.
      const ofRead: Token = { ...lost, transaction: null, entity: "of another" }
      await next()
      await database.query("delete from outbox where version_id = 2")
      const later = await one.rename(id, "Lantern")
      for (const tokens of [[], [token], [later], [token, later], [ofRead]]) expect(await run(empty(tokens))).toMatchObject({ entries: [], size: 0, next: null })
      for (const tokens of [[lost], [token, lost], [{ ...later, epoch: later.epoch + 1 }], [{ ...ofRead, epoch: later.epoch + 1 }]]) {
        expect(await failing(empty(tokens))).toMatchObject({ _tag: "TokenUnknown" })
      }
    })

    test("an entry of an older epoch is never taken by who has a token of the newer one", async () => {
      const { id } = await one.create(), old = (await one.bytes(id))!
      await next()
      const token: Token = await one.rename(id, "Torch")
      await one.force(id, old)
      expect(await one.read(id, { tokens: [token] })).toMatchObject({ entry: { version: 2 }, source: from("stale", true) })
    })

    test("an entry of the older epoch that somebody put back is none, whoever asks", async () => {
      const { id } = await one.create(), old = (await one.bytes(id))!
      await next()
      await one.force(id, old)
      expect(await one.read(id)).toMatchObject({ entry: { version: 1 }, source: from("stale", true) })
      expect(await one.read(id)).toMatchObject({ entry: { version: 1 }, source: HIT })
    })

    test("an absence of the older epoch is replaced by one of the newer", async () => {
      const id = randomUUID(), epoch = (await run(one.services.get(Ledger).snapshot)).epoch
      await one.force(id, one.written(id, absenceOf(epoch)))
      const newest = await next()
      expect(await one.read(id, { noCache: true })).toMatchObject({ entry: { what: "unknown", epoch: newest }, source: from("request", true) })
    })
  })
})

describe("while servers are away", () => {
  test("without the cache every read is answered by Postgres, and reads of one key at once share one", async () => {
    const database = await freshDatabase(), redis = await freshRedis()
    const writer = processOf(await openServices({ database: database.url }))
    const { id } = await writer.create()
    const gated = await gate(database)
    const reader = processOf(await openServices({ database: gated.url, redis: redis.url }))
    await reader.ready()
    await redis.kill()
    await eventually(async () => (await reader.read(id)).source.from === "bypass" && reader.access.state() === "open")
    expect((await reader.read(id)).source).toEqual(from("bypass"))
    expect((await reader.read(id, { noCache: true })).source).toEqual(from("bypass"))
    expect(await reader.list()).toMatchObject({ entries: [{ version: 1 }], hits: 0 })
    await gated.close()
    const early = [reader.read(id), reader.read(id)]
    await gated.waiting(1)
    const token = await writer.rename(id, "Torch")
    const late = reader.read(id, { tokens: [token] })
    await gated.open()
    expect((await Promise.all(early)).map(({ source, entry }) => [source, entry.version])).toEqual([[from("bypass"), 1], [from("bypass", false, true), 1]])
    expect(await late).toMatchObject({ entry: { version: 2 }, source: from("bypass") })
  })

  test("with the fall-back switched off reads are refused while the cache is away, and those that ask for Postgres too", async () => {
    const database = await freshDatabase(), redis = await freshRedis()
    const reader = processOf(await openServices({ database: database.url, redis: redis.url, environment: { POSTGRES_FALLBACK_ENABLED: "false" } }))
    await reader.ready()
    const { id } = await reader.create()
    await reader.evict(id)
    expect((await reader.read(id)).source).toEqual(from("miss", true))
    expect(await reader.list()).toMatchObject({ hits: 1 })
    await redis.kill()
    await eventually(() => reader.read(id).then(() => false, ({ _tag }) => _tag === "DatabaseUnavailable"))
    await expect(reader.list()).rejects.toThrow()
    // A list that passes the cache over needs none.
    expect(await reader.list({ noCache: true })).toMatchObject({ entries: [{ version: 1 }] })
  })

  test("a cache that takes looks only is read, and what could not be put is answered all the same", async () => {
    const database = await freshDatabase(), redis = await freshRedis({ args: [] })
    const reader = processOf(await openServices({ database: database.url, redis: redis.url }))
    await reader.ready()
    const { id } = await reader.create()
    const others = await Promise.all(Array.from({ length: 3 }, () => reader.create()))
    await reader.evict(id)
    for (const other of others) await reader.evict(other.id)
    await redis.cli("ACL", "SETUSER", "default", "-set")
    expect((await reader.read(others[0]!.id)).source).toEqual(from("miss"))
    expect((await reader.read(others[1]!.id, { noCache: true })).source).toEqual(from("request"))
    expect(await reader.list()).toMatchObject({ hits: 0, size: 4 })
    await redis.cli("ACL", "SETUSER", "default", "+set", "-evalsha", "-eval")
    expect((await reader.read(others[2]!.id)).source).toEqual(from("miss"))
  })

  test("without Postgres hits go on and say so, and misses are unavailable", async () => {
    const database = await freshDatabase()
    const proxy = await behindProxy(database.url)
    const reader = processOf(await openServices({ database: proxy.to }))
    const { id } = await reader.create()
    await proxy.cut()
    await expect(reader.read(randomUUID())).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
    expect((await reader.read(id)).source).toEqual({ ...HIT, databaseAway: true })
    await proxy.restore()
    expect((await reader.read(id, { noCache: true })).source).toEqual(from("request", true))
    expect((await reader.read(id)).source).toEqual(HIT)
  })
})
