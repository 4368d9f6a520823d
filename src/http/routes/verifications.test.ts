import { randomUUID } from "node:crypto"
import { beforeEach, expect, test } from "vitest"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { freshDatabase, run } from "../../../test/support/services.ts"
import { Verification } from "../../domain/sync/Verification.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>, http: Http
beforeEach(async () => {
  database = await freshDatabase()
  http = await openHttp({ database: database.url })
})
const create = async () => (await http.ask("POST", "/v1/products", { body: { sku: randomUUID(), name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 } })).json.id as string
const work = async () => { while (await run(http.services.get(Verification).round)) { /* a page at a time */ } }
const NONE = { count: 0, oldestSeconds: null, first: [] }

test("a verification is asked for, shown while it waits and when it is done, and then in the statistics", async () => {
  const id = await create()
  await database.query("update products set version_id = 2 where id = $1", [id])
  const asked = await http.ask("POST", "/ops/verifications", { body: {} })
  expect(asked.status).toBe(202)
  const path = asked.headers.get("location")!
  expect(path).toBe(`/ops/verifications/${asked.json.id}`)
  const result = { fine: 0, absent: 0, behind: NONE, ahead: NONE, undecodable: NONE, different: NONE, repaired: 0 }
  expect(asked.json).toMatchObject({ kind: null, sample: 1, repair: true, reason: "asked", startedBy: "bootstrap", state: "waiting", progress: { kind: null, looked: 0 }, startedAt: null, finishedAt: null, result })
  expect(await http.ask("GET", path)).toMatchObject({ status: 200, json: asked.json })
  expect((await http.ask("GET", "/ops/stats")).json.lastVerification).toBeNull()
  await run(http.services.get(Verification).round)
  expect((await http.ask("GET", path)).json).toMatchObject({ state: "running", progress: { kind: "order", looked: 1 } })
  await work()
  const done = (await http.ask("GET", path)).json
  expect(done).toMatchObject({
    state: "done", progress: { kind: null, looked: 1 }, finishedAt: expect.any(String),
    result: { ...result, behind: { count: 1, oldestSeconds: expect.any(Number), first: [{ kind: "product", id, versionId: 2, entryVersionId: 1 }] }, repaired: 1 }
  })
  expect((await http.ask("GET", "/ops/stats")).json.lastVerification).toEqual(done)
  expect(await http.ask("POST", "/ops/verifications", { body: { kind: "order", sample: 0.5, repair: false } })).toMatchObject({ status: 202, json: { kind: "order", sample: 0.5, repair: false } })
})

test("a rebuild says of the cache what stood, was filled and was left, and of rows which differ from their events", async () => {
  const [kept, evicted] = [await create(), await create()]
  await http.ask("DELETE", `/ops/entries/product/${evicted}`)
  await database.query("update products set stock = 7 where id = $1", [kept])
  const ask = (body: object) => http.ask("POST", "/ops/rebuilds", { body })
  const [cache, rows] = [await ask({ target: "cache" }), await ask({ target: "rows", kind: "product" })]
  expect([cache, rows]).toMatchObject([{ status: 202, json: { target: "cache", kind: null, state: "waiting" } }, { status: 202, json: { target: "rows", kind: "product" } }])
  await work()
  expect((await http.ask("GET", cache.headers.get("location")!)).json).toMatchObject({ state: "done", result: { stood: 1, filled: 1, left: 0 } })
  expect((await http.ask("GET", rows.headers.get("location")!)).json).toMatchObject({
    state: "done", result: { fine: 1, pruned: 0, different: { count: 1, first: [{ kind: "product", id: kept, fields: ["stock"] }] } }
  })
})

test("what is not known, or no share, is 422, all of it at once; a run of another sort, or none, is 404", async () => {
  const faults = async (path: string, body: unknown) => {
    const { status, json } = await http.ask("POST", path, { body })
    return [status, json.errors?.map(({ pointer }: { pointer: string }) => pointer).sort()]
  }
  expect(await faults("/ops/verifications", { kind: "planet", sample: 0, repair: "no", what: 1 })).toEqual([422, ["#/kind", "#/repair", "#/sample", "#/what"]])
  for (const sample of [1.01, -1, "1"]) expect(await faults("/ops/verifications", { sample })).toEqual([422, ["#/sample"]])
  expect(await faults("/ops/rebuilds", {})).toEqual([422, ["#/target"]])
  expect(await faults("/ops/rebuilds", { target: "rows", repair: true })).toEqual([422, ["#/repair"]])
  const verification = (await http.ask("POST", "/ops/verifications", { body: {} })).json.id, rebuild = (await http.ask("POST", "/ops/rebuilds", { body: { target: "rows" } })).json.id
  for (const path of [`verifications/${rebuild}`, `rebuilds/${verification}`, `verifications/${randomUUID()}`, "rebuilds/none"]) {
    expect((await http.ask("GET", `/ops/${path}`)).status, path).toBe(404)
  }
})

test("an entity explained tells its last transitions, and of a person no id but the key", async () => {
  const id = await create()
  await http.ask("DELETE", `/ops/entries/product/${id}`)
  await http.ask("GET", `/v1/products/${id}`)
  await http.ask("PATCH", `/v1/products/${id}`, { body: { name: "Torch" } })
  const { transitions } = (await http.ask("GET", `/ops/entries/product/${id}`)).json
  expect(transitions.map(({ by, versionId, outcome }: Record<string, unknown>) => [by, versionId, outcome])).toEqual([
    ["lease", null, "given"], ["store", 1, "stored"], ["evict", null, "asked for"], ["lease", null, "given"], ["fill", 1, "stored"], ["store", 2, "stored"]
  ])
  for (const { at, process: of } of transitions) expect([Number.isNaN(Date.parse(at)), of]).toEqual([false, expect.stringMatching(/^\d+@/)])
  // A read that hits is none.
  await http.ask("GET", `/v1/products/${id}`)
  expect((await http.ask("GET", `/ops/entries/product/${id}`)).json.transitions).toEqual(transitions)
})
