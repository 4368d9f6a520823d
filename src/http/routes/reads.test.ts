import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { behindProxy, freshDatabase, freshRedis } from "../../../test/support/services.ts"
import { Cache } from "../../domain/cache/Cache.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const create = ({ ask }: Http) => ask("POST", "/v1/products", { body: { sku: randomUUID(), name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 } })
const changeEpoch = (by: number) => database.query(`insert into database_epochs (epoch, system_identifier, timeline) select max(epoch) + ${by}, min(system_identifier), min(timeline) from database_epochs`)

describe("a token", () => {
  test("of an older epoch is taken while its event is in the outbox, and unknown when it was lost", async () => {
    const http = await openHttp({ database: database.url }), made = await create(http), path = `/v1/products/${made.json.id}`
    const read = (await http.ask("GET", path)).headers.get("consistency-token")!, written = made.headers.get("consistency-token")!
    await changeEpoch(1_000)
    for (const token of [written, read]) {
      expect((await http.ask("GET", path, { headers: { "consistency-token": token, "cache-control": "no-cache" } })).status).toBe(200)
    }
    await database.query("truncate outbox")
    for (const token of [written, read]) {
      const answer = await http.ask("GET", path, { headers: { "consistency-token": token, "cache-control": "no-cache" } })
      expect(answer).toMatchObject({ status: 412, json: { type: "/problems/consistency-token-unknown" } })
    }
  })

  test("of a newer epoch than the database's is unknown: the database is one that was restored", async () => {
    const http = await openHttp({ database: database.url })
    await changeEpoch(1_000)
    const made = await create(http), path = `/v1/products/${made.json.id}`
    await database.query("delete from database_epochs where epoch = (select max(epoch) from database_epochs)")
    // Another process: this one knows of the newer life, and would take nothing from an older one.
    const restored = await openHttp({ database: database.url })
    for (const asked of [path, "/v1/products", `${path}?version=1`, `${path}/events`]) {
      const answer = await restored.ask("GET", asked, { headers: { "consistency-token": made.headers.get("consistency-token")!, "cache-control": "no-cache" } })
      expect(answer, asked).toMatchObject({ status: 412, json: { type: "/problems/consistency-token-unknown" } })
    }
  })
})

test("while the database is away hits go on and say so; misses, lists and histories are 503 with Retry-After", async () => {
  const proxy = await behindProxy(database.url), http = await openHttp({ database: proxy.to })
  const { id } = (await create(http)).json
  await proxy.cut()
  for (const path of [`/v1/products/${randomUUID()}`, "/v1/products", `/v1/products/${id}/events`, `/v1/products/${id}?version=1`]) {
    const answer = await http.ask("GET", path)
    expect(answer, path).toMatchObject({ status: 503, json: { type: "/problems/unavailable" } })
    expect(answer.headers.get("retry-after")).toBe("1")
  }
  const hit = await http.ask("GET", `/v1/products/${id}`)
  expect([hit.status, hit.headers.get("cache-status")]).toEqual([200, "holdfast; hit; detail=database-unavailable"])
})

describe("while the cache is away", () => {
  const withoutCache = async (environment = {}) => {
    const redis = await freshRedis(), http = await openHttp({ database: database.url, redis: redis.url, environment })
    await eventually(() => http.services.get(Cache).ping())
    const { id } = (await create(http)).json
    await redis.kill()
    return { http, path: `/v1/products/${id}` }
  }

  test("reads are answered by the database, and say so", async () => {
    const { http, path } = await withoutCache()
    for (let i = 0; i < 20; i++) {
      const answer = await http.ask("GET", path)
      expect([answer.status, answer.headers.get("cache-status")]).toEqual([200, "holdfast; fwd=bypass; detail=cache-unavailable"])
    }
    const list = await http.ask("GET", "/v1/products")
    expect([list.status, list.headers.get("cache-status")]).toEqual([200, "holdfast; fwd=uri-miss; detail=\"0/1\""])
  })

  test("with the fall-back switched off they are 503 with Retry-After, and writes succeed", async () => {
    const { http, path } = await withoutCache({ POSTGRES_FALLBACK_ENABLED: "false" })
    for (const asked of [path, "/v1/products"]) {
      const answer = await http.ask("GET", asked)
      expect(answer, asked).toMatchObject({ status: 503, json: { type: "/problems/unavailable" } })
      expect(answer.headers.get("retry-after")).toBe("1")
    }
    expect((await http.ask("PATCH", path, { body: { name: "Torch" } })).status).toBe(200)
  })
})
