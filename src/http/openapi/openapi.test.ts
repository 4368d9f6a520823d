import { createHash, randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Ajv2020 } from "ajv/dist/2020.js"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { SCOPES } from "../../domain/access/ApiKeys.ts"
import { openApps } from "../../../test/support/apps.ts"
import type { TestApps } from "../../../test/support/apps.ts"
import { PROBLEMS } from "../problems.ts"
import { templateOf } from "./documentOf.ts"
import type { Document, OperationObject } from "./documentOf.ts"

const documentIn = async ({ call }: TestApps): Promise<Document> => await (await call("GET", "/openapi.json", { key: null })).json() as Document

const operationsIn = ({ paths }: Document): readonly (readonly [string, OperationObject])[] =>
  Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, it]) => [`${method.toUpperCase()} ${path}`, it] as const))

const opened: TestApps[] = []
const open = async (options: Parameters<typeof openApps>[0] = {}): Promise<TestApps> => {
  const one = await openApps(options)
  opened.push(one)
  return one
}
let apps: TestApps, document: Document
beforeAll(async () => {
  apps = await open()
  document = await documentIn(apps)
})
afterAll(async () => { for (const { stop } of opened) await stop() })

const json = (body: unknown) => ({ body: JSON.stringify(body) })
const lamp = (more: object = {}) => ({ sku: randomUUID(), name: "Lamp", price: { amount: 1250, currency: "EUR" }, stock: 3, ...more })

test("the table of routes and scopes in docs/scopes.md is that of the routes", async () => {
  const rows = operationsIn(document).map(([name, { security }]) => {
    const scopes = security.flatMap(({ bearer }) => bearer)
    return `| \`${name}\` | ${security.length === 0 ? "none, without a key" : scopes.length === 0 ? "any key" : scopes.map((scope) => `\`${scope}\``).join(" and ")} |`
  })
  const written = await readFile(new URL("../../../docs/scopes.md", import.meta.url), "utf8")
  expect(written.split("\n").filter((line) => line.startsWith("| `")).sort()).toEqual(rows.sort())
})

describe("the document", () => {
  test("keeps to the rules of OpenAPI 3.1, and every reference leads somewhere", async () => {
    const validator = new Validator()
    expect(await validator.validate(structuredClone(document) as never)).toEqual({ valid: true })
    expect(validator.version).toBe("3.1")
    for (const [, reference] of JSON.stringify(document).matchAll(/"\$ref":"#\/(.*?)"/g)) {
      expect(reference!.split("/").reduce((at: any, name) => at?.[name], document), reference).toBeTypeOf("object")
    }
  })

  test.each([false, true])("has the routes that are served, and no other, also with a port of its own for operators: %s", async (opsPort) => {
    const separate = await open({ opsPort }), document = await documentIn(separate)
    const served = separate.main.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${templateOf(path)}`)
    expect(operationsIn(document).map(([name]) => name).sort()).toEqual(served.sort())
    expect(served).toContain("GET /openapi.json")
    expect(served.includes("GET /ops/stats")).toBe(!opsPort)
  })

  test("names each operation once, and each problem", () => {
    const operations = operationsIn(document)
    expect(new Set(operations.map(([, { operationId }]) => operationId)).size).toBe(operations.length)
    for (const name of Object.keys(PROBLEMS)) expect(document.components.schemas).toHaveProperty([`problem-${name}`])
  })

  test("says which scopes a route needs: with all but them it is 403, without a key 401", async () => {
    for (const [name, { security, parameters }] of operationsIn(document)) {
      const [method, template] = name.split(" ") as [string, string]
      const path = template.replace(/\{(\w+)\}/g, "x"), needed = security.flatMap(({ bearer }) => bearer)
      const status = async (key: string | null) => {
        const answer = await apps.call(method, path, { key })
        await answer.body?.cancel()
        return answer.status
      }
      if (security.length === 0) expect(await status(null), name).not.toBe(401)
      else {
        expect(await status(null), name).toBe(401)
        expect(needed.length, name).toBeGreaterThan(0)
        const others = await apps.keyWith(SCOPES.filter((scope) => !needed.includes(scope)))
        expect(await status(others), name).toBe(403)
        expect(await status(await apps.keyWith(needed)), name).not.toBe(403)
      }
      expect(parameters).toContainEqual({ $ref: "#/components/parameters/X-Request-Id" })
    }
  })

  test("has the bounds by which requests are validated", () => {
    const { paths, components } = document
    const make = paths["/v1/products"]!["post"]!.requestBody!.content["application/json"]!.schema
    expect(make).toMatchObject({
      required: ["sku", "name", "price", "stock"],
      additionalProperties: false,
      properties: { sku: { type: "string", minLength: 1, maxLength: 200 }, stock: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER }, price: { $ref: "#/components/schemas/Money" } }
    })
    expect(components.schemas).toMatchObject({ Money: { required: ["amount", "currency"] }, MoneyPatch: { properties: { amount: { type: "integer" } } } })
    const change = paths["/v1/products/{id}"]!["patch"]!
    expect(Object.keys(change.requestBody!.content)).toEqual(["application/json", "application/merge-patch+json"])
    expect(Object.keys(change.responses)).toEqual(["200", "400", "401", "403", "404", "409", "410", "412", "413", "415", "422", "429", "500", "503"])
    expect(paths["/v1/products"]!["get"]!.parameters).toEqual(expect.arrayContaining([
      { name: "limit", in: "query", description: expect.any(String), schema: { type: "integer", minimum: 1, maximum: 200, default: 50 } },
      { name: "status", in: "query", description: expect.any(String), schema: { type: "string", enum: ["active", "discontinued"] } }
    ]))
  })
})

/** Holds an exchange against the document: the body that was sent, status, headers and body of what came back. */
const against = async (apps: TestApps) => {
  const document = await documentIn(apps)
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true }).addSchema(document, "holdfast")
  const validate = (value: unknown, ...place: readonly string[]) => {
    const pointer = place.map((name) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")
    const check = ajv.compile({ $ref: `holdfast#/${pointer}` })
    return check(value) ? [] : check.errors!
  }
  // What every answer of HTTP may have.
  const unspoken = new Set(["content-type", "content-length", "x-accel-buffering", "x-content-type-options", "content-security-policy"])
  return async (method: string, template: string, path: string, init: NonNullable<Parameters<TestApps["call"]>[2]> & { readonly faulty?: boolean } = {}) => {
    const answer = await apps.call(method, path, init), place = ["paths", template, method.toLowerCase()]
    const described = document.paths[template]![method.toLowerCase()]!.responses[answer.status]!
    const type = answer.headers.get("content-type")?.split(";")[0]
    expect(described, `${method} ${path} answers ${answer.status}`).toBeDefined()
    const headers = Object.keys(described.headers).map((name) => name.toLowerCase())
    expect(headers).toEqual(expect.arrayContaining([...answer.headers.keys()].filter((name) => !unspoken.has(name))))
    expect(Object.keys(described.content ?? {})).toEqual(type === undefined ? [] : [type])
    const wellMeant = answer.status < 300 && init.body !== undefined && init.faulty !== true
    if (wellMeant) expect(validate(JSON.parse(init.body as string), ...place, "requestBody", "content", "application/json", "schema")).toEqual([])
    if (!type?.includes("json")) {
      await answer.body?.cancel()
      return null
    }
    const body = await answer.json() as any
    expect(validate(body, ...place, "responses", String(answer.status), "content", type, "schema"), JSON.stringify(body)).toEqual([])
    return { status: answer.status, headers: answer.headers, body, validate }
  }
}

describe("real answers are what the document says", () => {
  test("of products, their changes and their refusals", async () => {
    const exchange = await against(apps), all = "/v1/products", one = "/v1/products/{id}"
    const made = await exchange("POST", all, all, { ...json(lamp({ description: "Bright 💡" })), headers: { "idempotency-key": "a" } })
    const path = made!.headers.get("location")!, { sku } = made!.body
    const first = json(lamp({ sku: "replayed" }))
    for (let i = 0; i < 2; i++) await exchange("POST", all, all, { ...first, headers: { "idempotency-key": "b" } })
    expect((await exchange("POST", all, all, { ...json(lamp()), headers: { "idempotency-key": "b" } }))!.body.type).toBe("/problems/idempotency-key-reused")
    expect((await exchange("POST", all, all, json(lamp({ sku }))))!.body.type).toBe("/problems/sku-taken")
    expect((await exchange("POST", all, all, json(lamp({ name: "", colour: "red" }))))!.body.errors).toHaveLength(2)
    await exchange("POST", all, all, { body: "{" })
    await exchange("POST", all, all, { body: "<a/>", headers: { "content-type": "application/xml" } })
    await exchange("POST", all, all, { body: " ".repeat(1024 * 1024 + 1) })

    const read = await exchange("GET", one, path)
    await exchange("GET", one, path, { headers: { "if-none-match": read!.headers.get("etag")! } })
    await exchange("GET", one, path, { headers: { "consistency-token": "forged" } })
    await exchange("GET", one, `${path}?version=1`)
    await exchange("GET", one, `${path}?version=9`)
    await exchange("GET", one, `${path}?version=0`)
    await exchange("PATCH", one, path, json({ price: { amount: 5 }, description: null }))
    await exchange("PATCH", one, path, { ...json({ name: "Late" }), headers: { "if-match": `"1"` } })
    const adjust = `${one}/stock-adjustments`
    await exchange("POST", adjust, `${path}/stock-adjustments`, json({ delta: 2, reason: null }))
    expect((await exchange("POST", adjust, `${path}/stock-adjustments`, json({ delta: -100 })))!.body.type).toBe("/problems/insufficient-stock")
    await exchange("GET", all, `${all}?limit=1&status=active`)
    await exchange("GET", all, `${all}?limit=0&status=broken`)
    await exchange("GET", `${one}/events`, `${path}/events?limit=1`)
    await exchange("DELETE", one, path)
    await exchange("GET", one, path)
    await exchange("GET", one, `${all}/none`)
    await exchange("GET", all, all, { key: null })
    await exchange("GET", all, all, { key: await apps.keyWith(["orders:read"]) })
    await exchange("POST", `${all}/batch`, `${all}/batch`, json({ items: [lamp(), lamp({ sku: "replayed" })] }))
    await exchange("POST", `${all}/batch`, `${all}/batch`, json({ items: [] }))
    expect((await exchange("POST", `${all}/batch`, `${all}/batch`, { ...json({ items: [lamp(), { name: "" }] }), faulty: true }))!.body.results[1].status).toBe(422)
  })

  test("of customers, whoever looks at them, and what an erasure leaves of them and their orders", async () => {
    const exchange = await against(apps), all = "/v1/customers", one = "/v1/customers/{id}", lookup = `${all}/lookup`
    const email = `${randomUUID()}@example.org`, home = { line1: "Lindenstraße 1", line2: null, city: "Köln", country: "Deutschland" }
    const path = (await exchange("POST", all, all, json({ name: "Ada", email, phone: "+49 30 1", address: home, marketingConsent: true })))!.headers.get("location")!
    expect((await exchange("POST", all, all, json({ name: "Bob", email, marketingConsent: false })))!.body.type).toBe("/problems/email-taken")
    expect((await exchange("PATCH", one, path, json({ address: { city: "Bonn" }, phone: null })))!.body.phoneHash).toBeNull()
    await exchange("PATCH", one, path, { ...json({ name: "" }), faulty: true })
    const read = await exchange("GET", one, path)
    expect((await exchange("GET", one, `${path}?view=full`))!.body.address.city).toBe("Bonn")
    expect((await exchange("GET", one, `${path}?view=full&version=1`))!.body.address.city).toBe("Köln")
    await exchange("GET", one, `${path}?view=full`, { headers: { "if-none-match": read!.headers.get("etag")! } })
    expect((await exchange("GET", one, `${path}?view=part`))!.status).toBe(400)
    expect((await exchange("GET", one, `${path}?view=full`, { key: await apps.keyWith(["customers:read"]) }))!.status).toBe(403)
    await exchange("GET", one, `${path}?version=1`)
    await exchange("GET", all, all)
    await exchange("GET", `${one}/events`, `${path}/events`)
    expect((await exchange("POST", lookup, lookup, json({ email })))!.body).toEqual(read!.body)
    await exchange("POST", lookup, lookup, json({ email: "nobody@example.org" }))
    await exchange("POST", lookup, lookup, json({ email: "nobody", phone: "1" }))

    const product = (await exchange("POST", "/v1/products", "/v1/products", json(lamp())))!.body.id as string
    const orders = "/v1/orders", order = "/v1/orders/{id}", shippingAddress = { name: "Ada", ...home }, customerId = path.split("/").at(-1)!
    const place = (lines: readonly object[], more: object = {}) => exchange("POST", orders, orders, json({ customerId, lines, shippingAddress, ...more }))
    const placed = (await place([{ productId: product, quantity: 1 }]))!.headers.get("location")!
    const another = (await place([{ productId: product, quantity: 1, unitPrice: { amount: 5, currency: "EUR" } }]))!.headers.get("location")!
    expect((await place([{ productId: product, quantity: 9 }]))!.body.type).toBe("/problems/insufficient-stock")
    expect((await place([{ productId: randomUUID(), quantity: 1 }], { customerId: randomUUID() }))!.body.errors).toHaveLength(2)
    expect((await exchange("POST", `${order}/shipment`, `${placed}/shipment`, json({ carrier: "DHL", trackingNumber: "1" })))!.body.type).toBe("/problems/order-not-paid")
    await exchange("POST", `${order}/payment`, `${placed}/payment`, json({ reference: "p" }))
    await exchange("POST", `${order}/shipment`, `${placed}/shipment`, json({ carrier: "DHL", trackingNumber: "1" }))
    await exchange("POST", `${order}/delivery`, `${placed}/delivery`, { ...json({ at: "noon" }), faulty: true })
    expect((await exchange("POST", `${order}/delivery`, `${placed}/delivery`))!.body.status).toBe("delivered")
    expect((await exchange("POST", `${order}/cancellation`, `${another}/cancellation`, json({ reason: "Late" })))!.body.status).toBe("cancelled")
    expect((await exchange("GET", order, `${placed}?view=full`))!.body.shippingAddress).toMatchObject(shippingAddress)
    await exchange("GET", orders, `${orders}?customerId=${customerId}&status=delivered`)
    await exchange("GET", orders, `${orders}?customerId=none`)
    await exchange("GET", `${order}/events`, `${placed}/events`)

    expect((await exchange("DELETE", one, path))!.body).toMatchObject({ keyDestroyed: true, orders: 2 })
    expect((await exchange("DELETE", one, path))!.status).toBe(410)
    for (const query of ["", "?view=full", "?version=1"]) expect((await exchange("GET", one, `${path}${query}`))!.status).toBe(410)
    expect((await exchange("GET", order, `${placed}?view=full`))!.body.shippingAddress).toBeNull()
    expect((await place([{ productId: product, quantity: 1 }]))!.body.type).toBe("/problems/customer-erased")
  })

  test("what the document refuses of a body, the service refuses, and the other way round", async () => {
    const exchange = await against(apps), all = "/v1/products"
    const { validate } = (await exchange("GET", all, all))!
    const bad: readonly object[] = [
      { sku: undefined }, { sku: "" }, { sku: "x".repeat(201) }, { sku: "\u0000" }, { stock: -1 }, { stock: 0.5 }, { stock: 2 ** 53 }, { stock: "1" }, { more: 1 },
      { price: { amount: 1 } }, { price: { amount: 1, currency: "eur" } }, { price: null }, { description: "" }, { description: 1 }
    ]
    const good: readonly object[] = [{ sku: `${"💡".repeat(199)}a` }, { stock: 0 }, { stock: 2 ** 53 - 1 }, { description: null }, { description: "x".repeat(2_000) }]
    for (const [bodies, status] of [[bad, 422], [good, 201]] as const) {
      for (const more of bodies) {
        const body = JSON.parse(JSON.stringify(lamp(more))) as unknown
        const faults = validate(body, "paths", all, "post", "requestBody", "content", "application/json", "schema")
        expect([(await apps.call("POST", all, json(body))).status, faults.length > 0], JSON.stringify(more)).toEqual([status, status === 422])
      }
    }
  })

  test("of a limit, of operators, of the stream, and of what is open", async () => {
    const apps = await open({ environment: { RATE_LIMIT_PER_SECOND: "1000" } }), exchange = await against(apps)
    const path = (await exchange("POST", "/v1/products", "/v1/products", json(lamp())))!.headers.get("location")!, id = path.split("/").at(-1)!
    for (const path of ["/healthz", "/readyz", "/docs", "/openapi.json"]) await exchange("GET", path, path, { key: null })
    await exchange("GET", "/problems/{name}", "/problems/deleted")
    await exchange("GET", "/problems/{name}", "/problems/none")
    for (const measure of ["/metrics", "/ops/queue-size", "/ops/stats", "/ops/retry-queue"]) await exchange("GET", measure, measure)
    const entry = "/ops/entries/{kind}/{id}", row = "/ops/retry-queue/{kind}/{id}", replay = "/ops/retry-queue/replay"
    await exchange("GET", "/v1/products/{id}", path)
    await exchange("GET", entry, `/ops/entries/product/${id}`)
    await exchange("DELETE", entry, `/ops/entries/product/${id}`)
    await exchange("GET", entry, `/ops/entries/product/${id}`)
    await exchange("GET", entry, "/ops/entries/product/none")
    await apps.query("insert into sync_retry_queue (kind, entity_id, version_id, reason, next_attempt_at) values ('product', $1, 1, 'test', clock_timestamp() + interval '1 hour')", [id])
    await exchange("GET", "/ops/retry-queue", "/ops/retry-queue?state=delayed")
    await exchange("GET", "/ops/retry-queue", "/ops/retry-queue?state=lost")
    await exchange("DELETE", row, `/ops/retry-queue/product/${id}`)
    await exchange("POST", replay, replay, json({ dryRun: true }))
    await exchange("POST", replay, replay, json({ kind: "product", id }))
    await exchange("POST", replay, replay, json({ kind: "product" }))
    await exchange("DELETE", row, "/ops/retry-queue/product/none")
    await exchange("GET", "/v1/changes", "/v1/changes?after=0")
    await exchange("GET", "/v1/changes", "/v1/changes?after=now")
  })

  test("of a kind in shadow", async () => {
    const apps = await open({ environment: { CACHE_READS: "product" } }), exchange = await against(apps), one = "/v1/products/{id}"
    const path = (await exchange("POST", "/v1/products", "/v1/products", json(lamp())))!.headers.get("location")!
    for (const [template, at] of [[one, path], ["/v1/products", "/v1/products"], [one, `/v1/products/${randomUUID()}`]] as const) {
      expect((await exchange("GET", template, at))!.headers.get("cache-status")).toBe("holdfast; fwd=bypass; detail=shadow")
    }
    expect((await exchange("GET", "/ops/stats", "/ops/stats"))!.body.shadow.kinds).toMatchObject([{ kind: "product", safe: false }])
  })

  test("of verifications and rebuilds, while they wait and when they are done", async () => {
    const apps = await open(), exchange = await against(apps), verifications = "/ops/verifications", rebuilds = "/ops/rebuilds"
    const runs = [
      [verifications, (await exchange("POST", verifications, verifications, json({ kind: "product", sample: 0.5 })))!],
      [rebuilds, (await exchange("POST", rebuilds, rebuilds, json({ target: "cache" })))!],
      [rebuilds, (await exchange("POST", rebuilds, rebuilds, json({ target: "rows" })))!]
    ] as const
    const found = { kind: "product", id: randomUUID() }, behind = { ...found, versionId: 2, entryVersionId: 1 }, different = { ...found, fields: ["stock"] }
    const tally = (first: object) => JSON.stringify({ counts: { fine: 1, behind: 1, repaired: 1, filled: 3 }, oldestSeconds: { behind: 1.5 }, first })
    for (const done of [false, true]) {
      for (const [path, { headers }] of runs) await exchange("GET", `${path}/{id}`, headers.get("location")!)
      await exchange("GET", "/ops/stats", "/ops/stats")
      if (!done) await apps.query("update verifications set started_at = now(), finished_at = now(), tally = case work when 'verification' then $1::json else $2::json end", [tally({ behind: [behind] }), tally({ different: [different] })])
    }
    await exchange("GET", `${rebuilds}/{id}`, `${rebuilds}/none`)
    await exchange("POST", verifications, verifications, json({ sample: 2 }))
    await exchange("POST", rebuilds, rebuilds, json({}))
  })

  test("and of too many requests", async () => {
    const apps = await open({ environment: { RATE_LIMIT_PER_SECOND: "1" } }), exchange = await against(apps)
    const statuses = await Promise.all(Array.from({ length: 20 }, () => exchange("GET", "/v1/products", "/v1/products")))
    expect(statuses.some((answer) => answer!.body.type === "/problems/rate-limited")).toBe(true)
  })
})

describe("GET /docs", () => {
  test("shows every route, parameter, schema and problem of the document", async () => {
    const answer = await apps.call("GET", "/docs", { key: null })
    const page = await answer.text()
    const shows = (part: string) => expect(page.includes(part), part).toBe(true)
    for (const [name, { operationId }] of operationsIn(document)) {
      shows(`<article id="${operationId}"`)
      shows(`<a href="#${operationId}"><code>${name}</code></a>`)
    }
    for (const name of Object.keys(document.components.schemas)) shows(`id="schema-${name}"`)
    for (const name of Object.keys(PROBLEMS)) shows(`href="/problems/${name}"`)
    for (const name of ["Idempotency-Key", "If-Match", "limit", "cursor", "status", "currency", "items[].price"]) shows(`<code>${name}</code>`)
    shows("integer, 1 to 200, 50 if not sent")
  })

  test("asks nobody for anything, runs nothing, and only its own style counts", async () => {
    const answer = await apps.call("GET", "/docs", { key: null }), page = await answer.text()
    expect(answer.headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]+=*'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/)
    expect(page).not.toMatch(/<script|<img|<iframe|<link|<object|\son\w+=|\ssrc=|style=|@import|url\(|https?:/i)
    const style = /<style>(.*?)<\/style>/s.exec(page)![1]!
    expect(answer.headers.get("content-security-policy")).toContain(createHash("sha256").update(style).digest("base64"))
  })

  test("can be used without seeing it: a language, a title, one heading of the page, landmarks, and links that lead somewhere", async () => {
    const page = await (await apps.call("GET", "/docs", { key: null })).text()
    for (const part of [`<html lang="en">`, "<title>", `<main id="main">`, "<nav aria-label=", `<a class="skip" href="#main">`]) expect(page.split(part)).toHaveLength(2)
    expect(page.match(/<h1/g)).toHaveLength(1)
    const ids = Array.from(page.matchAll(/ id="([^"]*)"/g), ([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [, target] of page.matchAll(/href="#([^"]*)"/g)) expect(ids).toContain(target)
    expect(page).not.toMatch(/\[object |undefined|NaN/)
  })
})
