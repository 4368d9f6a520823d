import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { start } from "../start.ts"
import type { Started } from "../start.ts"
import { createDatabase, dropDatabase } from "../../test/support/database.ts"
import { makeKey, startIssuer } from "../../test/support/issuer.ts"
import type { TestIssuer } from "../../test/support/issuer.ts"
import { eventually } from "../../test/support/eventually.ts"
import pg from "pg"

const LIMIT = 5, KEY = "entrance_tests_of_holdfast_key_0001"
let database: string, issuer: TestIssuer, holdfast: Started

beforeAll(async () => {
  issuer = await startIssuer([makeKey("ES256", "1")])
  database = await createDatabase({ migrated: true })
  holdfast = await start("all", {
    DATABASE_URL: database, KEYRING_FILE: inject("keyringFile"), CACHE_PROVIDER: "memory", PORT: "0", LOG_LEVEL: "silent", BOOTSTRAP_API_KEY: KEY, RATE_LIMIT_PER_SECOND: String(LIMIT),
    JWT_ISSUER: issuer.issuer, JWT_AUDIENCE: issuer.audience, JWT_JWKS_URL: issuer.url
  })
  // The start waits for no issuer; one that was slow to answer is asked again after 10 s.
  await eventually(async () => expect((await call(somebody())).status).toBe(200), { within: 40_000 })
})
afterAll(async () => {
  await holdfast.stop()
  await issuer.stop()
  await dropDatabase(database)
})

const call = (token: string | null, path = "/v1/products", init: { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string } = {}) =>
  fetch(holdfast.url + path, { ...init, headers: { ...token === null ? {} : { authorization: `Bearer ${token}` }, ...init.headers } })

/** A subject that has sent nothing yet, so that no other test has used up its second. */
let subjects = 0
const somebody = (claims: object = {}) => issuer.token({ sub: `person-${subjects++}@example.com`, ...claims })

/** So many requests at once that of the seconds into which even a machine that stalls divides them one has too many. */
const burst = (token: string, path: string, requests = 20 * LIMIT + 1) => Promise.all(Array.from({ length: requests }, () => call(token, path)))

describe("a JWT", () => {
  test("opens what its scopes name, and nothing else", async () => {
    expect((await call(somebody())).status).toBe(200)
    expect((await call(somebody({ scope: "orders:read" }))).status).toBe(403)
  })

  test("that cannot be verified is 401, as any unknown key", async () => {
    const answer = await call(somebody({ aud: "another" }))
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, "Bearer"])
  })

  test("leaves no name of its subject behind", async () => {
    const token = issuer.token({ sub: "grace.hopper@example.com", scope: "catalog:write" })
    const made = await call(token, "/v1/products", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ sku: "jwt", name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 })
    })
    expect(made.status).toBe(201)
    const client = new pg.Client({ connectionString: database })
    await client.connect()
    const rows = JSON.stringify((await client.query("select * from outbox")).rows)
    await client.end()
    expect(rows).toMatch(/jwt_[0-9a-f]{32}/)
    expect(rows).not.toMatch(/grace/i)
  })
})

describe("the rate limit", () => {
  test("says in every answer of somebody known what is left, errors among them", async () => {
    for (const [path, status] of [["/v1/products", 200], ["/v1/products/none", 404], ["/v1/none", 404], ["/ops/stats", 403], ["/v1/products?limit=0", 400]] as const) {
      const answer = await call(somebody(), path)
      expect([answer.status, answer.headers.get("ratelimit-policy")]).toEqual([status, `"default";q=${LIMIT};w=1`])
      expect(answer.headers.get("ratelimit")).toBe(`"default";r=${LIMIT - 1};t=1`)
    }
  })

  test("says nothing to somebody unknown, and counts nobody at what needs no key", async () => {
    for (const answer of [await call(null), await call("wrong"), ...await burst(somebody(), "/healthz")]) {
      expect(answer.status).not.toBe(429)
      expect(answer.headers.get("ratelimit")).toBeNull()
    }
  })

  test("is 429 above it, with Retry-After, before the scope and the path are looked at", async () => {
    const token = somebody()
    for (const path of ["/v1/products", "/ops/stats", "/v1/none"]) {
      const answers = await burst(token, path), refused = answers.filter(({ status }) => status === 429)
      expect(refused.length).toBeGreaterThan(0)
      for (const answer of refused) {
        expect(answer.headers.get("retry-after")).toBe("1")
        expect(answer.headers.get("ratelimit")).toBe(`"default";r=0;t=1`)
        expect(answer.headers.get("content-type")).toBe("application/problem+json")
        expect(await answer.json()).toMatchObject({ type: "/problems/rate-limited", status: 429 })
      }
    }
    expect((await call(somebody())).status).toBe(200)
  })
})
