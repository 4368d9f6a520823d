import { randomUUID } from "node:crypto"
import { expect, inject, onTestFinished, test } from "vitest"
import { createDatabase, dropDatabase } from "../../test/support/database.ts"
import { cause, creating, freshDatabase, openServices, run } from "../../test/support/services.ts"
import { Commands } from "../domain/Commands.ts"
import { product } from "../domain/kinds/product.ts"
import { holdfast } from "./holdfast.ts"

const rows = async (database: string, ...args: readonly string[]) => {
  let out = "", err = ""
  // It wants no cache.
  const environment = { DATABASE_URL: database, REDIS_URL: "redis://127.0.0.1:1", KEYRING_FILE: inject("keyringFile") }
  const code = await holdfast(["rows", ...args], environment, { out: (text) => { out += text }, err: (text) => { err += text } })
  return { code, out, err }
}

const stocked = async (count: number) => {
  const database = await freshDatabase()
  const commands = (await openServices({ database: database.url })).get(Commands)
  const items = Array.from({ length: count }, () => ({ input: creating({ sku: randomUUID(), description: "of secret making" }).input }))
  const { results } = await run(commands.createMany({ kind: product, command: "CreateProduct", items, key: null, cause, granted: () => true }))
  return { ...database, ids: results.map((result) => result.status === 201 ? result.id : "") }
}

test("rows that are what their events make are counted, by kind, and the command succeeds", async () => {
  const { url } = await stocked(3)
  expect(await rows(url, "check")).toEqual({
    code: 0,
    out: "3 products compared with their events: 0 differ\n0 orders compared with their events: 0 differ\n0 customers compared with their events: 0 differ\n",
    err: ""
  })
  expect(await rows(url, "check", "--kind", "order")).toEqual({ code: 0, out: "0 orders compared with their events: 0 differ\n", err: "" })
})

test("what differs is printed with kind, id and names of fields, never a value, progress goes to the errors, and the exit code is 1", async () => {
  const { url, ids, query } = await stocked(1_000)
  await query("update products set stock = stock + 1, description = 'of other making' where id = $1", [ids[3]])
  await query("delete from outbox where entity_id = $1", [ids[500]])
  expect(await rows(url, "check")).toEqual({
    code: 1,
    out: `product   ${ids[3]}  description, stock\nproduct   ${ids[500]}  events\n1000 products compared with their events: 2 differ\n` +
      "0 orders compared with their events: 0 differ\n0 customers compared with their events: 0 differ\n",
    err: "1000 products compared\n"
  })
})

test("a database that was not migrated is refused before anything is read, with what to run", async () => {
  const fresh = await createDatabase()
  onTestFinished(() => dropDatabase(fresh))
  expect(await rows(fresh, "check")).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Run `npm run migrate`") })
})

test("an unknown kind is refused", async () => {
  expect(await rows("postgres://127.0.0.1:1/x", "check", "--kind", "planet")).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Allowed choices are product, order, customer") })
})

test("entities whose events were pruned are counted apart, and are no difference", async () => {
  const { url, ids, query } = await stocked(3)
  await query("delete from outbox where entity_id = $1", [ids[0]])
  await query("insert into pruned_events (partition, epoch, xid, seq) select 'outbox_202001', epoch, xid, seq from outbox order by xid limit 1")
  expect(await rows(url, "check", "--kind", "product")).toEqual({
    code: 0, out: "2 products compared with their events: 0 differ; 1 were not, since events of theirs were pruned\n", err: ""
  })
})
