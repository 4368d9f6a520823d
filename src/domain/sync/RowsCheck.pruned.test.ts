import { beforeEach, expect, test } from "vitest"
import { prune, putBack, RETENTION } from "../../../test/support/retention.ts"
import { adjusting, creating, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Effect, Layer } from "effect"
import { Commands } from "../Commands.ts"
import { product } from "../kinds/product.ts"
import { RowsCheck } from "./RowsCheck.ts"
import { Verification } from "./Verification.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
let services: Services
beforeEach(async () => {
  database = await freshDatabase()
  services = await openServices({ database: database.url, environment: RETENTION })
})

const lamp = async () => {
  const { id } = await run(services.get(Commands).create(creating()))
  for (let i = 0; i < 3; i++) await run(services.get(Commands).change(adjusting(id, 1)))
  return id
}
const checked = () => run(Effect.flatMap(RowsCheck, ({ page }) => page(product, null)).pipe(Effect.provide(Layer.provide(RowsCheck.layer, Layer.succeedContext(services.context)))))

test("entities of which events were pruned are counted apart, and those of which none was are compared", async () => {
  const [some, every, whole, altered] = [await lamp(), await lamp(), await lamp(), await lamp()]
  await prune(services, await putBack(database, 4, "entity_id = $1 or (entity_id = $2 and version_id < 3)", [every, some]))
  await database.query("update products set stock = stock + 1 where id = any($1)", [[some, every, altered]])
  expect(await checked()).toMatchObject({ compared: 2, pruned: 2, differences: [{ id: altered, fields: ["stock"] }] })
  expect(whole).not.toBe(altered)
  const verification = services.get(Verification), { id } = await run(verification.start({ work: "rows", kind: "product" }))
  while (await run(verification.round)) { /* a page at a time */ }
  expect((await run(verification.find(id)))!.tally.counts).toEqual({ fine: 1, different: 1, pruned: 2 })
})

test("events that are missing above what was pruned are a difference, and so is a row that is gone", async () => {
  const [between, last, gone, old] = [await lamp(), await lamp(), await lamp(), await lamp()]
  await prune(services, await putBack(database, 4, "entity_id = $1", [old]))
  // What was pruned is older than all that these have.
  await database.query("update pruned_events set xid = '3'")
  await database.query("delete from outbox where (entity_id = $1 and version_id = 2) or (entity_id = $2 and version_id = 4)", [between, last])
  await database.query("delete from products where id = $1", [gone])
  await database.query("delete from outbox where entity_id = $1 and version_id = 3", [gone])
  const { differences } = await checked()
  expect(differences.map(({ id, fields }) => [id, fields])).toEqual([[between, ["events"]], [last, ["events"]], [gone, ["row"]]])
})
