import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { patient } from "../../../test/support/patient.ts"
import { monthAgo, prune, putBack, RETENTION } from "../../../test/support/retention.ts"
import { creating, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { Commands } from "../../domain/Commands.ts"
import { Upkeep } from "../../domain/jobs/Upkeep.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const open = async (environment: Readonly<Record<string, string>> = RETENTION, url = database.url) => {
  const services = await openServices({ database: url, environment })
  return { services, drop: () => run(services.get(Upkeep).dropPartitions), create: async () => (await run(services.get(Commands).create(creating()))).id }
}
const partitionsOf = async (parent: string): Promise<string[]> =>
  (await database.query("select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass order by 1", [parent])).map(({ name }) => name)
const pruned = () => database.query("select partition, epoch, xid, seq from pruned_events order by partition")

test("a month is dropped when all of it is older than the retention, oldest first, and what its last event was is kept", async () => {
  const { services, drop, create } = await open()
  const [old, older, young] = [await create(), await create(), await create()]
  const month = await putBack(database, 3, "entity_id = $1", [old]), before = await putBack(database, 5, "entity_id = $1", [older])
  const kept = [await putBack(database, 2, "entity_id = $1", [young]), (await monthAgo(database, 1)).name]
  const last = await database.query("select tableoid::regclass::text as partition, epoch, xid, seq from outbox where entity_id = any($1) order by recorded_at limit 2", [[old, older]])
  const standing = await partitionsOf("outbox")
  await prune(services, month)
  expect(await partitionsOf("outbox")).toEqual(standing.filter((name) => name !== month && name !== before))
  expect(await partitionsOf("outbox")).toEqual(expect.arrayContaining([...kept, "outbox_default"]))
  expect((await database.query("select entity_id from outbox")).map(({ entity_id }) => entity_id)).toEqual([young])
  expect(await pruned()).toEqual(last)
  expect(await drop()).toEqual([])
})

test("without a retention every event stays; keys of days that nobody looks at go all the same", async () => {
  const { drop, create } = await open({})
  await create()
  const month = await putBack(database, 30)
  const [{ old, kept }] = await database.query("select ((now() at time zone 'utc')::date - 3)::text as old, ((now() at time zone 'utc')::date - 2)::text as kept")
  const nameOf = (day: string) => `command_keys_${day.replaceAll("-", "")}`
  // One of them may be there: of what was yesterday when the migration ran that this database was cloned from.
  for (const day of [old, kept]) await database.query(`create table if not exists ${nameOf(day)} partition of command_keys for values from ('${day}') to ('${day}'::date + 1)`)
  const standing = await partitionsOf("command_keys")
  expect(standing).toContain(nameOf(kept))
  expect(await drop()).toEqual([{ partition: nameOf(old), dropped: true }])
  expect(await partitionsOf("command_keys")).toEqual(standing.filter((name) => name !== nameOf(old)))
  expect(await partitionsOf("outbox")).toContain(month)
})

test("what stands in the default partition stays there, however old it is", async () => {
  const { drop, create } = await open()
  await create()
  await database.query("update outbox set recorded_at = now() - interval '3 years'")
  expect(await drop()).toEqual([])
  expect(await database.query("select tableoid::regclass::text as partition from outbox")).toEqual([{ partition: "outbox_default" }])
})

test("a month in which nothing was written is dropped, and nothing is said to be pruned", async () => {
  const { services } = await open(), { name } = await monthAgo(database, 7)
  await prune(services, name)
  expect(await pruned()).toEqual([])
})

test("a reader who holds the log keeps its partitions for this round, and nobody else waits behind", async () => {
  const { services, drop, create } = await open(RETENTION, patient(database.url)), reader = await database.connect()
  await create()
  const month = await putBack(database, 6)
  await reader.query("begin")
  await reader.query("select count(*) from outbox")
  const began = performance.now(), dropping = drop()
  const writing = Promise.all(Array.from({ length: 5 }, create))
  expect(await dropping).toEqual([{ partition: month, dropped: false }])
  await writing
  // A round has a patience of its own, of a tenth of a second.
  expect(performance.now() - began).toBeLessThan(10_000)
  expect([await partitionsOf("outbox"), await pruned()]).toEqual([expect.arrayContaining([month]), []])
  await reader.query("commit")
  await prune(services, month)
})

test("an event that is above the fence is not dropped: a transaction is open that was when it was written", async () => {
  const { services, drop, create } = await open(), holder = await database.connect()
  await holder.query("begin")
  await holder.query("select pg_current_xact_id()")
  await create()
  const month = await putBack(database, 6)
  expect(await drop()).toEqual([{ partition: month, dropped: false }])
  await holder.query("rollback")
  await prune(services, month)
})

test("two rounds at once drop each partition once", async () => {
  const { drop } = await open(), names = [(await monthAgo(database, 8)).name, (await monthAgo(database, 9)).name]
  const rounds: { partition: string; dropped: boolean }[] = []
  await eventually(async () => {
    rounds.push(...(await Promise.all([drop(), drop(), drop()])).flat())
    expect(await partitionsOf("outbox")).not.toEqual(expect.arrayContaining([expect.stringMatching(new RegExp(names.join("|")))]))
  }, { within: 20_000 })
  expect(rounds.filter(({ dropped }) => dropped).map(({ partition }) => partition).sort()).toEqual(names.sort())
})
