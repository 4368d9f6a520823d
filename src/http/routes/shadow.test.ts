import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import { freshDatabase } from "../../../test/support/services.ts"

const open = async (CACHE_READS: string) => openHttp({ database: (await freshDatabase()).url, environment: { CACHE_READS } })
const body = () => ({ sku: randomUUID(), name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 })

test("whatever is asked of a kind in shadow, Postgres answers, and Cache-Status says why", async () => {
  const { ask } = await open("product")
  const path = (await ask("POST", "/v1/products", { body: body() })).headers.get("location")!, gone = (await ask("POST", "/v1/products", { body: body() })).headers.get("location")!
  expect((await ask("DELETE", gone)).status).toBe(204)
  const how = async (path: string, headers = {}) => {
    const { status, headers: answered } = await ask("GET", path, { headers })
    return [status, answered.get("cache-status")]
  }
  const shadow = "holdfast; fwd=bypass; detail=shadow"
  expect(await how(path)).toEqual([200, shadow])
  expect(await how(path, { "if-none-match": '"1"' })).toEqual([304, shadow])
  expect(await how(gone)).toEqual([410, shadow])
  expect(await how(`/v1/products/${randomUUID()}`)).toEqual([404, shadow])
  expect(await how("/v1/products")).toEqual([200, shadow])
  expect(await how("/v1/products?status=discontinued")).toEqual([200, shadow])
  expect(await how(path, { "cache-control": "no-cache" })).toEqual([200, "holdfast; fwd=request"])
  expect(await how("/v1/orders")).toEqual([200, "holdfast; hit"])
})

test("statistics have the report of the kinds in shadow, and without any nothing of it", async () => {
  const { ask } = await open("product,order"), path = (await ask("POST", "/v1/products", { body: body() })).headers.get("location")!
  await ask("GET", path)
  const report = await eventually(async () => {
    const { shadow } = (await ask("GET", "/ops/stats")).json
    expect(shadow.kinds[0].agreed).toBe(1)
    return shadow
  }, { within: 20_000 })
  expect(report.kinds).toEqual([
    expect.objectContaining({ kind: "product", compared: 1, safe: false, reason: "not yet known: 1 of 10000 comparisons" }),
    expect.objectContaining({ kind: "order", compared: 0 })
  ])
  expect((await ask("GET", "/metrics")).text).toContain(`holdfast_shadow_reads_total{kind="product",result="agreed"} 1`)
  expect((await (await open("on")).ask("GET", "/ops/stats")).json).not.toHaveProperty("shadow")
})
