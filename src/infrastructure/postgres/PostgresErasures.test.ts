import { randomUUID } from "node:crypto"
import { beforeEach, expect, test } from "vitest"
import { registering, tombstoning } from "../../../test/support/requests.ts"
import { failing, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Commands } from "../../domain/Commands.ts"
import { ErasureRecords } from "../../domain/erasure/ErasureRecords.ts"
import { customer } from "../../domain/kinds/customer.ts"
import { Epochs } from "../../domain/ledger/Epochs.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>, services: Services, records: ErasureRecords["Service"]
beforeEach(async () => {
  database = await freshDatabase()
  services = await openServices({ database: database.url })
  records = services.get(ErasureRecords)
})

const now = () => services.get(Epochs).newest()
const register = async () => (await run(services.get(Commands).create(registering()))).id
/** With a tombstone, and no certificate. */
const erased = async () => {
  const id = await register()
  await run(services.get(Commands).change(tombstoning(id)))
  return id
}
const unfinished = async () => (await database.query("select entity_id from unfinished_erasures")).map(({ entity_id }) => entity_id)

test("the first certificate is the one that is kept, as the text that it was, and what is still to be done goes when it is done", async () => {
  const id = await erased()
  expect(await run(records.find(customer, id))).toBeNull()
  for (const text of ['{ "n": 1 }', '{"n":2}']) expect(await run(records.keep(customer, id, text, false, now()))).toBe('{ "n": 1 }')
  expect(await unfinished()).toEqual([id])
  expect(await run(records.pending(customer, 0, 10))).toEqual([id])
  expect(await run(records.keep(customer, id, "{}", true, now()))).toBe('{ "n": 1 }')
  expect(await unfinished()).toEqual([])
  expect(await run(records.find(customer, id))).toBe('{ "n": 1 }')
})

test.each([true, false])("whom the database does not know as erased has no certificate, and nothing to be done: their tombstone was lost; finished %s", async (finished) => {
  const living = await register(), nobody = randomUUID()
  for (const id of [living, nobody]) {
    expect(await failing(records.keep(customer, id, "{}", finished, now()))).toMatchObject({ _tag: "UnknownOutcome" })
    expect(await run(records.find(customer, id))).toBeNull()
  }
  expect(await unfinished()).toEqual([])
})

test.each([true, false])("nor has somebody whose erasure was begun in a life that is over, until it is done again in the new one; finished %s", async (finished) => {
  const id = await erased()
  expect(await failing(records.keep(customer, id, "{}", finished, now() - 1))).toMatchObject({ _tag: "UnknownOutcome" })
  expect(await unfinished()).toEqual([])
  expect(await run(records.pending(customer, 0, 10))).toEqual([id])
  expect(await run(records.keep(customer, id, "{}", finished, now()))).toBe("{}")
  expect(await unfinished()).toEqual(finished ? [] : [id])
})

test("where others hold the person's row for too long it is kept later", async () => {
  const id = await erased(), other = await database.connect()
  await other.query("begin")
  await other.query("select from customers where id = $1 for update", [id])
  expect(await failing(records.keep(customer, id, "{}", true, now()))).toMatchObject({ _tag: "DatabaseUnavailable", reason: "others hold the row" })
  await other.query("rollback")
  expect(await run(records.keep(customer, id, "{}", true, now()))).toBe("{}")
})
