import { randomUUID } from "node:crypto"
import { Effect, Layer, ManagedRuntime } from "effect"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { makingCustomer } from "../../../test/support/ledgers.ts"
import { afterwards, creating, deleting, freshDatabase, freshRedis, openServices, renaming, run } from "../../../test/support/services.ts"
import type { ServiceOptions } from "../../../test/support/services.ts"
import { Cache, isLease } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { Entries } from "../cache/Entries.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { customer } from "../kinds/customer.ts"
import { product } from "../kinds/product.ts"
import { DatabaseUnavailable, Ledger } from "../ledger/Ledger.ts"
import { Metrics } from "../observe/Metrics.ts"
import { ANY } from "../Freshness.ts"
import { Queries } from "../Queries.ts"
import type { Truth } from "../sync/verdictOf.ts"
import { ShadowReads } from "./ShadowReads.ts"
import type { ShadowRead } from "./ShadowReads.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

// Generous: what is found in the cache is looked at, not whether a busy machine asks it in time.
const open = async (options: Omit<ServiceOptions, "database"> = {}) => {
  const services = await openServices({ database: database.url, shortestDeadlineMilliseconds: 20_000, ...options, environment: { CACHE_READS: "shadow", SYNC_BUDGET_MS: "20000", ...options.environment } })
  const queries = services.get(Queries), commands = services.get(Commands), cache = services.get(Cache), entries = services.get(Entries), shadow = services.get(ShadowReads)
  const key = (id: string) => services.get(Keyspace).keyOf("product", id)
  const bytes = async (id: string) => (await cache.describe(key(id))).value
  await eventually(() => cache.ping())
  // Ages are told by the database's clock, once it was read.
  await run(services.get(Ledger).rows(product, []))
  return {
    services, queries, cache, entries, key, bytes, shadow,
    read: (id: string, freshness = {}) => queries.read(product, id, { ...ANY, ...freshness }),
    list: (freshness = {}) => run(queries.list(product, { after: null, limit: 10, where: {} }, { ...ANY, ...freshness })),
    create: async () => (await run(commands.create(creating()))).id!,
    rename: async (id: string, name: string = randomUUID()) => (await run(commands.change(renaming(id, name)))).token,
    remove: (id: string) => run(commands.change(deleting(id))),
    entry: async (id: string) => {
      const value = await bytes(id)
      return value === null ? null : entries.open(product, id, value)
    },
    /** As somebody who can write to the cache. */
    force: async (id: string, value: Uint8Array) => {
      await cache.evict(key(id))
      await cache.lease([key(id)], "forced")
      await cache.store([{ key: key(id), value, lease: "forced", ttlMilliseconds: 60_000 }])
    },
    truth: async (id: string): Promise<Truth> => {
      const { epoch, rows } = await run(services.get(Ledger).rows(product, [id]))
      return { row: rows.get(id) ?? null, epoch }
    },
    /** What was counted of products; every read is in it in the end. */
    counts: () => shadow.report()!.kinds.find(({ kind }) => kind === "product")!
  }
}
type Process = Awaited<ReturnType<typeof open>>

const SHADOW = { from: "bypass", stored: false, collapsed: false, databaseAway: false, shadow: true }
/** Once so many reads are counted, how each of them went; what did not happen is left out. */
const counted = (one: Pick<Process, "counts">, reads: number) => eventually(() => {
  const { agreed, absent, passedOver, behind, ahead, otherBytes, undecodable, notCompared } = one.counts()
  const all = { agreed, absent, passedOver, ...Object.fromEntries(Object.entries(behind).map(([age, count]) => [`behind ${age}`, count])), ahead, otherBytes, undecodable, notCompared }
  expect(Object.values(all).reduce((sum, count) => sum + count, 0)).toBe(reads)
  return Object.fromEntries(Object.entries(all).filter(([, count]) => count > 0))
}, { within: 20_000 })
/** All that is behind, at whatever age. */
const behindIn = (counts: Readonly<Record<string, number>>) => Object.entries(counts).reduce((sum, [name, count]) => name.startsWith("behind") ? sum + count : sum, 0)

describe("which kinds", () => {
  test("a read of one in shadow is answered by Postgres, and the cache is held against the answer", async () => {
    const one = await open(), id = await one.create()
    for (let n = 0; n < 3; n++) expect(await one.read(id)).toMatchObject({ entry: { version: 1 }, source: SHADOW })
    expect(await counted(one, 3)).toEqual({ agreed: 3 })
    expect(one.services.get(Metrics).summary().reads).toMatchObject({ hit: 0, bypass: 3 })
    expect((await one.services.get(Metrics).exposition()).body).toContain(`holdfast_shadow_reads_total{kind="product",result="agreed"} 3\n`)
    expect(one.shadow.report()).toMatchObject({ since: expect.stringMatching(/^\d{4}-.*Z$/), kinds: [{ kind: "product", compared: 3 }, { kind: "order", compared: 0 }, { kind: "customer", compared: 0 }] })
  })

  test("the others are read from the cache as always, and without any there is no report", async () => {
    const one = await open({ environment: { CACHE_READS: "order" } }), id = await one.create()
    expect((await one.read(id)).source).toMatchObject({ from: "hit" })
    expect(one.shadow.report()).toMatchObject({ kinds: [{ kind: "order", compared: 0 }] })
    const other = await open({ environment: { CACHE_READS: "on" } })
    expect((await other.read(id)).source).not.toHaveProperty("shadow")
    expect(other.shadow.report()).toBeNull()
  })

  test("of a list every body is compared", async () => {
    const one = await open(), [a, b, c] = [await one.create(), await one.create(), await one.create()]
    const old = (await one.bytes(b))!
    await one.rename(b)
    await one.force(b, old)
    await one.cache.evict(one.key(c))
    expect(await one.list()).toMatchObject({ entries: [{ version: 1 }, { version: 2 }, { version: 1 }], size: 3, hits: 0, shadow: true, next: null })
    const counts = await counted(one, 3)
    expect(counts).toMatchObject({ agreed: 1, absent: 1 })
    expect(behindIn(counts)).toBe(1)
    expect(await run(one.queries.list(product, { after: null, limit: 2, where: {} }, ANY))).toMatchObject({ size: 2, next: b })
    expect(await one.list({ noCache: true })).toMatchObject({ size: 3, hits: 0 })
    await eventually(async () => expect(await one.entry(b)).toMatchObject({ version: 2 }), { within: 20_000 })
    expect(one.services.get(Metrics).summary().reads).toMatchObject({ hit: 0, request: 3 })
    expect(await one.entry(a)).toMatchObject({ version: 1 })
  })
})

describe.each(["memory", "redis"] as const)("what is found in %s", (kind) => {
  const opened = async () => kind === "memory" ? open() : open({ redis: (await freshRedis()).url })

  test("is told apart, while every answer is the row's: agreed, absent, behind, ahead, other bytes, undecodable", async () => {
    const one = await opened()
    const ids = { agreed: await one.create(), absent: await one.create(), leased: await one.create(), behind: await one.create(), ahead: await one.create(), undecodable: await one.create(), otherBytes: await one.create() }
    await one.cache.evict(one.key(ids.absent))
    // One that outlives a busy machine.
    await one.force(ids.leased, Buffer.from("Lsomebody's"))
    const old = (await one.bytes(ids.behind))!
    await one.rename(ids.behind)
    await database.query("update products set updated_at_ns = updated_at_ns - 3600000000000 where id = $1", [ids.behind])
    await one.force(ids.behind, old)
    await one.force(ids.ahead, one.entries.write(product, ids.ahead, { ...(await one.entry(ids.ahead))!, version: 7 }))
    await one.force(ids.undecodable, Buffer.from("nothing that the service has written, though long enough for a header"))
    await one.force(ids.otherBytes, one.entries.write(product, ids.otherBytes, { ...(await one.entry(ids.otherBytes))!, payload: Buffer.from("{}") }))
    for (const [name, id] of Object.entries(ids)) {
      const { row } = await one.truth(id), found = await one.read(id)
      expect([found.entry.version, JSON.parse(Buffer.from(found.entry.payload).toString()).name], name).toEqual([row!.version, row!.state!["name"]])
      expect(found.source, name).toEqual(SHADOW)
    }
    expect(await counted(one, 7)).toEqual({ agreed: 1, absent: 2, "behind older": 1, ahead: 1, otherBytes: 1, undecodable: 1 })
    expect(one.counts()).toMatchObject({ compared: 5, safe: false, reason: "the cache would have been wrong: 1 behind for more than 1 s, 1 ahead, 1 of other bytes, 1 undecodable" })
    expect((await one.services.get(Metrics).exposition()).body).toContain(`holdfast_shadow_behind_total{kind="product",age="older"} 1\n`)
    // As with the cache on: what is absent or cannot be read is filled, what is wrong otherwise stays, and so does somebody's lease.
    for (const id of [ids.absent, ids.undecodable]) await eventually(async () => expect(await one.entry(id)).toMatchObject({ version: 1 }), { within: 20_000 })
    expect(await one.entry(ids.behind)).toMatchObject({ version: 1 })
    expect(await one.entry(ids.ahead)).toMatchObject({ version: 7 })
    expect(isLease((await one.bytes(ids.leased))!)).toBe(true)
  })
})

describe("what the cache would have said", () => {
  test("of what does not exist, and of what was deleted, is compared too", async () => {
    const one = await open(), nobody = randomUUID(), gone = await one.create(), id = await one.create()
    await one.remove(gone)
    expect(await one.read(nobody)).toMatchObject({ entry: { what: "unknown" }, source: SHADOW })
    expect(await one.read(gone)).toMatchObject({ entry: { what: "deleted", version: 2 }, source: SHADOW })
    expect(await counted(one, 2)).toEqual({ agreed: 1, absent: 1 })
    await eventually(async () => expect(await one.entry(nobody)).toMatchObject({ what: "unknown" }), { within: 20_000 })
    await one.read(nobody)
    expect(await counted(one, 3)).toEqual({ agreed: 2, absent: 1 })
    // Not there, it would have said.
    await one.force(id, one.entries.write(product, id, one.entries.absence(product, (await one.truth(id)).epoch)))
    expect(await one.read(id)).toMatchObject({ entry: { what: "entity", version: 1 } })
    expect(behindIn(await counted(one, 4))).toBe(1)
    // Of another life of the database, in which it was, nobody can tell how old it is.
    await one.force(nobody, one.entries.write(product, nobody, { ...(await one.entry(id))!, what: "entity", epoch: 1, version: 3, payload: Buffer.from("{}") }))
    await one.read(nobody)
    expect(await counted(one, 5)).toMatchObject({ "behind older": 1 })
  })

  test("is behind since the first write that it missed, however young the last one is", async () => {
    const one = await open(), id = await one.create(), old = (await one.bytes(id))!
    await one.rename(id)
    await database.query("update outbox set recorded_at = recorded_at - interval '2 minutes' where entity_id = $1 and version_id = 2", [id])
    await one.rename(id)
    await one.force(id, old)
    await one.read(id)
    expect(await counted(one, 1)).toEqual({ "behind 5m": 1 })
  })

  test("is behind though nobody tells since when, and then it counts as old", async () => {
    const one = await open(), id = await one.create(), old = (await one.bytes(id))!
    await one.rename(id)
    await one.force(id, old)
    const holder = await database.connect()
    await holder.query("begin")
    await holder.query("lock table outbox in access exclusive mode")
    await one.read(id)
    expect(await counted(one, 1)).toEqual({ "behind older": 1 })
    await holder.query("alter table outbox rename to away")
    await holder.query("commit")
    await one.read(id)
    expect(await counted(one, 2)).toEqual({ "behind older": 2 })
  })

  test("is behind in a sealed entry too, though this process has just seen the newer version in the row", async () => {
    const one = await open(), made = (await run(one.services.get(Ledger).commit(makingCustomer())))!.row
    const key = one.services.get(Keyspace).keyOf(customer.name, made.id)
    await one.cache.lease([key], "forced")
    await one.cache.store([{ key, value: one.entries.write(customer, made.id, one.entries.of(customer, made)), lease: "forced", ttlMilliseconds: 60_000 }])
    const counts = { counts: () => one.shadow.report()!.kinds.find(({ kind }) => kind === "customer")! }
    expect(await one.queries.read(customer, made.id, ANY)).toMatchObject({ entry: { version: 1 }, source: SHADOW })
    expect(await counted(counts, 1)).toEqual({ agreed: 1 })
    await database.query("update customers set version_id = 2, updated_at_ns = updated_at_ns - 3600000000000 where id = $1", [made.id])
    expect(await one.queries.read(customer, made.id, ANY)).toMatchObject({ entry: { version: 2 }, source: SHADOW })
    expect(await counted(counts, 2)).toEqual({ agreed: 1, "behind older": 1 })
  })

  test("is nothing where the entry is too old for the token or the max-age: it is replaced, as always", async () => {
    const one = await open(), id = await one.create(), old = (await one.bytes(id))!
    const token = await one.rename(id)
    await one.read(id, { tokens: [token] })
    expect(await counted(one, 1)).toEqual({ agreed: 1 })
    await one.force(id, old)
    expect(await one.read(id, { tokens: [token] })).toMatchObject({ entry: { version: 2 }, source: SHADOW })
    expect(await counted(one, 2)).toEqual({ agreed: 1, passedOver: 1 })
    await eventually(async () => expect(await one.entry(id)).toMatchObject({ version: 2 }), { within: 20_000 })
    // No partition is settled here, so none was lately.
    await one.read(id, { maxAgeSeconds: 60 })
    expect(await counted(one, 3)).toEqual({ agreed: 1, passedOver: 2 })
  })

  test("is not asked with no-cache; the entry is put right afterwards, or made", async () => {
    const one = await open(), id = await one.create(), old = (await one.bytes(id))!
    await one.rename(id)
    for (const prepare of [() => one.force(id, old), () => one.cache.evict(one.key(id))]) {
      await prepare()
      expect(await one.read(id, { noCache: true })).toMatchObject({ entry: { version: 2 }, source: { from: "request", stored: false } })
      await eventually(async () => expect(await one.entry(id)).toMatchObject({ version: 2 }), { within: 20_000 })
    }
    expect(await counted(one, 0)).toEqual({})
  })

  test("is not known while it is away", async () => {
    const redis = await freshRedis(), one = await open({ redis: redis.url, shortestDeadlineMilliseconds: 50 }), id = await one.create()
    await redis.freeze()
    for (let n = 0; n < 3; n++) expect(await one.read(id)).toMatchObject({ entry: { version: 1 }, source: SHADOW })
    expect(await counted(one, 3)).toEqual({ notCompared: 3 })
  })

  test("is waited for by nobody", async () => {
    const one = await open(), id = await one.create(), access = one.services.get(CacheAccess)
    let answers = () => {}
    const late = new Promise<void>((resolve) => { answers = resolve })
    const waiting = Layer.succeed(CacheAccess, { ...access, look: (...asked) => late.then(() => access.look(...asked)) })
    const runtime = ManagedRuntime.make(Queries.layer({ ttlMilliseconds: 60_000, lane: 2, fallback: true }).pipe(
      Layer.provideMerge(ShadowReads.layer(["product"])), Layer.provide(waiting), Layer.provide(Layer.succeedContext(one.services.context))
    ))
    afterwards(() => runtime.dispose())
    const queries = await runtime.runPromise(Queries), shadow = await runtime.runPromise(ShadowReads)
    for (let n = 0; n < 20; n++) expect(await queries.read(product, id, ANY)).toMatchObject({ entry: { version: 1 }, source: SHADOW })
    expect(await run(queries.list(product, { after: null, limit: 10, where: {} }, ANY))).toMatchObject({ entries: [{ version: 1 }] })
    const counts = { counts: () => shadow.report()!.kinds[0]! }
    expect(await counted(counts, 0)).toEqual({})
    answers()
    expect(await counted(counts, 21)).toEqual({ agreed: 21 })
  })
})

describe("one comparison", () => {
  const none: Effect.Effect<never, DatabaseUnavailable> = Effect.fail(new DatabaseUnavailable({ reason: "away" }))
  /** Of an entity at version 2 that was answered as it was at version 1. */
  const overtaken = async (one: Process) => {
    const id = await one.create(), answered = await one.truth(id)
    await one.rename(id)
    return (again: ShadowRead["again"]): ShadowRead => ({ kind: product, id, key: one.key(id), answered, careful: false, serves: () => true, again, fill: () => none })
  }
  const over = (one: Process, mostUnderWay?: number) => {
    const runtime = ManagedRuntime.make(ShadowReads.layer(["product"], mostUnderWay).pipe(Layer.provide(Layer.succeedContext(one.services.context))))
    afterwards(() => runtime.dispose())
    return { runtime, shadow: runtime.runSync(ShadowReads) }
  }
  const countsOf = (shadow: ShadowReads["Service"]) => ({ counts: () => shadow.report()!.kinds[0]! })

  test("finds an entry that is newer by a commit meanwhile in order, and one of which Postgres knows nothing ahead", async () => {
    const one = await open(), of = await overtaken(one), { shadow } = over(one), before = of(none).answered
    shadow.compare(of(Effect.promise(() => one.truth(before.row!.id))))
    expect(await counted(countsOf(shadow), 1)).toEqual({ agreed: 1 })
    shadow.compare(of(Effect.succeed(before)))
    expect(await counted(countsOf(shadow), 2)).toEqual({ agreed: 1, ahead: 1 })
  })

  test("that cannot be made to its end is one that was not made", async () => {
    const one = await open(), of = await overtaken(one), { shadow } = over(one)
    shadow.compare(of(none))
    expect(await counted(countsOf(shadow), 1)).toEqual({ notCompared: 1 })
    // Nor is one that meets a fault of ours left out.
    shadow.compare(of(Effect.die(new Error("a fault"))))
    expect(await counted(countsOf(shadow), 2)).toEqual({ notCompared: 2 })
  })

  test("waits for no other: beyond a bound none is begun", async () => {
    const one = await open(), of = await overtaken(one), { shadow } = over(one, 2), read = of(Effect.promise(() => one.truth(of(none).id)))
    for (let n = 0; n < 5; n++) shadow.compare(read)
    let ran = false
    shadow.afterwards(Effect.sync(() => { ran = true }))
    expect(await counted(countsOf(shadow), 5)).toEqual({ agreed: 2, notCompared: 3 })
    shadow.compare(read)
    expect(await counted(countsOf(shadow), 6)).toEqual({ agreed: 3, notCompared: 3 })
    expect(ran).toBe(false)
  })

  test("ends with the process", async () => {
    const one = await open(), of = await overtaken(one), { runtime, shadow } = over(one)
    let begun = false, interrupted = false
    shadow.compare(of(Effect.onInterrupt(Effect.andThen(Effect.sync(() => { begun = true }), Effect.never), () => Effect.sync(() => { interrupted = true }))))
    await eventually(() => begun)
    await runtime.dispose()
    expect(interrupted).toBe(true)
    expect(await counted(countsOf(shadow), 0)).toEqual({})
  })
})
