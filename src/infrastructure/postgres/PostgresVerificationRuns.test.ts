import { beforeEach, expect, test } from "vitest"
import { freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { VerificationRuns } from "../../domain/sync/VerificationRuns.ts"
import type { Order } from "../../domain/sync/VerificationRuns.ts"

const ORDER: Order = { work: "verification", kind: "product", sample: 0.25, repair: false, reason: "asked", actor: "key-1" }
const tally = (fine: number) => ({ counts: { fine }, oldestSeconds: {}, first: {} })
const AT = { kind: "product", after: "018f0000-0000-7000-8000-000000000001" }
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

let runs: VerificationRuns["Service"], query: Awaited<ReturnType<typeof freshDatabase>>["query"]
beforeEach(async () => {
  const database = await freshDatabase()
  query = database.query
  runs = (await openServices({ database: database.url })).get(VerificationRuns)
})

test("a run is kept with what was asked for, and waits", async () => {
  const started = await run(runs.start(ORDER))
  expect(started).toEqual({ ...ORDER, id: expect.any(String), moves: 0, place: null, tally: { counts: {}, oldestSeconds: {}, first: {} }, askedAt: time, startedAt: null, finishedAt: null })
  expect(await run(runs.find(started.id))).toEqual(started)
  expect(await run(runs.next)).toEqual(started)
  expect(await run(runs.last)).toBeNull()
})

test("of two who did the same page one moves the run, and a finished one is moved by nobody", async () => {
  const started = await run(runs.start(ORDER))
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
  expect((await run(runs.next))!.id).toBe(first.id)
  await run(runs.move(second, null, tally(1)))
  expect((await run(runs.next))!.id).toBe(first.id)
  await run(runs.move(first, null, tally(1)))
  expect((await run(runs.next))!.id).toBe(rebuild.id)
  await run(runs.move(rebuild, null, tally(1)))
  expect(await run(runs.next)).toBeNull()
  expect((await run(runs.last))!.id).toBe(first.id)
})

test("of an epoch there is one run, however many ask for it, and of the next epoch another", async () => {
  const of = () => run(runs.start({ ...ORDER, reason: "epoch" }))
  const [one, two] = await Promise.all([of(), of()])
  expect(one!.id).toBe(two!.id)
  await query("insert into database_epochs select (jsonb_populate_record(e, jsonb_build_object('epoch', e.epoch + 1))).* from database_epochs e")
  await run(runs.startOfEpoch)
  await run(runs.startOfEpoch)
  const three = await of()
  expect(three.id).not.toBe(one!.id)
  expect(three).toMatchObject({ kind: null, sample: 1, repair: true })
  expect(await query("select count(*)::integer as n from verifications")).toEqual([{ n: 2 }])
})
