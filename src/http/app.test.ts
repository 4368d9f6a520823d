import { beforeEach, describe, expect, test } from "vitest"
import { openHttp } from "../../test/support/http.ts"
import { freshDatabase, run } from "../../test/support/services.ts"
import { ApiKeys } from "../domain/access/ApiKeys.ts"
import { product } from "../domain/kinds/product.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const lamp = { sku: "L-1", name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 }

test("a bug is answered 500 without a word about it, and logged with the route's pattern and the request's id", async () => {
  const broken = { ...product, decide: () => { throw new Error("Lamp 4711 broke") } }
  const { ask, services } = await openHttp({ database: database.url, served: [broken] })
  const answer = await ask("POST", "/v1/products", { body: lamp, headers: { "x-request-id": "r-17" } })
  expect(answer.status).toBe(500)
  expect(answer.json).toEqual({ type: "about:blank", title: "Internal Server Error", status: 500, instance: "/requests/r-17" })
  expect(answer.headers.get("content-type")).toBe("application/problem+json")
  expect(answer.headers.get("cache-control")).toBe("no-store")
  expect(answer.headers.get("x-request-id")).toBe("r-17")
  const [line] = services.lines.filter(({ level }) => level === "error")
  expect(line).toMatchObject({ message: "A request failed by a fault of the service", fields: { route: "/v1/products", method: "POST", requestId: "r-17" } })
  expect(String((line!.fields as { error: unknown }).error)).toContain("broke")
  // And the next request is none the worse for it.
  expect((await ask("GET", "/v1/products")).status).toBe(200)
})

describe("a key", () => {
  test("that lacks the scope is refused with the scope's name, before anything of the request is looked at", async () => {
    const { ask, services } = await openHttp({ database: database.url })
    const { text: key } = await run(services.get(ApiKeys).create("reader", ["catalog:read"]))
    expect((await ask("GET", "/v1/products", { key })).status).toBe(200)
    const answer = await ask("POST", "/v1/products", { key, headers: { "content-type": "text/plain" } })
    expect(answer).toMatchObject({ status: 403, json: { type: "/problems/forbidden", detail: expect.stringContaining("catalog:write") } })
  })

  test("that was revoked lets nobody in", async () => {
    const { ask, services } = await openHttp({ database: database.url })
    const { id, text: key } = await run(services.get(ApiKeys).create("reader", ["catalog:read"]))
    await run(services.get(ApiKeys).revoke(id))
    expect((await ask("GET", "/v1/products", { key })).status).toBe(401)
  })

  test("of a development machine is nobody's where the request does not say that it is for this machine", async () => {
    const { ask } = await openHttp({ database: database.url })
    for (const headers of [{}, { host: "example.org" }, { host: "localhost:8080" }]) expect((await ask("GET", "/v1/products", { key: "dev", headers: headers as Record<string, string> })).status).toBe(401)
  })
})

describe("with OPS_PORT", () => {
  const OPERATORS = ["/ops/queue-size", "/ops/stats", "/ops/retry-queue", "/metrics", "/healthz", "/readyz"]

  test("operators' paths, metrics and health are served there and only there", async () => {
    const { ask, askOps } = await openHttp({ database: database.url, opsPort: true })
    for (const path of OPERATORS) {
      expect((await ask("GET", path)).status, path).toBe(404)
      expect((await askOps("GET", path)).status, path).toBe(200)
    }
    for (const path of ["/v1/products", "/problems/invalid"]) {
      expect((await ask("GET", path)).status, path).toBe(200)
      expect((await askOps("GET", path)).status, path).toBe(404)
    }
  })

  test("metrics and health need no key there, and everything else does", async () => {
    const { askOps } = await openHttp({ database: database.url, opsPort: true })
    const open = await Promise.all(OPERATORS.map(async (path) => [path, (await askOps("GET", path, { key: null })).status]))
    expect(open).toEqual(OPERATORS.map((path) => [path, path.startsWith("/ops") ? 401 : 200]))
  })

  test("without it they are at the one port, and there metrics need a key", async () => {
    const { ask, apps } = await openHttp({ database: database.url })
    expect(apps.ops).toBeNull()
    for (const path of OPERATORS) expect((await ask("GET", path)).status, path).toBe(200)
    expect((await ask("GET", "/metrics", { key: null })).status).toBe(401)
  })
})

test("a path that takes other methods says which; one that does not exist is not found", async () => {
  const { ask } = await openHttp({ database: database.url })
  const answer = await ask("PUT", "/v1/products/1")
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD, PATCH, DELETE"])
  expect((await ask("GET", "/v2")).status).toBe(404)
})
