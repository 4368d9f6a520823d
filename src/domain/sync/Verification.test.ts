import { randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { cause, creating, deleting, freshDatabase, freshRedis, openServices, renaming, run } from "../../../test/support/services.ts"
import type { ServiceOptions, Services } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { formatCheckpoint } from "../cache/Checkpoint.ts"
import { Entries } from "../cache/Entries.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Transitions } from "../cache/Transitions.ts"
import { Commands } from "../Commands.ts"
import { customer } from "../kinds/customer.ts"
import { kinds } from "../kinds/kinds.ts"
import { product } from "../kinds/product.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { ANY } from "../Freshness.ts"
import { Queries } from "../Queries.ts"
import { RowsCheck } from "./RowsCheck.ts"
import { Verification } from "./Verification.ts"
import type { Order, Run } from "./VerificationRuns.ts"

const registering = () =>
  ({ kind: customer, command: "RegisterCustomer", input: customer.commands["RegisterCustomer"]!.read({ name: "Maria", email: `${randomUUID()}@example.org`, marketingConsent: false }), versions: null, key: null, cause, granted: () => true })

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const using = (services: Services) => {
  const cache = services.get(Cache), entries = services.get(Entries), commands = services.get(Commands)
  const key = (id: string, kind = product) => services.get(Keyspace).keyOf(kind.name, id)
  const force = async (id: string, value: Uint8Array, kind = product) => {
    await cache.evict(key(id, kind))
    await cache.lease([key(id, kind)], "forced")
    expect(await cache.store([{ key: key(id, kind), value, lease: "forced", ttlMilliseconds: 60_000 }])).toEqual(["stored"])
  }
  return {
    services, cache, entries, key, force,
    verification: services.get(Verification),
    create: async () => (await run(commands.create(creating()))).id,
    createMany: async (count: number) => {
      const { results } = await run(commands.createMany({ kind: product, command: "CreateProduct", items: Array.from({ length: count }, () => ({ input: creating().input })), key: null, cause, granted: () => true }))
      return results.map((result) => result.status === 201 ? result.id : "")
    },
    rename: (id: string, name = "Torch") => run(commands.change(renaming(id, name))),
    bytes: async (id: string, kind = product) => Buffer.from((await cache.describe(key(id, kind))).value!),
    entry: async (id: string, kind = product) => {
      const { value } = await cache.describe(key(id, kind))
      return value === null ? null : entries.open(kind, id, value)
    },
    row: async (id: string) => (await run(services.get(Ledger).rows(product, [id]))).rows.get(id)!
  }
}
type Process = ReturnType<typeof using>
const open = async (options: Partial<ServiceOptions> = {}) => using(await openServices({ database: database.url, ...options }))

/** Until there is nothing more to do. */
const work = async (verification: Verification["Service"]) => { while (await run(verification.round)) { /* a page at a time */ } }
const verify = async ({ verification }: Pick<Process, "verification">, order: Partial<Order> = {}): Promise<Run> => {
  const { id } = await run(verification.start(order))
  await work(verification)
  return (await run(verification.find(id)))!
}
/** The same over other parts. */
const over = <I>({ services }: Process, parts: Layer.Layer<I>): Promise<Verification["Service"]> =>
  run(Effect.service(Verification).pipe(Effect.provide(Verification.layer({ kinds, ttlMilliseconds: 60_000 }).pipe(
    Layer.provide(parts), Layer.provide(RowsCheck.layer), Layer.provide(Layer.succeedContext(services.context))
  ))) as Effect.Effect<Verification["Service"]>)

/** Products of which each has something wrong, and one that has nothing. */
const damaged = async (one: Process) => {
  const [fine, absent, behind, ahead, undecodable, different] = [await one.create(), await one.create(), await one.create(), await one.create(), await one.create(), await one.create()]
  await one.cache.evict(one.key(absent))
  const old = await one.bytes(behind)
  await one.rename(behind)
  await one.force(behind, old)
  await one.force(ahead, one.entries.write(product, ahead, { ...(await one.entry(ahead))!, version: 7 }))
  await one.force(undecodable, Buffer.from("nothing that the service has written, though long enough for a header"))
  await one.force(different, one.entries.write(product, different, { ...(await one.entry(different))!, payload: Buffer.from("{}") }))
  return { fine, absent, behind, ahead, undecodable, different }
}
const WRONG = { behind: 1, ahead: 1, undecodable: 1, different: 1 }

test("entries are told apart: fine, absent, behind, ahead, undecodable, different; with names, versions and how old, and nothing of contents", async () => {
  const one = await open(), ids = await damaged(one)
  await database.query("update products set updated_at_ns = updated_at_ns - 3600000000000 where id = $1", [ids.behind])
  const { tally } = await verify(one, { repair: false })
  expect(tally.counts).toEqual({ fine: 1, absent: 1, ...WRONG })
  expect(tally.first).toEqual({
    behind: [{ kind: "product", id: ids.behind, versionId: 2, entryVersionId: 1 }],
    ahead: [{ kind: "product", id: ids.ahead, versionId: 1, entryVersionId: 7 }],
    undecodable: [{ kind: "product", id: ids.undecodable, versionId: 1, entryVersionId: null }],
    different: [{ kind: "product", id: ids.different, versionId: 1, entryVersionId: 1 }]
  })
  expect(tally.oldestSeconds["behind"]).toBeGreaterThan(3_599)
  expect(tally.oldestSeconds["behind"]).toBeLessThan(3_800)
  expect(tally.oldestSeconds["ahead"]).toBeLessThan(200)
  expect(await verify(one, { repair: false })).toMatchObject({ tally: { counts: WRONG } })
})

test("what is behind is replaced; what is ahead, undecodable or different is evicted; then nothing is wrong", async () => {
  const one = await open(), ids = await damaged(one)
  expect((await verify(one)).tally.counts).toEqual({ fine: 1, absent: 1, ...WRONG, repaired: 4 })
  expect(await one.entry(ids.behind)).toMatchObject({ version: 2 })
  for (const id of [ids.ahead, ids.undecodable, ids.different]) expect(await one.entry(id)).toBeNull()
  expect((await verify(one)).tally.counts).toEqual({ fine: 2, absent: 4 })
  const transitions = one.services.get(Transitions)
  expect(transitions.of(one.key(ids.behind)).at(-1)).toMatchObject({ by: "verify", versionId: 2, outcome: "stored" })
  expect(transitions.of(one.key(ids.ahead)).at(-1)).toMatchObject({ by: "verify", versionId: 7, outcome: "ahead: evicted" })
  expect(transitions.of(one.key(ids.undecodable)).at(-1)).toMatchObject({ by: "verify", versionId: null, outcome: "undecodable: evicted" })
})

test("the same in Redis", async () => {
  const redis = await freshRedis(), one = await open({ redis: redis.url })
  await eventually(() => one.cache.ping())
  const ids = await damaged(one)
  expect((await verify(one)).tally.counts).toEqual({ fine: 1, absent: 1, ...WRONG, repaired: 4 })
  expect(await one.entry(ids.behind)).toMatchObject({ version: 2 })
  expect((await verify(one)).tally.counts).toEqual({ fine: 2, absent: 4 })
})

test("what is sealed is opened: an older entry put back is behind, although this process refuses it, and one that was altered undecodable", async () => {
  const one = await open(), commands = one.services.get(Commands)
  const [behind, altered, fine] = [(await run(commands.create(registering()))).id, (await run(commands.create(registering()))).id, (await run(commands.create(registering()))).id]
  const old = await one.bytes(behind, customer)
  await run(commands.change({ kind: customer, command: "ChangeCustomer", input: { marketingConsent: true }, versions: null, key: null, cause, granted: () => true, id: behind }))
  await one.force(behind, old, customer)
  const bytes = await one.bytes(altered, customer)
  bytes[bytes.length - 1]! ^= 1
  await one.force(altered, bytes, customer)
  const { tally } = await verify(one, { kind: "customer" })
  expect(tally.counts).toEqual({ fine: 1, behind: 1, undecodable: 1, repaired: 2 })
  expect(JSON.stringify(tally)).not.toContain("example.org")
  expect(await one.entry(behind, customer)).toMatchObject({ version: 2 })
  expect(await one.entry(fine, customer)).toMatchObject({ version: 1 })
})

test("deleted entities have tombstones, and an id without a row has an absence: anything else there is wrong", async () => {
  const one = await open(), [deleted, gone, known] = [await one.create(), await one.create(), await one.create()]
  const living = await one.bytes(deleted)
  await run(one.services.get(Commands).change(deleting(deleted)))
  // Rows that somebody took out behind the service's back.
  await database.query("delete from products where id = any($1)", [[gone, known]])
  await one.cache.evict(one.key(known))
  await one.services.get(Queries).read(product, known, ANY)
  expect(await one.entry(known)).toMatchObject({ what: "unknown" })
  expect((await verify(one)).tally).toMatchObject({ counts: { fine: 2, ahead: 1, repaired: 1 }, first: { ahead: [{ id: gone, versionId: null, entryVersionId: 1 }] }, oldestSeconds: {} })
  await one.force(deleted, living)
  expect((await verify(one)).tally.counts).toEqual({ fine: 1, absent: 1, behind: 1, repaired: 1 })
  expect(await one.entry(deleted)).toMatchObject({ what: "deleted", version: 2 })
})

test("a store that is on its way counts as nothing wrong, and what was evicted meanwhile as absent", async () => {
  const one = await open(), [late, left] = [await one.create(), await one.create()]
  const fresh = new Map<string, Buffer>()
  for (const id of [late, left]) {
    const old = await one.bytes(id)
    await one.rename(id)
    fresh.set(id, await one.bytes(id))
    await one.force(id, old)
  }
  // Both timers are of this process, so the store arrives before the second look, however slow the machine is.
  const access = one.services.get(CacheAccess)
  let looks = 0
  const between = CacheAccess.of({
    ...access,
    work: (operation) => Effect.tap(access.work(operation), () => Effect.promise(async () => {
      if (++looks !== 1) return
      setTimeout(() => void one.force(late, fresh.get(late)!), 200)
      await one.cache.evict(one.key(left))
    }))
  })
  const verification = await over(one, Layer.succeed(CacheAccess, between))
  expect((await verify({ verification })).tally.counts).toEqual({ fine: 1, absent: 1 })
})

test("while everything is being written to, nothing is found wrong", async () => {
  const one = await open(), ids = [await one.create(), await one.create(), await one.create(), await one.create()]
  let over = false, changes = 0
  const writers = ids.map(async (id) => {
    for (let i = 0; !over; i++) {
      await one.rename(id, `Lamp ${i}`)
      changes++
    }
  })
  for (let i = 0; i < 5; i++) {
    const before = changes
    expect(Object.keys((await verify(one)).tally.counts).filter((name) => name in WRONG || name === "repaired")).toEqual([])
    await eventually(() => changes > before + 4)
  }
  over = true
  await Promise.all(writers)
})

test("entries of an older life of the database are behind, absences too, and are replaced; those of a newer one are ahead and left alone", async () => {
  const one = await open(), [living, unknown, newer] = [await one.create(), await one.create(), await one.create()]
  await database.query("delete from products where id = $1", [unknown])
  await one.cache.evict(one.key(unknown))
  await one.services.get(Queries).read(product, unknown, ANY)
  const { epoch, ...entry } = (await one.entry(newer))!
  await one.force(newer, one.entries.write(product, newer, { ...entry, epoch: epoch + 10 }))
  await database.query("insert into database_epochs select (jsonb_populate_record(e, jsonb_build_object('epoch', e.epoch + 1))).* from database_epochs e order by epoch desc limit 1")
  await work(one.verification)
  // That of the new life: nobody had to ask for it.
  const last = await run(one.verification.last)
  expect(last).toMatchObject({ reason: "epoch", tally: { counts: { behind: 2, ahead: 1, repaired: 2 }, first: { ahead: [{ id: newer }] } } })
  expect(await Promise.all([living, unknown, newer].map((id) => one.entry(id)))).toMatchObject([{ epoch: epoch + 1 }, { epoch: epoch + 1, what: "unknown" }, { epoch: epoch + 10 }])
})

test("what a cache of a newer epoch refuses is not counted as repaired", async () => {
  const one = await open(), id = await one.create(), old = await one.bytes(id)
  await one.rename(id)
  await one.force(id, old)
  const { epoch } = await one.row(id), { partition } = one.key(id)
  const [standing] = await one.cache.checkpoints([partition])
  expect(await one.cache.mark(partition, standing!, formatCheckpoint({ is: "purge", epoch: epoch + 1, mark: "0".repeat(16), pieces: 0 }))).toBe(true)
  expect((await verify(one)).tally.counts).toEqual({ behind: 1 })
})

test("a run goes on where another process was, and its pages are counted once", async () => {
  const redis = await freshRedis(), [first, second] = [await open({ redis: redis.url }), await open({ redis: redis.url })]
  for (const { cache } of [first, second]) await eventually(() => cache.ping())
  await first.createMany(700)
  const { id, ...asked } = await run(first.verification.start({ actor: "somebody" }))
  expect(asked).toMatchObject({ work: "verification", kind: null, sample: 1, repair: true, reason: "asked", actor: "somebody", place: null, startedAt: null, finishedAt: null, tally: { counts: {} } })
  expect(await run(first.verification.round)).toBe(true)
  const under = (await run(second.verification.find(id)))!
  expect(under).toMatchObject({ place: { kind: "product", after: expect.any(String) }, startedAt: expect.any(String), finishedAt: null })
  expect(Object.values(under.tally.counts).reduce((a, b) => a + b)).toBe(500)
  await work(second.verification)
  const done = (await run(first.verification.find(id)))!
  expect(done).toMatchObject({ place: null, finishedAt: expect.any(String) })
  expect(Object.values(done.tally.counts).reduce((a, b) => a + b)).toBe(700)
  expect(await run(first.verification.last)).toEqual(done)
})

test("a sample looks at about so many of them", async () => {
  const one = await open()
  await one.createMany(1_000)
  const { counts } = (await verify(one, { sample: 0.1 })).tally
  expect(Object.keys(counts)).toEqual(["fine"])
  expect(counts["fine"]).toBeGreaterThan(40)
  expect(counts["fine"]).toBeLessThan(180)
})

test("while the breaker is open a run waits, and goes on when the cache is back; one that takes no cache does not wait", async () => {
  const redis = await freshRedis(), one = await open({ redis: redis.url })
  await eventually(() => one.cache.ping())
  await one.create()
  await redis.kill()
  await eventually(() => one.services.get(CacheAccess).state() === "open", { within: 20_000 })
  const waiting = await verify(one)
  expect(waiting).toMatchObject({ startedAt: null, finishedAt: null })
  // However much was asked for before it.
  const rows = await verify(one, { work: "rows" })
  expect(rows).toMatchObject({ finishedAt: expect.any(String), tally: { counts: { fine: 1 } } })
  expect(await run(one.verification.find(waiting.id))).toEqual(waiting)
  await redis.start()
  await eventually(() => one.services.get(CacheAccess).state() !== "open", { within: 20_000 })
  await eventually(() => work(one.verification), { within: 20_000 })
  expect((await run(one.verification.find(waiting.id)))!.finishedAt).not.toBeNull()
})

test("the cache is rebuilt from rows where it has nothing, a page at a time; what stands there is left", async () => {
  const one = await open(), ids = await one.createMany(3), leased = ids[0]!, gone = await one.create()
  await run(one.services.get(Commands).change(deleting(ids[1]!)))
  await database.query("delete from products where id = $1", [gone])
  for (const id of [...ids, gone]) await one.cache.evict(one.key(id))
  // A lease that does not end before the rebuild comes, however slow the machine is.
  await one.force(leased, Buffer.from("La reader's"))
  expect((await verify(one, { work: "cache" })).tally).toMatchObject({ counts: { stood: 1, filled: 3 }, first: {} })
  expect(await Promise.all([...ids, gone].map((id) => one.entry(id)))).toMatchObject([null, { what: "deleted", version: 2 }, { what: "entity", version: 1 }, { what: "unknown" }])
  expect((await verify(one, { work: "cache", kind: "product" })).tally.counts).toEqual({ stood: 4 })
  expect(one.services.get(Transitions).of(one.key(ids[2]!)).at(-1)).toMatchObject({ by: "rebuild", versionId: 1, outcome: "stored" })
})

test("a rebuild leaves what a change took from it", async () => {
  const one = await open(), id = await one.create(), ledger = one.services.get(Ledger)
  await one.cache.evict(one.key(id))
  // Between the rebuild's look at the row and its fill.
  const slow = Ledger.of({ ...ledger, rows: (kind, of) => Effect.tap(ledger.rows(kind, of), () => Effect.promise(async () => { if (of.includes(id)) await one.rename(id) })) })
  const verification = await over(one, Layer.succeed(Ledger, slow))
  expect((await verify({ verification }, { work: "cache", kind: "product" })).tally.counts).toEqual({ stood: 0, left: 1 })
  expect(await one.entry(id)).toBeNull()
})

test("rows that are not what their events make are named with the fields that differ; nothing is written", async () => {
  const one = await open(), [fine, wrong] = [await one.create(), await one.create()]
  await database.query("update products set stock = 99 where id = $1", [wrong])
  expect((await verify(one, { work: "rows" })).tally).toEqual({ counts: { fine: 1, different: 1 }, oldestSeconds: {}, first: { different: [{ kind: "product", id: wrong, fields: ["stock"] }] } })
  expect((await one.row(wrong)).state).toMatchObject({ stock: 99 })
  expect((await one.row(fine)).version).toBe(1)
})

test("a run of a kind that this version does not know is left to a process that knows it, and stops nobody", async () => {
  const one = await open()
  await one.create()
  const { id } = await run(one.verification.start({ kind: "planet" }))
  expect((await verify(one)).tally.counts).toEqual({ fine: 1 })
  expect(await run(one.verification.find(id))).toMatchObject({ moves: 0, startedAt: null, finishedAt: null })
})

test("a run that has come to a kind that this version does not know stays there until a process that knows it goes on, and stops nobody", async () => {
  const one = await open()
  await one.create()
  const { id } = await run(one.verification.start({ repair: false }))
  await run(one.verification.round)
  await database.query("update verifications set at_kind = 'planet', at_id = gen_random_uuid() where id = $1", [id])
  const left = (await run(one.verification.find(id)))!
  expect((await verify(one)).tally.counts).toEqual({ fine: 1 })
  expect(await run(one.verification.find(id))).toEqual(left)
})

test("the run of a new life goes before what was asked for, and before what is under way", async () => {
  const one = await open()
  await one.createMany(501)
  const under = await run(one.verification.start({ work: "rows" })), waiting = await run(one.verification.start({}))
  await run(one.verification.round)
  await database.query("insert into database_epochs select (jsonb_populate_record(e, jsonb_build_object('epoch', e.epoch + 1))).* from database_epochs e")
  const moved = (await run(one.verification.find(under.id)))!
  do await run(one.verification.round)
  while (await run(one.verification.last) === null)
  expect(await run(one.verification.last)).toMatchObject({ reason: "epoch" })
  expect(await run(one.verification.find(under.id))).toEqual(moved)
  expect(await run(one.verification.find(waiting.id))).toEqual(waiting)
  await work(one.verification)
  for (const { id } of [under, waiting]) expect((await run(one.verification.find(id)))!.finishedAt).not.toBeNull()
})

test("who asks for what is looked at already is given another run, and who asks for what waits is given that", async () => {
  const one = await open(), id = await one.create(), old = await one.bytes(id)
  await one.rename(id)
  const asked: Run[] = [], access = one.services.get(CacheAccess)
  // Behind the back of the first run, which has seen this entry as it should be.
  const slow = CacheAccess.of({
    ...access,
    work: (operation) => Effect.tap(access.work(operation), () => Effect.promise(async () => {
      if (asked.length > 0) return
      await one.force(id, old)
      for (let i = 0; i < 2; i++) asked.push(await run(one.verification.start({ kind: "product" })))
    }))
  })
  const verification = await over(one, Layer.succeed(CacheAccess, slow)), first = await verify({ verification }, { kind: "product" })
  expect(first.tally.counts).toEqual({ fine: 1 })
  expect(asked.map(({ id }) => id === first.id)).toEqual([false, false])
  expect(asked[1]).toEqual(asked[0])
  expect((await run(one.verification.find(asked[0]!.id)))!.tally.counts).toEqual({ behind: 1, repaired: 1 })
})

test("a new life of the database starts one full verification, whoever sees it; its first one none", async () => {
  const one = await open(), two = await open()
  await one.create()
  expect(await run(one.verification.round)).toBe(false)
  await database.query("insert into database_epochs select (jsonb_populate_record(e, jsonb_build_object('epoch', e.epoch + 1))).* from database_epochs e")
  await Promise.all([work(one.verification), work(two.verification)])
  expect(await database.query("select work, kind, sample, repair, reason, actor from verifications")).toEqual([{ work: "verification", kind: null, sample: 1, repair: true, reason: "epoch", actor: "holdfast" }])
  const last = (await run(one.verification.last))!
  expect(last.finishedAt).not.toBeNull()
  // Whoever asks for it once more is shown that one.
  expect((await run(one.verification.start({ reason: "epoch" }))).id).toBe(last.id)
  expect(await run(one.verification.find(randomUUID()))).toBeNull()
})
