import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { patient } from "../../../test/support/patient.ts"
import { behindProxy, freshDatabase, freshRedis, run } from "../../../test/support/services.ts"
import { ApiKeys } from "../../domain/access/ApiKeys.ts"
import { Cache } from "../../domain/cache/Cache.ts"
import { invalid, refused } from "../../domain/Kind.ts"
import { product } from "../../domain/kinds/product.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const lamp = () => ({ sku: randomUUID(), name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 })
const create = async ({ ask }: Http) => (await ask("POST", "/v1/products", { body: lamp() })).json.id as string
/** Until a transaction of somebody else waits for a lock. */
const waiting = () => eventually(async () => (await database.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).length === 1, { within: 10_000 })

describe("a change that meets another one holding the entity", () => {
  test("is 503 with Retry-After when it had no key, for nothing was changed", async () => {
    const http = await openHttp({ database: database.url }), id = await create(http), holder = await database.connect()
    await holder.query("begin")
    await holder.query("select 1 from products where id = $1 for update", [id])
    const answer = await http.ask("PATCH", `/v1/products/${id}`, { body: { name: "Torch" } })
    expect(answer).toMatchObject({ status: 503, json: { type: "/problems/unavailable" } })
    expect(answer.headers.get("retry-after")).toBe("1")
    await holder.query("rollback")
    expect((await http.ask("GET", `/v1/products/${id}`)).json.versionId).toBe(1)
  })

  test("waits where that one ends in time", async () => {
    const http = await openHttp({ database: patient(database.url) }), id = await create(http), holder = await database.connect()
    await holder.query("begin")
    await holder.query("select 1 from products where id = $1 for update", [id])
    const answer = http.ask("PATCH", `/v1/products/${id}`, { body: { name: "Torch" } })
    await waiting()
    await holder.query("rollback")
    expect((await answer).json).toMatchObject({ versionId: 2, name: "Torch" })
  })
})

test("a repetition that meets its first attempt still running is 409 after two seconds, and is answered when that has ended", async () => {
  const http = await openHttp({ database: database.url }), id = await create(http), holder = await database.connect()
  await holder.query("begin")
  await holder.query("select 1 from products where id = $1 for update", [id])
  const request = { body: { name: "Torch" }, headers: { "idempotency-key": "k" } }
  // The first waits for the row and gives up; the second waits for the same row.
  const answer = await http.ask("PATCH", `/v1/products/${id}`, request)
  expect(answer).toMatchObject({ status: 409, json: { type: "/problems/idempotency-key-in-flight" } })
  expect(answer.headers.get("retry-after")).toBe("1")
  await holder.query("rollback")
  const done = await http.ask("PATCH", `/v1/products/${id}`, request)
  expect(done).toMatchObject({ status: 200, json: { versionId: 2 } })
  const again = await http.ask("PATCH", `/v1/products/${id}`, request)
  expect([again.text, again.headers.get("idempotency-replayed"), again.headers.get("consistency-token")]).toEqual([done.text, "true", done.headers.get("consistency-token")])
})

test("an idempotency key belongs to one API key: another's request with the same is another request", async () => {
  const http = await openHttp({ database: database.url }), headers = { "idempotency-key": "k" }
  const { text: key } = await run(http.services.get(ApiKeys).create("another", ["catalog:write", "catalog:read"]))
  const first = await http.ask("POST", "/v1/products", { body: lamp(), headers })
  const other = await http.ask("POST", "/v1/products", { body: lamp(), headers, key })
  expect([first.status, other.status, first.json.id === other.json.id]).toEqual([201, 201, false])
})

test("a lost reply to the commit is an unknown outcome, and the same idempotency key finds out", async () => {
  const proxy = await behindProxy(database.url), http = await openHttp({ database: patient(proxy.to) })
  const id = await create(http), holder = await database.connect()
  const request = { body: { name: "Torch" }, headers: { "idempotency-key": "k" } }
  await holder.query("begin")
  await holder.query("select 1 from products where id = $1 for update", [id])
  const changing = http.ask("PATCH", `/v1/products/${id}`, request)
  await waiting()
  // The answer vanishes, and the connection is then reset.
  proxy.blackhole("answers")
  await holder.query("rollback")
  await eventually(async () => (await database.query("select 1 from products where version_id = 2")).length === 1, { within: 10_000 })
  await proxy.cut()
  expect(await changing).toMatchObject({ status: 503, json: { type: "/problems/unknown-outcome" } })
  await proxy.restore()
  const answer = await eventually(async () => {
    const again = await http.ask("PATCH", `/v1/products/${id}`, request)
    expect(again.status).toBe(200)
    return again
  }, { within: 20_000 })
  expect(answer.json).toMatchObject({ versionId: 2, name: "Torch" })
  expect(answer.headers.get("idempotency-replayed")).toBe("true")
})

test("while the database is away changes are 503 with Retry-After", async () => {
  const proxy = await behindProxy(database.url), http = await openHttp({ database: proxy.to })
  const id = await create(http)
  await proxy.cut()
  for (const [method, path, body] of [["PATCH", `/v1/products/${id}`, { name: "Torch" }], ["DELETE", `/v1/products/${id}`, undefined]] as const) {
    const answer = await http.ask(method, path, { body })
    expect(answer, method).toMatchObject({ status: 503, json: { type: "/problems/unavailable" } })
    expect(answer.headers.get("retry-after")).toBe("1")
  }
})

test("while the cache is away a change is queued, and answers as it always does", async () => {
  const redis = await freshRedis(), http = await openHttp({ database: database.url, redis: redis.url })
  await eventually(() => http.services.get(Cache).ping())
  const id = await create(http)
  await redis.kill()
  const answer = await http.ask("PATCH", `/v1/products/${id}`, { body: { name: "Torch" } })
  expect([answer.status, answer.headers.get("cache-status"), answer.headers.get("etag")]).toEqual([200, "holdfast; fwd=method; detail=queued", "\"2\""])
  expect((await http.ask("GET", `/v1/products/${id}`)).json.name).toBe("Torch")
})

test("an item of a batch that the domain refuses, or finds something wrong with, is a problem of that item, with pointers into the request", async () => {
  const strict: typeof product = {
    ...product,
    decide: (command, input, state, world) =>
      input["stock"] === 1 ? refused("invalid", "One is too few.")
      : input["stock"] === 3 ? invalid([{ pointer: "#/stock", detail: "must not be 3" }])
      : product.decide(command, input, state, world)
  }
  const http = await openHttp({ database: database.url, served: [strict] })
  const { json } = await http.ask("POST", "/v1/products/batch", { body: { items: [lamp(), { ...lamp(), stock: 2 }, { ...lamp(), stock: 3 }] } })
  expect(json.results).toMatchObject([
    { status: 409, problem: { type: "/problems/invalid" } }, { status: 201 },
    { status: 422, problem: { type: "/problems/invalid", status: 422, errors: [{ pointer: "#/items/2/stock", detail: "must not be 3" }] } }
  ])
})

test("an item of a batch that cannot be held is invalid by pointers into the request", async () => {
  const strict: typeof product = { ...product, decide: (command, input, state, world) => input["stock"] === 1 ? invalid([{ pointer: "#/stock", detail: "is too few" }, { pointer: "#", detail: "is odd" }]) : product.decide(command, input, state, world) }
  const http = await openHttp({ database: database.url, served: [strict] })
  const { json } = await http.ask("POST", "/v1/products/batch", { body: { items: [{ ...lamp(), stock: 2 }, { ...lamp(), stock: 1 }, { ...lamp(), name: "" }] } })
  expect(json.results).toMatchObject([
    { status: 201 },
    { status: 422, problem: { type: "/problems/invalid", status: 422, errors: [{ pointer: "#/items/1/stock", detail: "is too few" }, { pointer: "#/items/1", detail: "is odd" }] } },
    { status: 422, problem: { errors: [{ pointer: "#/items/2/name" }] } }
  ])
})
