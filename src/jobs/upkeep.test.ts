import { expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { monthAgo, RETENTION } from "../../test/support/retention.ts"
import { freshDatabase, openJobs, openServices } from "../../test/support/services.ts"
import { layerUpkeep } from "./upkeep.ts"

test("at the start the partitions of the time to come are made", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  const partitions = async () => (await database.query("select inhrelid::regclass::text as name from pg_inherits where inhparent = 'outbox'::regclass order by 1")).map(({ name }) => name)
  const before = await partitions(), [last] = before.slice(-2)
  await database.query(`drop table ${last}`)
  expect(await partitions()).not.toContain(last)
  await openJobs(services, layerUpkeep)
  // One more where a month has ended since the database was made.
  await eventually(async () => expect(await partitions()).toEqual(expect.arrayContaining(before)), { within: 30_000 })
})

test("at the start what is older than the retention is dropped, and said; what somebody holds is said too", { timeout: 120_000 }, async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url, environment: RETENTION })
  const { name } = await monthAgo(database, 5), reader = await database.connect()
  await reader.query("begin")
  await reader.query("select count(*) from outbox")
  const stop = await openJobs(services, layerUpkeep)
  const said = (text: string, since = 0) => services.lines.slice(since).some(({ message, fields }) => message.startsWith(text) && fields["partition"] === name)
  await eventually(() => said("A partition could not be dropped"), { within: 30_000 })
  expect(said("A partition was dropped")).toBe(false)
  await stop()
  await reader.query("commit")
  // Whoever looks at the log for longer than a moment, the database's own upkeep too, is waited for by another round, and that is another start.
  await eventually(async () => {
    const since = services.lines.length, end = await openJobs(services, layerUpkeep)
    await eventually(() => said("A partition ", since), { within: 40_000 })
    await end()
    expect(said("A partition was dropped")).toBe(true)
  }, { within: 40_000 })
})
