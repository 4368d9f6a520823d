import { expect, test } from "vitest"
import { openKeptEntries, ringOf } from "../../test/support/keptEntries.ts"
import { changing, erasing, makingCustomer } from "../../test/support/ledgers.ts"
import { freshDatabase, freshRedis } from "../../test/support/services.ts"
import { customer } from "./kinds/customer.ts"

// The checkpoint, which shows the change, used to vouch for it: what had been erased was read by who had the token of its erasure.
test("an older entry that somebody put back is refused with the token of the change also once that is settled, by a process that has seen nothing", async () => {
  const [database, redis, ring] = [await freshDatabase(), await freshRedis(), ringOf(1, [1])]
  const open = () => openKeptEntries({ database: database.url, redis: redis.url, ring })
  const one = await open()
  await one.settle()
  const { row } = await one.change(makingCustomer()), old = (await one.bytes(customer, row.id))!
  const { token: changed, row: newer } = await one.change(changing(customer, row, { type: "CustomerChanged", data: { marketingConsent: false } }))
  const { token: erased } = await one.change(erasing(newer))
  const { token: later } = await one.change(makingCustomer())
  await one.settle()
  for (const token of [changed, erased]) {
    const fresh = await open()
    await one.force(customer, row.id, old)
    expect(await fresh.read(customer, row.id, { tokens: [token] })).toMatchObject({ entry: { version: 3, what: "deleted" }, source: { from: "stale", stored: true } })
  }
  // That of another entity's change says nothing of this one, and asks for nothing more than what is settled.
  expect(await (await open()).read(customer, row.id, { tokens: [later] })).toMatchObject({ entry: { version: 3 }, source: { from: "hit" } })
})
