import { expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { freshDatabase, openJobs, openServices } from "../../test/support/services.ts"
import { layerUpkeep } from "./upkeep.ts"

test("at the start the partitions of the time to come are made", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  const partitions = async () => (await database.query("select inhrelid::regclass::text as name from pg_inherits where inhparent = 'outbox'::regclass order by 1")).map(({ name }) => name)
  const before = await partitions(), [last] = before.slice(-2)
  await database.query(`drop table ${last}`)
  expect(await partitions()).not.toContain(last)
  await openJobs(services, layerUpkeep)
  await eventually(async () => expect(await partitions()).toEqual(before), { within: 10_000 })
})
