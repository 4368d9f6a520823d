import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { prune, putBack, RETENTION } from "../../../test/support/retention.ts"
import { creating, freshDatabase, run } from "../../../test/support/services.ts"
import { ApiKeys } from "../../domain/access/ApiKeys.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>, http: Http
beforeEach(async () => {
  database = await freshDatabase()
  http = await openHttp({ database: database.url, environment: RETENTION })
})

const create = async () => (await http.ask("POST", "/v1/products", { body: creating().input })).json.id as string
const rename = (id: string, name: string) => http.ask("PATCH", `/v1/products/${id}`, { body: { name } })
const positionsOf = async (id: string): Promise<string[]> => (await http.ask("GET", `/v1/products/${id}/events`)).json.items.map(({ position }: { position: string }) => position)

const listen = async (query: string, { key = http.key, headers = {} }: { readonly key?: string; readonly headers?: Readonly<Record<string, string>> } = {}) =>
  (await http.apps.main.request(`/v1/changes${query}`, { headers: { authorization: `Bearer ${key}`, ...headers } })).body!.getReader()
/** Reads until so many ids came; what the stream says when it ends before that is not enough. */
const idsOf = async (reader: ReadableStreamDefaultReader<Uint8Array>, count: number): Promise<string[]> => {
  const ids: string[] = []
  while (ids.length < count) {
    const { value, done } = await reader.read()
    if (done) throw new Error(`ended after ${ids.length}`)
    ids.push(...[...Buffer.from(value).toString().matchAll(/^id: (\d+)$/gm)].map(([, id]) => id!))
  }
  return ids
}

test("a history whose beginning was pruned shows the rest, of which the first is no first version; none where all of it was", async () => {
  const [some, every] = [await create(), await create()]
  await rename(some, "Torch")
  await rename(some, "Candle")
  await prune(http.services, await putBack(database, 4, "entity_id = $1 or version_id = 1", [every]))
  const { status, json } = await http.ask("GET", `/v1/products/${some}/events`)
  expect([status, json.items.map(({ versionId }: { versionId: number }) => versionId)]).toEqual([200, [2, 3]])
  expect(await http.ask("GET", `/v1/products/${every}/events`)).toMatchObject({ status: 200, json: { items: [], nextCursor: null } })
  expect(await http.ask("GET", `/v1/products/${some}?version=2`)).toMatchObject({ status: 410, json: { type: "/problems/history-pruned" } })
  expect(await http.ask("GET", `/v1/products/${some}?version=3`)).toMatchObject({ status: 200, json: { name: "Candle", versionId: 3 } })
  expect(await http.ask("GET", `/v1/products/${some}?version=4`)).toMatchObject({ status: 404 })
  // The entity itself is what it was.
  expect(await http.ask("GET", `/v1/products/${every}`)).toMatchObject({ status: 200, json: { versionId: 1 } })
})

test("the newest version of an entity of which nothing is kept is as it was, and its full view too", async () => {
  const { json: { id } } = await http.ask("POST", "/v1/customers", { body: { name: "Ada", email: "ada@example.org", marketingConsent: true } })
  await prune(http.services, await putBack(database, 4))
  const now = await http.ask("GET", `/v1/customers/${id}`)
  expect((await http.ask("GET", `/v1/customers/${id}?version=1`)).text).toBe(now.text)
  expect(await http.ask("GET", `/v1/customers/${id}?version=1&view=full`)).toMatchObject({ status: 200, json: { name: "Ada" } })
  await http.ask("PATCH", `/v1/customers/${id}`, { body: { name: "Grace" } })
  for (const view of ["", "&view=full"]) expect(await http.ask("GET", `/v1/customers/${id}?version=1${view}`)).toMatchObject({ status: 410, json: { type: "/problems/history-pruned" } })
})

test("a listener whose last position is older than what is kept is told so; from 0 it begins at the oldest kept", async () => {
  const [first, second, third] = [await create(), await create(), await create()]
  const [[oldest], [last], [kept]] = [await positionsOf(first), await positionsOf(second), await positionsOf(third)]
  // Not behind the last that was pruned, and in the default partition all the same.
  await database.query("update outbox set recorded_at = now() - interval '3 years' where entity_id = $1", [first])
  await prune(http.services, await putBack(database, 4, "entity_id = $1", [second]))
  const pruned = { status: 410, json: { type: "/problems/history-pruned" } }
  expect(await http.ask("GET", `/v1/changes?after=${oldest}`)).toMatchObject(pruned)
  expect(await http.ask("GET", "/v1/changes?after=0", { headers: { "last-event-id": oldest! } })).toMatchObject(pruned)
  for (const query of ["?after=0", `?after=${last}`]) {
    const stream = await listen(query)
    expect(await idsOf(stream, 1)).toEqual([kept])
    await stream.cancel()
  }
})

test("a stream that is overtaken by the pruning ends, so that its listener learns of the gap", async () => {
  const [first, second] = [await create(), await create()]
  const [position] = await positionsOf(first)
  await prune(http.services, await putBack(database, 4, "entity_id = $1", [second]))
  // As if it had been pruned right after the listener was let in.
  const rows = await database.query("delete from pruned_events returning *")
  const stream = await listen(`?after=${position}`)
  await stream.read()
  await database.query("insert into pruned_events select * from json_populate_recordset(null::pruned_events, $1)", [JSON.stringify(rows)])
  await create()
  await expect(idsOf(stream, 1)).rejects.toThrow("ended")
  expect(http.services.lines).toContainEqual(expect.objectContaining({ message: "A listener of the changes was closed" }))
})

test("a stream on which nothing happened for long is not ended by what was pruned of other kinds", async () => {
  const { text: key } = await run(http.services.get(ApiKeys).create("listener", ["changes:read", "customers:read"]))
  const quiet = await listen("", { key })
  await quiet.read()
  await create()
  const month = await putBack(database, 4), all = await listen("?after=0")
  // When one who listens to everything has heard of it, the quiet one has been passed by.
  await idsOf(all, 1)
  await eventually(async () => {
    const [{ passed }] = await database.query("select xid < pg_snapshot_xmin(pg_current_snapshot()) as passed from outbox")
    expect(passed).toBe(true)
  }, { within: 45_000 })
  // Whatever wakes the one wakes the other, and it is moved along each time.
  for (let round = 0; round < 5; round++) {
    await create()
    await idsOf(all, 1)
  }
  await prune(http.services, month)
  await create()
  await idsOf(all, 1)
  await http.ask("POST", "/v1/customers", { body: { name: "Ada", email: "ada@example.org", marketingConsent: true } })
  expect(await idsOf(quiet, 1)).toHaveLength(1)
  for (const stream of [quiet, all]) await stream.cancel()
})

test("the token of an older life is good where what it speaks of was pruned, and is not where it was lost", async () => {
  const id = await create(), change = (await rename(id, "Torch")).headers.get("consistency-token")!
  const readOf = async (of: string) => (await http.ask("GET", `/v1/products/${of}`)).headers.get("consistency-token")!
  const read = await readOf(id), other = await create()
  const lost = (await rename(other, "Candle")).headers.get("consistency-token")!, lostRead = await readOf(other)
  const whole = await create(), lostWhole = (await rename(whole, "Candle")).headers.get("consistency-token")!, lostWholeRead = await readOf(whole)
  // A restore: the second changes of these two are not in it.
  await database.query("delete from outbox where entity_id = any($1) and version_id = 2", [[other, whole]])
  await database.query("update products set version_id = 1, event_seq = event_seq - 1 where id = any($1)", [[other, whole]])
  await prune(http.services, await putBack(database, 4, "entity_id = any($1)", [[id, other]]))
  await database.query("insert into database_epochs (epoch, system_identifier, timeline, place) select epoch + 1000, system_identifier, timeline, place from database_epochs order by epoch desc limit 1")
  const asking = async (of: string, token: string) =>
    (await http.ask("GET", `/v1/products/${of}`, { headers: { "consistency-token": token, "cache-control": "no-cache" } })).status
  expect([await asking(id, change), await asking(id, read)]).toEqual([200, 200])
  expect([await asking(other, lost), await asking(other, lostRead), await asking(whole, lostWhole), await asking(whole, lostWholeRead)]).toEqual([412, 412, 412, 412])
  // The first of its events that is kept is later than what the token speaks of.
  expect((await rename(id, "Lantern")).status).toBe(200)
  expect(await asking(id, read)).toBe(200)
})
