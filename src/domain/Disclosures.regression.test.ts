import { beforeEach, expect, test } from "vitest"
import { registering, tombstoning } from "../../test/support/requests.ts"
import { cause, failing, freshDatabase, openServices, run } from "../../test/support/services.ts"
import { Commands } from "./Commands.ts"
import { Disclosures } from "./Disclosures.ts"
import { customer } from "./kinds/customer.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

// As long as the key was still there: until the erasure was finished by the job, or its keys' database was back.
test("a version of a person whose erasure is committed is not disclosed, though nothing more of it was done", async () => {
  const services = await openServices({ database: database.url }), commands = services.get(Commands), { full } = services.get(Disclosures)
  const { id } = await run(commands.create(registering()))
  const version1 = { kind: customer, id, version: 1, tokens: [], cause }
  expect(await run(full(version1))).toMatchObject({ version: 1 })
  await run(commands.change(tombstoning(id)))
  expect(await failing(full(version1))).toMatchObject({ _tag: "Deleted" })
  expect(await database.query("select action from audit_log")).toHaveLength(1)
})
