import { beforeEach, expect, test } from "vitest"
import { freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { VerificationRuns } from "../../domain/sync/VerificationRuns.ts"
import type { Order } from "../../domain/sync/VerificationRuns.ts"

const ORDER: Order = { work: "verification", kind: "product", sample: 0.25, repair: false, reason: "asked", actor: "key-1" }
const tally = (fine: number) => ({ counts: { fine }, oldestSeconds: {}, first: {} })
const AT = { kind: "product", after: "018f0000-0000-7000-8000-000000000001" }
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

const KINDS = ["product", "order", "customer"]

let runs: VerificationRuns["Service"], query: Awaited<ReturnType<typeof freshDatabase>>["query"]
/** What comes next for a process that knows these kinds. */
const next = async (kinds = KINDS, withCache = true) => (await run(runs.next(kinds, withCache)))?.id ?? null
const newLife = () => query("insert into database_epochs select (jsonb_populate_record(e, jsonb_build_object('epoch', e.epoch + 1))).* from database_epochs e order by e.epoch desc limit 1")
beforeEach(async () => {
  const database = await freshDatabase()
  query = database.query
  runs = (await openServices({ database: database.url })).get(VerificationRuns)
})

test("a run is kept with what was asked for, and waits", async () => {
  const started = await run(runs.start(ORDER))
  expect(started).toEqual({ ...ORDER, id: expect.any(String), moves: 0, place: null, tally: { counts: {}, oldestSeconds: {}, first: {} }, askedAt: time, startedAt: null, finishedAt: null })
  expect(await run(runs.find(started.id))).toEqual(started)
  expect(await run(runs.next(KINDS, true))).toEqual(started)
  expect(await run(runs.last)).toBeNull()
})

test("who asks for what waits already is shown that run, whoever asked for it; any other work, kind, share, repair or life is another run", async () => {
  const { id } = await run(runs.start(ORDER))
  expect(await run(runs.start({ ...ORDER, actor: "key-2" }))).toMatchObject({ id, actor: "key-1" })
  const others: readonly Order[] = [{ ...ORDER, work: "cache" }, { ...ORDER, kind: null }, { ...ORDER, kind: "order" }, { ...ORDER, sample: 0.5 }, { ...ORDER, repair: true }, { ...ORDER, reason: "epoch" }]
  const ids = [id]
  for (const other of others) ids.push((await run(runs.start(other))).id)
  expect(new Set(ids).size).toBe(7)
  for (const [i, other] of others.entries()) expect((await run(runs.start(other))).id).toBe(ids[i + 1])
  await newLife()
  ids.push((await run(runs.start(ORDER))).id)
  expect(new Set(ids).size).toBe(8)
  expect(await query("select count(*)::integer as n from verifications")).toEqual([{ n: 8 }])
})

test("a run that was begun is asked for again by another: what it has seen may have been changed since", async () => {
  const first = await run(runs.start(ORDER))
  await run(runs.begin(first))
  const begun = (await run(runs.find(first.id)))!
  expect(begun).toEqual({ ...first, startedAt: time })
  await run(runs.begin(first))
  expect(await run(runs.find(first.id))).toEqual(begun)
  const second = await run(runs.start(ORDER))
  expect(second.id).not.toBe(first.id)
  expect((await run(runs.start(ORDER))).id).toBe(second.id)
})

test("of many who ask at once each is shown a run of what was asked for", async () => {
  const asked = await Promise.all(Array.from({ length: 8 }, () => run(runs.start(ORDER))))
  for (const each of asked) expect(each).toMatchObject(ORDER)
  // However many they made: who asks after them makes none.
  const [{ n }] = await query("select count(*)::integer as n from verifications") as [{ n: number }]
  expect(asked.map(({ id }) => id)).toContain((await run(runs.start(ORDER))).id)
  expect(await query("select count(*)::integer as n from verifications")).toEqual([{ n }])
})

test("the run of a new life comes before what was asked for earlier", async () => {
  const asked = await run(runs.start(ORDER))
  await run(runs.begin(asked))
  await run(runs.move(asked, AT, tally(500)))
  expect(await next()).toBe(asked.id)
  await newLife()
  await run(runs.startOfEpoch)
  const [{ id }] = await query("select id from verifications where reason = 'epoch'") as [{ id: string }]
  expect(await next()).toBe(id)
  await run(runs.move((await run(runs.find(id)))!, null, tally(1)))
  expect(await next()).toBe(asked.id)
})

test("without a cache only rows are next, however much else was asked for earlier", async () => {
  for (const work of ["verification", "cache"] as const) await run(runs.start({ ...ORDER, work }))
  await newLife()
  await run(runs.startOfEpoch)
  expect(await next(KINDS, false)).toBeNull()
  const rows = await run(runs.start({ ...ORDER, work: "rows" }))
  expect(await next(KINDS, false)).toBe(rows.id)
  expect(await next()).not.toBe(rows.id)
})

test("a run of a kind that a process does not know, or that has come to one, is next for who knows it only", async () => {
  const of = await run(runs.start({ ...ORDER, kind: "planet" })), at = await run(runs.start({ ...ORDER, kind: null }))
  await run(runs.move(at, { kind: "planet", after: AT.after }, tally(500)))
  expect(await next()).toBeNull()
  const known = await run(runs.start(ORDER))
  expect(await next()).toBe(known.id)
  expect(await next([...KINDS, "planet"])).toBe(of.id)
  await run(runs.move(of, null, tally(1)))
  expect(await next([...KINDS, "planet"])).toBe(at.id)
})

test("of two who did the same page one moves the run, and a finished one is moved by nobody", async () => {
  const started = await run(runs.start(ORDER))
  await run(runs.begin(started))
  await run(runs.move(started, AT, tally(500)))
  await run(runs.move(started, { kind: "order", after: null }, tally(900)))
  const moved = (await run(runs.find(started.id)))!
  expect(moved).toMatchObject({ moves: 1, place: AT, tally: tally(500), startedAt: time, finishedAt: null })
  await run(runs.move(moved, null, tally(700)))
  const done = (await run(runs.find(started.id)))!
  expect(done).toMatchObject({ moves: 2, place: null, tally: tally(700), startedAt: moved.startedAt, finishedAt: time })
  await run(runs.move(done, AT, tally(1)))
  expect(await run(runs.find(started.id))).toEqual(done)
})

test("what was asked for first is next; the last is the verification that was finished last, and no rebuild", async () => {
  const [first, second] = [await run(runs.start(ORDER)), await run(runs.start({ ...ORDER, sample: 1 }))]
  const rebuild = await run(runs.start({ ...ORDER, work: "cache" }))
  expect(await next()).toBe(first.id)
  await run(runs.move(second, null, tally(1)))
  expect(await next()).toBe(first.id)
  await run(runs.move(first, null, tally(1)))
  expect(await next()).toBe(rebuild.id)
  await run(runs.move(rebuild, null, tally(1)))
  expect(await next()).toBeNull()
  expect((await run(runs.last))!.id).toBe(first.id)
})

test("of an epoch there is one run, however many ask for it, and of the next epoch another", async () => {
  const of = () => run(runs.start({ ...ORDER, reason: "epoch" }))
  const [one, two] = await Promise.all([of(), of()])
  expect(one!.id).toBe(two!.id)
  await newLife()
  await run(runs.startOfEpoch)
  await run(runs.startOfEpoch)
  const three = await of()
  expect(three.id).not.toBe(one!.id)
  expect(three).toMatchObject({ kind: null, sample: 1, repair: true })
  // Once it was begun, too.
  await run(runs.begin(three))
  expect((await of()).id).toBe(three.id)
  expect(await query("select count(*)::integer as n from verifications")).toEqual([{ n: 2 }])
})
