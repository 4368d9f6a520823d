import { randomUUID } from "node:crypto"
import { beforeEach, expect, test } from "vitest"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { freshDatabase, run } from "../../../test/support/services.ts"
import { ApiKeys } from "../../domain/access/ApiKeys.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>, http: Http
beforeEach(async () => {
  database = await freshDatabase()
  http = await openHttp({ database: database.url })
})

const newKey = async () => run(http.services.get(ApiKeys).create("some", ["customers:pii"]))
const register = async (email: string) => (await http.ask("POST", "/v1/customers", { body: { name: "Ada", email, marketingConsent: true } })).json.id as string

test("a look-up is on record, whether or not somebody is found, without what was looked for", async () => {
  const email = `${randomUUID()}@example.org`, id = await register(email), { id: actor, text: key } = await newKey()
  const found = await http.ask("POST", "/v1/customers/lookup", { body: { email: email.toUpperCase() }, key, headers: { "x-request-id": "one" } })
  expect([found.status, found.json.id, found.headers.get("cache-status"), found.headers.get("cache-control")]).toEqual([200, id, "holdfast; fwd=request; stored", "no-store"])
  const nobody = await http.ask("POST", "/v1/customers/lookup", { body: { email: "nobody@example.org" }, key, headers: { "x-request-id": "two" } })
  expect([nobody.status, nobody.json.type, nobody.headers.get("cache-status")]).toEqual([404, "/problems/not-found", "holdfast; fwd=request"])
  const looked = { actor, action: "person looked up", kind: "customer" }
  expect(await database.query("select actor, action, kind, entity_id, request from audit_log order by id")).toEqual([
    { ...looked, entity_id: id, request: "one" }, { ...looked, entity_id: null, request: "two" }
  ])
  expect(JSON.stringify(await database.query("select * from audit_log"))).not.toContain("@")
})

test("a key may look up fifty times in a second, whatever else it may; others are not held up by it", async () => {
  const { text: key } = await newKey(), { text: other } = await newKey()
  // So many that of the seconds into which even a machine that stalls divides them one has too many.
  const answers = await Promise.all(Array.from({ length: 501 }, () => http.ask("POST", "/v1/customers/lookup", { body: { email: "a@b.example" }, key })))
  const refused = answers.filter(({ status }) => status === 429)
  expect(refused.length).toBeGreaterThan(0)
  expect(answers.filter(({ status }) => status === 404).length).toBeGreaterThanOrEqual(50)
  for (const answer of refused) {
    expect(answer.json.type).toBe("/problems/rate-limited")
    expect([answer.headers.get("retry-after"), answer.headers.get("ratelimit")]).toEqual(["1", null])
  }
  expect((await http.ask("POST", "/v1/customers/lookup", { body: { email: "a@b.example" }, key: other })).status).toBe(404)
})
