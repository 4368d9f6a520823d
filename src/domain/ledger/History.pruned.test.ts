import { randomUUID } from "node:crypto"
import { beforeEach, expect, test } from "vitest"
import { keyOf } from "../../../test/support/requests.ts"
import { prune, putBack, RETENTION } from "../../../test/support/retention.ts"
import { adjusting, creating, deleting, failing, freshDatabase, openServices, renaming, run } from "../../../test/support/services.ts"
import type { Services } from "../../../test/support/services.ts"
import { Commands } from "../Commands.ts"
import { product } from "../kinds/product.ts"
import { pastOf } from "./History.ts"
import { Ledger } from "./Ledger.ts"
import { Outbox } from "./Outbox.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
let services: Services, commands: Commands["Service"]
beforeEach(async () => {
  database = await freshDatabase()
  services = await openServices({ database: database.url, environment: RETENTION })
  commands = services.get(Commands)
})

const past = (id: string, version: number) => pastOf({ ledger: services.get(Ledger), outbox: services.get(Outbox) }, product, id, version)
const rowOf = async (id: string) => (await run(services.get(Ledger).rows(product, [id]))).rows.get(id)!
/** A product with so many versions, of which those up to one were pruned. */
const lived = async (versions: number, gone: number) => {
  const { id } = await run(commands.create(creating({ stock: 0 })))
  for (let i = 1; i < versions; i++) await run(commands.change(adjusting(id, 1)))
  if (gone > 0) await prune(services, await putBack(database, 4, "entity_id = $1 and version_id <= $2", [id, gone]))
  return id
}

test("a version whose first events are gone is pruned, never made of the rest; the newest is told from the row", async () => {
  const id = await lived(4, 2), { state, updatedAtNs, sequence, epoch } = await rowOf(id)
  for (const version of [1, 2, 3]) expect(await failing(past(id, version))).toMatchObject({ _tag: "HistoryPruned" })
  expect(await run(past(id, 4))).toMatchObject({ id, version: 4, updatedAtNs, state, position: { epoch, sequence, transaction: expect.any(BigInt) } })
  for (const version of [0, 5, Number.MAX_SAFE_INTEGER]) expect(await run(past(id, version))).toBeNull()
  expect(await run(past(randomUUID(), 1))).toBeNull()
})

test("of an entity of which every event is gone the newest version is known, and no other", async () => {
  const id = await lived(2, 2), { state, sequence, epoch } = await rowOf(id)
  expect(await run(past(id, 2))).toMatchObject({ version: 2, state, position: { epoch, sequence, transaction: null } })
  expect(await failing(past(id, 1))).toMatchObject({ _tag: "HistoryPruned" })
  await run(commands.change(deleting(id)))
  expect(await run(past(id, 3))).toMatchObject({ state: null })
})

test("an event in between that is gone ends what can be folded: those before it stand in the default partition", async () => {
  const id = await lived(4, 0)
  await database.query("update outbox set recorded_at = now() - interval '2 years' where version_id = 1")
  await prune(services, await putBack(database, 4, "version_id = 2"))
  expect(await run(past(id, 1))).toMatchObject({ state: { stock: 0 } })
  for (const version of [2, 3]) expect(await failing(past(id, version))).toMatchObject({ _tag: "HistoryPruned" })
  await prune(services, await putBack(database, 4, "version_id > 2"))
  expect(await failing(past(id, 2))).toMatchObject({ _tag: "HistoryPruned" })
  expect(await run(past(id, 4))).toMatchObject({ state: { stock: 3 } })
})

test("a version that was made while its events were read is not there yet, and not pruned", async () => {
  await lived(2, 2)
  const id = await lived(2, 0), ledger = services.get(Ledger), outbox = services.get(Outbox)
  const late = Outbox.of({ ...outbox, history: (kind, of, after, upTo, limit) => outbox.history(kind, of, after, Math.min(upTo, 1), limit) })
  expect(await run(pastOf({ ledger, outbox: late }, product, id, 1))).toMatchObject({ version: 1 })
  await run(commands.change(renaming(id, "Torch")))
  expect(await run(pastOf({ ledger, outbox: late }, product, id, 2))).toBeNull()
  // Nor where nothing was ever pruned.
  await database.query("truncate pruned_events")
  expect(await run(pastOf({ ledger, outbox: late }, product, id, 2))).toBeNull()
})

test("a repeated change of an old entity is answered as the first time while nobody changed it since, else it is said that its answer is gone", async () => {
  const id = await lived(2, 2), key = keyOf("a change")
  const first = await run(commands.change(renaming(id, "Torch", { key })))
  expect(await run(commands.change(renaming(id, "Torch", { key })))).toEqual({ ...first, synced: "nothing", replayed: true })
  const nothing = keyOf("a change of nothing")
  const same = await run(commands.change(renaming(id, "Torch", { key: nothing })))
  expect(await run(commands.change(renaming(id, "Torch", { key: nothing })))).toEqual({ ...same, replayed: true })
  await run(commands.change(renaming(id, "Candle")))
  for (const used of [key, nothing]) expect(await failing(commands.change(renaming(id, "Torch", { key: used })))).toMatchObject({ _tag: "HistoryPruned" })
  expect(await rowOf(id)).toMatchObject({ version: 4, state: { name: "Candle" } })
})

test("a kept answer whose own event is gone has the token of a read", async () => {
  const id = await lived(1, 0), key = keyOf("a change")
  const first = await run(commands.change(renaming(id, "Torch", { key })))
  await prune(services, await putBack(database, 4))
  const again = await run(commands.change(renaming(id, "Torch", { key })))
  expect(again).toMatchObject({ version: 2, payload: first.payload, token: { transaction: null, entity: expect.any(String) } })
})
