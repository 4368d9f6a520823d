import { randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { cause, creating, freshDatabase, freshRedis, openServices, renaming, run, unencodable } from "../../../test/support/services.ts"
import type { ServiceOptions, Services } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { formatCheckpoint, parseCheckpoint } from "../cache/Checkpoint.ts"
import { Entries } from "../cache/Entries.ts"
import { decodeEntry, entryOf } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Transitions } from "../cache/Transitions.ts"
import { Commands } from "../Commands.ts"
import { kinds } from "../kinds/kinds.ts"
import { product } from "../kinds/product.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { Row } from "../ledger/Ledger.ts"
import { Outbox } from "../ledger/Outbox.ts"
import { Metrics } from "../observe/Metrics.ts"
import { Relay } from "./Relay.ts"
import { RelayLag } from "./RelayLag.ts"
import { RetryQueue } from "./RetryQueue.ts"

const PARTITIONS = 64
const everyPartition = Array.from({ length: PARTITIONS }, (_, partition) => partition)

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const using = (services: Services) => {
  const key = (id: string) => services.get(Keyspace).keyOf("product", id), cache = services.get(Cache), ledger = services.get(Ledger)
  const lane = services.get(Relay).lane(everyPartition)
  return {
    services, cache, key, lane, ledger,
    create: async () => (await run(services.get(Commands).create(creating()))).id,
    rename: (id: string) => run(services.get(Commands).change(renaming(id, randomUUID()))),
    bytes: async (id: string) => (await cache.describe(key(id))).value,
    version: async (id: string) => {
      const { value } = await cache.describe(key(id))
      return value === null ? null : decodeEntry(value)!.version
    },
    /** As if the store of a newer version had been missed. */
    force: async (id: string, value: Uint8Array) => {
      await cache.evict(key(id))
      await cache.lease([key(id)], "forced")
      expect(await cache.store([{ key: key(id), value, lease: "forced", ttlMilliseconds: 60_000 }])).toEqual(["stored"])
    },
    round: () => run(lane.round),
    rounds: async () => { while (await run(lane.round)) { /* until there is nothing more at once */ } },
    checkpoint: async (partition: number) => (await cache.checkpoints([partition]))[0]!
  }
}
type Process = ReturnType<typeof using>
const open = async (options: Partial<ServiceOptions> = {}) => using(await openServices({ database: database.url, ...options }))

/** So many ids of one partition. */
const idsOf = (one: Process, partition: number, count: number): string[] => {
  const ids: string[] = []
  while (ids.length < count) {
    const id = randomUUID()
    if (one.key(id).partition === partition) ids.push(id)
  }
  return ids
}
/** Products in the database, of which the cache was told nothing. */
const commit = (one: Process, ids: readonly string[], description: string | null = null) =>
  run(one.ledger.commitBatch({
    kind: product,
    items: ids.map((id) => {
      const state = { sku: randomUUID(), name: "Lamp", description, price: { amount: 1, currency: "EUR" }, stock: 1, status: "active" }
      return { id, state, event: { type: "ProductCreated", data: state } }
    }),
    ids, key: null, cause, owed: false
  }))
/** Older entries of rows that the cache then is behind with. */
const putOlder = async (one: Process, rows: readonly Row[]) => {
  for (const row of rows) await one.force(row.id, one.services.get(Entries).write(product, row.id, entryOf(product, { ...row, version: 0, state: { ...row.state, description: null } })))
}

test("what the store missed the relay finds and replaces; what is absent stays absent, and a lease goes", async () => {
  const one = await open()
  await one.rounds()
  const [behind, absent, leased, current] = [await one.create(), await one.create(), await one.create(), await one.create()]
  const old = (await one.bytes(behind))!
  await one.rename(behind)
  await one.force(behind, old)
  await one.cache.evict(one.key(absent))
  // A lease that does not end before the relay comes, however slow the machine is.
  await one.force(leased, Buffer.from("La reader's"))
  await one.rounds()
  expect(await Promise.all([behind, absent, leased, current].map(one.version))).toEqual([2, null, null, 1])
  expect(await one.cache.fill([{ key: one.key(leased), value: old, lease: "a reader's", ttlMilliseconds: 1_000 }])).toEqual(["absent"])
  expect(one.services.get(Metrics).summary().stalePerMillion["5m"]).toBeGreaterThan(0)
  const settled = (id: string) => one.services.get(Transitions).of(one.key(id)).filter(({ by }) => by === "settle").map(({ versionId, outcome }) => [versionId, outcome])
  expect([behind, absent, leased, current].map(settled)).toEqual([[[2, "behind"], [2, "brought up to date"]], [], [[1, "lease broken"]], []])
})

test("what was found stale counts by the age of its write when the cache was looked at, not when the log was", async () => {
  const one = await open(), outbox = one.services.get(Outbox), { summary } = one.services.get(Metrics)
  await one.rounds()
  const id = await one.create(), old = (await one.bytes(id))!
  await one.rename(id)
  await one.force(id, old)
  const slow = Outbox.of({ ...outbox, since: (...asked) => Effect.delay("300 millis")(outbox.since(...asked)) })
  const late = Outbox.of({ ...outbox, since: (...asked) => Effect.tap(outbox.since(...asked), () => Effect.sleep("300 millis")) })
  for (const of of [slow, late]) {
    const relay = await run(Effect.service(Relay).pipe(Effect.provide(Relay.layer({ kinds, ttlMilliseconds: 60_000 }).pipe(
      Layer.provide(Layer.succeed(Outbox, of)), Layer.provide(Layer.succeedContext(one.services.context))
    ))) as Effect.Effect<Relay["Service"]>)
    const before = summary().stalePerMillion
    await run(relay.lane(everyPartition).round)
    expect([before["100ms"], summary().stalePerMillion["100ms"]]).toEqual([null, null])
    if (of === slow) {
      expect(summary().stalePerMillion["5m"]).toBe(1_000_000)
      await one.rename(id)
    }
  }
  expect(summary().stalePerMillion["5m"]).toBe(500_000)
})

test("of several events of one entity the newest counts, in whatever order they are found", async () => {
  const one = await open()
  await one.rounds()
  const id = await one.create(), old = (await one.bytes(id))!
  for (let i = 0; i < 5; i++) await one.rename(id)
  await one.force(id, old)
  await one.rounds()
  expect(await one.version(id)).toBe(6)
  // The records again, the older ones behind the newer ones.
  await database.query(`insert into outbox (recorded_at, epoch, seq, partition, kind, entity_id, version_id, type, data, metadata)
    select recorded_at, epoch, 1000 - seq, partition, kind, entity_id, version_id, type, data, metadata from outbox`)
  await one.force(id, old)
  await one.rounds()
  expect(await one.version(id)).toBe(6)
})

test("an open transaction anywhere does not stall it: what commits above the fence is settled meanwhile", async () => {
  const one = await open(), holder = await database.connect()
  await one.rounds()
  await holder.query("begin")
  await holder.query("select pg_current_xact_id()")
  const id = await one.create(), old = (await one.bytes(id))!
  await one.rename(id)
  await one.force(id, old)
  await one.rounds()
  expect(await one.version(id)).toBe(2)
})

test("what commits after it was passed over is not skipped", async () => {
  const one = await open(), holder = await database.connect()
  await one.rounds()
  const id = await one.create()
  await holder.query("begin")
  await holder.query("select pg_current_xact_id()")
  // Others come and go above it, and the relay settles them.
  for (let i = 0; i < 3; i++) await one.create()
  await one.rounds()
  await holder.query("update products set version_id = 2, event_seq = nextval('outbox_seq') where id = $1", [id])
  await holder.query(`insert into outbox (recorded_at, epoch, seq, partition, kind, entity_id, version_id, type, data, metadata)
    select now(), (select max(epoch) from database_epochs), event_seq, $2, 'product', id, 2, 'ProductChanged', '{}', '{}' from products where id = $1`, [id, one.key(id).partition])
  await holder.query("commit")
  expect(await one.version(id)).toBe(1)
  await one.rounds()
  expect(await one.version(id)).toBe(2)
})

test("more than a look brings is settled look by look, and the place where a look was cut is kept", async () => {
  const one = await open()
  await one.rounds()
  const ids = idsOf(one, 5, 3_000)
  for (let from = 0; from < ids.length; from += 1_000) await commit(one, ids.slice(from, from + 1_000))
  const { rows } = await run(one.ledger.rows(product, ids))
  await putOlder(one, [rows.get(ids[0]!)!, rows.get(ids[2_999]!)!])
  const before = parseCheckpoint(await one.checkpoint(5))
  expect(await one.round()).toBe(true)
  const cut = parseCheckpoint(await one.checkpoint(5))
  // Behind what it has not looked at yet, and no younger: it vouches for nothing that it did not see.
  expect([before, cut]).toMatchObject([{ is: "settled" }, { is: "settled", time: (before as { time: number }).time }])
  expect([await one.version(ids[0]!), await one.version(ids[2_999]!)]).toEqual([1, 0])
  await one.rounds()
  expect([await one.version(ids[0]!), await one.version(ids[2_999]!)]).toEqual([1, 1])
  expect((parseCheckpoint(await one.checkpoint(5)) as { time: number }).time).toBeGreaterThan((before as { time: number }).time)
})

test("one transaction of more events than a look brings is settled as a whole", async () => {
  const one = await open()
  await one.rounds()
  const ids = idsOf(one, 5, 4_500), before = await one.checkpoint(5)
  await commit(one, ids)
  const { rows } = await run(one.ledger.rows(product, ids))
  await putOlder(one, [...rows.values()])
  // Another one behind it, in the same look.
  const last = idsOf(one, 5, 1)
  await commit(one, last)
  await one.rounds()
  for (const id of [ids[0]!, ids[1_999]!, ids[2_000]!, ids[4_499]!]) expect(await one.version(id)).toBe(1)
  expect(await one.checkpoint(5)).not.toBe(before)
  expect(await run(one.services.get(RelayLag).now)).toMatchObject({ events: 0 })
})

test("more than one script's worth is settled in pieces, and only the last moves the checkpoint", async () => {
  const one = await open()
  await one.rounds()
  const many = idsOf(one, 7, 250), large = idsOf(one, 7, 6)
  await commit(one, many)
  await commit(one, large, "x".repeat(60_000))
  const { rows } = await run(one.ledger.rows(product, [...many, ...large]))
  await putOlder(one, [...rows.values()])
  await one.rounds()
  for (const id of [...many, ...large]) expect(await one.version(id)).toBe(1)
  expect(Buffer.from((await one.bytes(large[0]!))!).length).toBeGreaterThan(60_000)
})

test("an entity that cannot be encoded is removed and queued, and the relay goes on", async () => {
  const one = await open({ kinds: [unencodable] })
  await one.rounds()
  const id = await one.create(), old = (await one.bytes(id))!
  await one.rename(id)
  await one.force(id, old)
  const standing = await one.checkpoint(one.key(id).partition)
  await one.rounds()
  expect(await one.version(id)).toBeNull()
  expect(await run(one.services.get(RetryQueue).list({ after: null, limit: 5, state: null }))).toMatchObject([{ id, version: 2, reason: "cannot be encoded" }])
  expect(await one.checkpoint(one.key(id).partition)).not.toBe(standing)
})

describe("two at once in one lane", () => {
  test("are harmless: one moves a checkpoint, the other sees that it did", async () => {
    const one = await open()
    await one.rounds()
    const lanes = [one.lane, one.services.get(Relay).lane(everyPartition)]
    const ids = await Promise.all(Array.from({ length: 50 }, one.create))
    const olds = await Promise.all(ids.map(one.bytes))
    for (const [i, id] of ids.entries()) {
      await one.rename(id)
      await one.force(id, olds[i]!)
    }
    await Promise.all(lanes.map((lane) => run(lane.round)))
    await one.rounds()
    for (const id of ids) expect(await one.version(id)).toBe(2)
  })

  test("attendance says how long the lane was neglected, and whether somebody else works it", async () => {
    const one = await open(), other = one.services.get(Relay).lane(everyPartition)
    expect(await run(one.lane.attendance)).toEqual({ neglectedMilliseconds: Infinity, others: false })
    // It purges in the first round and remembers its own places from the second on.
    const began = performance.now()
    for (const lane of [one.lane, one.lane, other]) await run(lane.round)
    const mine = await run(one.lane.attendance)
    expect(mine.neglectedMilliseconds).toBeGreaterThanOrEqual(0)
    // By the database's clock, which need not go as this one does.
    expect(mine.neglectedMilliseconds).toBeLessThan(performance.now() - began + 5_000)
    expect(mine.others).toBe(true)
    expect(await run(other.attendance)).toMatchObject({ others: false })
  })
})

describe("works from what it finds in the cache", () => {
  test("a cache that forgot its newest commands, the checkpoint with them, is gone over again", async () => {
    const one = await open()
    await one.rounds()
    const id = await one.create(), partition = one.key(id).partition
    const old = (await one.bytes(id))!, earlier = await one.checkpoint(partition)
    await one.rename(id)
    await one.rounds()
    // A fail-over: entry and checkpoint are those of before.
    await one.force(id, old)
    expect(await one.cache.mark(partition, await one.checkpoint(partition), earlier)).toBe(true)
    await one.rounds()
    expect(await one.version(id)).toBe(2)
  })

  test("a checkpoint of an older epoch means a purge", async () => {
    const one = await open()
    await one.rounds()
    const id = await one.create()
    await database.query("insert into database_epochs (epoch, system_identifier, timeline) select max(epoch) + 1000, min(system_identifier), min(timeline) from database_epochs")
    expect(await one.round()).toBe(true)
    expect(await one.version(id)).toBeNull()
    const { epoch } = await run(one.ledger.snapshot)
    expect(parseCheckpoint(await one.checkpoint(0))).toMatchObject({ is: "settled", epoch })
  })

  test("a cache ahead of the database is left alone", async () => {
    for (const later of [{ epoch: 1, xmax: 0n }, { epoch: 0, xmax: 1_000_000n }]) {
      const one = await open()
      await one.rounds()
      const id = await one.create(), { epoch, snapshot, time } = await run(one.ledger.snapshot)
      const future = { is: "settled", epoch: epoch + later.epoch, mark: "0".repeat(16), time, snapshot: { ...snapshot, xmax: snapshot.xmax + later.xmax } } as const
      for (const partition of everyPartition) await one.cache.mark(partition, await one.checkpoint(partition), formatCheckpoint(future))
      const standing = await one.cache.checkpoints(everyPartition)
      for (let i = 0; i < 3; i++) expect(await one.round()).toBe(false)
      expect(await one.cache.checkpoints(everyPartition)).toEqual(standing)
      expect(await one.version(id)).toBe(1)
    }
  })

  test("partitions without news are moved along, so that their checkpoints stay young", async () => {
    const one = await open()
    await one.rounds()
    const standing = await one.checkpoint(3)
    await eventually(async () => {
      await one.round()
      return (await one.checkpoint(3)) !== standing
    })
  })
})

test("the same over Redis, in one script for each piece", async () => {
  const redis = await freshRedis(), one = await open({ redis: redis.url })
  await eventually(() => one.cache.ping())
  await one.rounds()
  const ids = idsOf(one, 5, 150)
  await commit(one, ids)
  const { rows } = await run(one.ledger.rows(product, ids))
  await putOlder(one, [...rows.values()])
  await one.rounds()
  for (const id of ids) expect(await one.version(id)).toBe(1)
})
