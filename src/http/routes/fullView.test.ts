import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { patient } from "../../../test/support/patient.ts"
import { freshDatabase, run } from "../../../test/support/services.ts"
import { ApiKeys } from "../../domain/access/ApiKeys.ts"
import { SubjectKeys } from "../../domain/secrets/SubjectKeys.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>, http: Http
beforeEach(async () => {
  database = await freshDatabase()
  http = await openHttp({ database: database.url })
})

const person = () => ({ name: "Ada", email: `${randomUUID()}@example.org`, phone: "+49 30 1234", marketingConsent: true })
const address = { name: "Ada", line1: "Lindenstraße 1", city: "Köln", country: "Deutschland" }
const register = async () => (await http.ask("POST", "/v1/customers", { body: person() })).json.id as string
const placeFor = async (customerId: string) => {
  const product = await http.ask("POST", "/v1/products", { body: { sku: randomUUID(), name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 9 } })
  return (await http.ask("POST", "/v1/orders", { body: { customerId, lines: [{ productId: product.json.id, quantity: 1 }], shippingAddress: address } })).json.id as string
}
const records = () => database.query("select actor, action, kind, entity_id, request from audit_log order by id")
const keyWith = async (...scopes: Parameters<ApiKeys["Service"]["create"]>[1]) => run(http.services.get(ApiKeys).create("some", scopes))

describe("a look at personal data", () => {
  test("is on record: who, what and by which request, and nothing that was seen; also a look at an earlier version", async () => {
    const id = await register(), { id: actor, text: key } = await keyWith("customers:read", "customers:pii")
    for (const [i, query] of ["?view=full", "?view=full&version=1"].entries()) {
      const answer = await http.ask("GET", `/v1/customers/${id}${query}`, { key, headers: { "x-request-id": `look-${i}` } })
      expect(answer).toMatchObject({ status: 200, json: { name: "Ada", phone: "+49 30 1234", address: null, versionId: 1 } })
      expect(answer.json.emailHash).toMatch(/^[0-9a-f]{64}$/)
    }
    expect(await records()).toEqual([0, 1].map((i) => ({ actor, action: "personal data read", kind: "customer", entity_id: id, request: `look-${i}` })))
  })

  test("is not answered before its record is durable", async () => {
    const http = await openHttp({ database: patient(database.url) })
    const id = await register(), holder = await database.connect()
    await holder.query("begin; lock table audit_log in exclusive mode")
    let answered = false
    const looking = http.ask("GET", `/v1/customers/${id}?view=full`).finally(() => { answered = true })
    await eventually(async () => (await database.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).length === 1, { within: 10_000 })
    expect(answered).toBe(false)
    await holder.query("commit")
    expect((await looking).status).toBe(200)
  })

  test("needs a record that can be written: else it is 503, and nothing is told", async () => {
    const id = await register(), holder = await database.connect()
    await holder.query("begin; lock table audit_log in exclusive mode")
    const answer = await http.ask("GET", `/v1/customers/${id}?view=full`)
    await holder.query("rollback")
    expect(answer).toMatchObject({ status: 503, json: { type: "/problems/unavailable" } })
    expect([answer.headers.get("retry-after"), answer.headers.get("cache-status")]).toEqual(["1", "holdfast; fwd=bypass; detail=full-view"])
    expect(answer.text).not.toContain("Ada")
  })

  test("that shows nobody leaves no record", async () => {
    expect(await http.ask("GET", `/v1/customers/${randomUUID()}?view=full`)).toMatchObject({ status: 404, json: { type: "/problems/not-found" } })
    expect((await http.ask("GET", `/v1/customers/${await register()}?view=full&version=2`)).status).toBe(404)
    expect(await records()).toEqual([])
  })

  test("is forbidden before anything else is looked at, for customers and orders, and with any version", async () => {
    const { text: key } = await keyWith("customers:read", "orders:read")
    for (const path of ["/v1/customers/none?view=full", "/v1/orders/none?view=full&version=1", "/v1/customers/none?view=full&version=0"]) {
      expect(await http.ask("GET", path, { key }), path).toMatchObject({ status: 403, json: { type: "/problems/forbidden" } })
    }
  })

  test("is none where a kind has no personal fields: the parameter is not known there, and ignored", async () => {
    const { json: { id } } = await http.ask("POST", "/v1/products", { body: { sku: "a", name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 } })
    const { text: key } = await keyWith("catalog:read")
    for (const view of ["full", "other"]) {
      const answer = await http.ask("GET", `/v1/products/${id}?view=${view}`, { key })
      expect([answer.status, answer.headers.get("cache-status"), answer.headers.get("cache-control")]).toEqual([200, "holdfast; hit", "private, no-cache"])
    }
  })
})

describe("when the person's key is gone", () => {
  test("the person is gone with it, at every version, and what else there was of them is without personal fields", async () => {
    const id = await register(), order = await placeFor(id)
    expect((await http.ask("GET", `/v1/orders/${order}?view=full`)).json.shippingAddress).toEqual({ ...address, line2: null, region: null, postcode: null })
    await run(http.services.get(SubjectKeys).destroy(id))
    for (const query of ["?view=full", "?view=full&version=1", "?version=1"]) {
      expect(await http.ask("GET", `/v1/customers/${id}${query}`), query).toMatchObject({ status: 410, json: { type: "/problems/deleted" } })
    }
    const seen = (await http.ask("GET", `/v1/orders/${order}`)).json
    for (const query of ["?view=full", "?view=full&version=1"]) {
      expect((await http.ask("GET", `/v1/orders/${order}${query}`)).json, query).toEqual({ ...seen, shippingAddress: null })
    }
  })

  test("an erased person is 410 at every version, and an order tells of the erasure", async () => {
    const id = await register(), order = await placeFor(id)
    const erased = await http.ask("DELETE", `/v1/customers/${id}`)
    expect([erased.status, erased.headers.get("cache-control"), erased.headers.get("cache-status")]).toEqual([200, "no-store", "holdfast; fwd=method; stored"])
    expect(erased.json).toMatchObject({ keyDestroyed: true, orders: 1 })
    for (const query of ["?view=full", "?view=full&version=1", "?view=full&version=2"]) expect((await http.ask("GET", `/v1/customers/${id}${query}`)).status, query).toBe(410)
    expect((await http.ask("GET", `/v1/orders/${order}?view=full`)).json).toMatchObject({ versionId: 2, shippingAddress: null })
    const history = await http.ask("GET", `/v1/customers/${id}/events`)
    expect(history.json.items.map(({ data }: { data: object }) => Object.keys(data))).toEqual([["status", "marketingConsent", "piiRef"], []])
  })
})

test("a token of a newer epoch than the database's is unknown to the full view as well", async () => {
  await database.query("insert into database_epochs (epoch, system_identifier, timeline) select max(epoch) + 1000, min(system_identifier), min(timeline) from database_epochs")
  const made = await http.ask("POST", "/v1/customers", { body: person() }), headers = { "consistency-token": made.headers.get("consistency-token")! }
  const path = `/v1/customers/${made.json.id}?view=full`
  expect((await http.ask("GET", path, { headers })).status).toBe(200)
  await database.query("delete from database_epochs where epoch = (select max(epoch) from database_epochs)")
  // Another process: this one knows of the newer life, and would take nothing from an older one.
  const restored = await openHttp({ database: database.url })
  for (const asked of [path, `${path}&version=1`]) {
    expect(await restored.ask("GET", asked, { headers }), asked).toMatchObject({ status: 412, json: { type: "/problems/consistency-token-unknown" } })
  }
})
