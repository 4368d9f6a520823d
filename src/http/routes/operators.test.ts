import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { newPerson } from "../../../test/support/persons.ts"
import { behindProxy, freshDatabase, freshRedis, run } from "../../../test/support/services.ts"
import { Cache } from "../../domain/cache/Cache.ts"
import { Keyspace } from "../../domain/cache/Keyspace.ts"
import { RetryQueue } from "../../domain/sync/RetryQueue.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>, http: Http
beforeEach(async () => {
  database = await freshDatabase()
  http = await openHttp({ database: database.url })
})

const create = async (of = http) => (await of.ask("POST", "/v1/products", { body: { sku: randomUUID(), name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 } })).json.id as string
const owe = (...ids: readonly string[]) => run(http.services.get(RetryQueue).owe(ids.map((id) => ({ kind: "product", id, version: 1, reason: "store missed" }))))

describe("the retry queue", () => {
  test("is listed page by page, and narrowed by state", async () => {
    const ids = [randomUUID(), randomUUID(), randomUUID()].sort()
    await owe(...ids)
    await database.query("update sync_retry_queue set dead = true where entity_id = $1", [ids[0]])
    await database.query("update sync_retry_queue set next_attempt_at = now() + interval '1 hour', attempts = 4 where entity_id = $1", [ids[1]])
    const first = await http.ask("GET", "/ops/retry-queue?limit=2")
    expect(first.json.items).toMatchObject([{ kind: "product", id: ids[0], versionId: 1, reason: "store missed", attempts: 0, state: "dead" }, { id: ids[1], attempts: 4, state: "delayed" }])
    const next = /<(.*)>; rel="next"/.exec(first.headers.get("link")!)![1]!
    expect(next).not.toContain("state")
    const second = await http.ask("GET", next)
    expect([second.json.items.map(({ id }: { id: string }) => id), second.json.nextCursor, second.headers.get("link")]).toEqual([[ids[2]], null, null])
    for (const [i, state] of ["dead", "delayed", "due"].entries()) {
      expect((await http.ask("GET", `/ops/retry-queue?state=${state}`)).json.items.map(({ id }: { id: string }) => id)).toEqual([ids[i]])
    }
    expect((await http.ask("GET", "/ops/queue-size")).json).toMatchObject({ queue: "sync_retry_queue", due: 1, delayed: 1, dead: 1 })
  })

  test("has no cursor that was not given out here", async () => {
    for (const text of ["", "product", `product ${randomUUID()} more`, "product nobody"]) {
      expect((await http.ask("GET", `/ops/retry-queue?cursor=${Buffer.from(text).toString("base64url")}`)).status, text).toBe(400)
    }
  })

  test("gives up a dead row alone, and keeps who did it", async () => {
    const [dead, alive] = [randomUUID(), randomUUID()]
    await owe(dead, alive)
    await database.query("update sync_retry_queue set dead = true where entity_id = $1", [dead])
    expect((await http.ask("DELETE", `/ops/retry-queue/product/${randomUUID()}`)).status).toBe(404)
    expect((await http.ask("DELETE", `/ops/retry-queue/product/${alive}`)).status).toBe(422)
    expect((await http.ask("DELETE", `/ops/retry-queue/lamp/${dead}`)).status).toBe(404)
    expect((await http.ask("DELETE", `/ops/retry-queue/product/${dead}`, { headers: { "x-request-id": "r-1" } })).status).toBe(204)
    expect(await database.query("select entity_id as id from sync_retry_queue")).toEqual([{ id: alive }])
    expect(await database.query("select actor, action, kind, entity_id, request from audit_log")).toEqual([{ actor: "bootstrap", action: "retry row discarded", kind: "product", entity_id: dead, request: "r-1" }])
  })

  test("is replayed as a whole without the dead, or one of it by name; a dry run tells what it would do", async () => {
    const [a, b, dead] = [await create(), await create(), await create()]
    await owe(a, b, dead)
    await database.query("update sync_retry_queue set next_attempt_at = now() + interval '1 hour'")
    await database.query("update sync_retry_queue set dead = true where entity_id = $1", [dead])
    expect(await http.ask("POST", "/ops/retry-queue/replay", { body: { dryRun: true } })).toMatchObject({ status: 200, json: { selected: 3, wouldStore: 0, alreadyCurrent: 3 } })
    expect(await http.ask("POST", "/ops/retry-queue/replay", { body: { kind: "product", id: dead.toUpperCase() } })).toMatchObject({ status: 202, json: { selected: 1 } })
    expect((await http.ask("POST", "/ops/retry-queue/replay", { body: {} })).json).toEqual({ selected: 3 })
    expect((await http.ask("GET", "/ops/queue-size")).json).toMatchObject({ due: 3, dead: 0 })
  })
})

describe("an entity explained", () => {
  const key = (id: string) => http.services.get(Keyspace).keyOf("product", id)
  const explain = async (id: string) => (await http.ask("GET", `/ops/entries/product/${id}`)).json
  const force = async (id: string, value: Uint8Array) => {
    const cache = http.services.get(Cache)
    await cache.evict(key(id))
    await cache.lease([key(id)], "forced")
    await cache.store([{ key: key(id), value, lease: "forced", ttlMilliseconds: 60_000 }])
  }
  const bytes = async (id: string) => Buffer.from((await http.services.get(Cache).describe(key(id))).value!)

  test("is consistent, and absent where the cache has nothing; a lease and a debt are shown", async () => {
    const id = await create()
    expect(await explain(id)).toMatchObject({ verdict: "consistent", lease: false, queued: false, row: { versionId: 1, deleted: false }, entry: { present: true, versionId: 1, tier: 1, tombstone: false }, events: [{ versionId: 1, type: "ProductCreated" }] })
    expect((await http.ask("DELETE", `/ops/entries/product/${id}`)).status).toBe(204)
    expect(await explain(id)).toMatchObject({ verdict: "absent", entry: null, lease: false })
    await http.services.get(Cache).lease([key(id)], "a reader's")
    await owe(id)
    expect(await explain(id)).toMatchObject({ verdict: "absent", entry: null, lease: true, queued: true })
  })

  test("is behind or ahead by its version, and behind by an older epoch", async () => {
    const id = await create(), first = await bytes(id)
    await http.ask("PATCH", `/v1/products/${id}`, { body: { name: "Torch" } })
    const second = await bytes(id)
    await force(id, first)
    expect(await explain(id)).toMatchObject({ verdict: "behind", row: { versionId: 2 }, entry: { versionId: 1 } })
    await force(id, second)
    await database.query("update products set version_id = 1 where id = $1", [id])
    expect(await explain(id)).toMatchObject({ verdict: "ahead" })
    await database.query("update products set version_id = 2 where id = $1", [id])
    await database.query("insert into database_epochs (epoch, system_identifier, timeline) select max(epoch) + 1000, min(system_identifier), min(timeline) from database_epochs")
    expect(await explain(id)).toMatchObject({ verdict: "behind", row: { versionId: 2 }, entry: { versionId: 2 } })
  })

  test("is undecodable where the bytes are none of ours", async () => {
    const id = await create(), damaged = await bytes(id)
    damaged.write("z", 45, "latin1")
    await force(id, damaged)
    expect(await explain(id)).toMatchObject({ verdict: "undecodable", entry: null, lease: false })
  })

  test("of a sealed kind shows its tier and the key that sealed it; altered it is undecodable, and an older one put back is behind", async () => {
    const path = (id: string) => `/ops/entries/customer/${id}`, cache = http.services.get(Cache)
    const { id } = (await http.ask("POST", "/v1/customers", { body: newPerson() })).json
    const key = http.services.get(Keyspace).keyOf("customer", id), stands = async () => Buffer.from((await cache.describe(key)).value!)
    const put = async (value: Uint8Array) => {
      await cache.evict(key)
      await cache.lease([key], "forced")
      await cache.store([{ key, value, lease: "forced", ttlMilliseconds: 60_000 }])
    }
    expect((await http.ask("GET", path(id))).json).toMatchObject({ verdict: "consistent", entry: { tier: 3, keyId: 1, versionId: 1 } })
    const first = await stands(), altered = Buffer.from(first)
    altered[altered.length - 1]! ^= 1
    await put(altered)
    expect((await http.ask("GET", path(id))).json).toMatchObject({ verdict: "undecodable", entry: null })
    await put(first)
    await http.ask("PATCH", `/v1/customers/${id}`, { body: { marketingConsent: false } })
    await put(first)
    expect((await http.ask("GET", path(id))).json).toMatchObject({ verdict: "behind", row: { versionId: 2 }, entry: { versionId: 1, tier: 3 } })
    expect((await http.ask("GET", `/v1/customers/${id}`)).json).toMatchObject({ versionId: 2, marketingConsent: false })
    expect((await http.ask("GET", path(id))).json).toMatchObject({ verdict: "consistent", entry: { versionId: 2 } })
  })

  test("that never was is consistent with an absence, and one that was deleted with a tombstone", async () => {
    const nobody = randomUUID(), id = await create()
    expect(await explain(nobody)).toMatchObject({ verdict: "absent", row: null, events: [] })
    await http.ask("GET", `/v1/products/${nobody}`)
    expect(await explain(nobody)).toMatchObject({ verdict: "consistent", row: null, entry: { versionId: 0, tombstone: false } })
    await http.ask("DELETE", `/v1/products/${id}`)
    expect(await explain(id)).toMatchObject({ verdict: "consistent", row: { versionId: 2, deleted: true }, entry: { tombstone: true } })
  })

  test("no kind but ours, and no text but an id, names one", async () => {
    for (const path of [`/ops/entries/lamp/${randomUUID()}`, "/ops/entries/product/1"]) {
      for (const method of ["GET", "DELETE"]) expect((await http.ask(method, path)).status).toBe(404)
    }
  })
})

describe("while servers are away", () => {
  test("what needs the cache is 503, an explanation too: that nothing stands there would be a guess", async () => {
    const redis = await freshRedis(), one = await openHttp({ database: database.url, redis: redis.url })
    await eventually(() => one.services.get(Cache).ping())
    const id = await create(one)
    await owe(id)
    await redis.kill()
    for (const [method, path, body] of [["GET", `/ops/entries/product/${id}`, undefined], ["DELETE", `/ops/entries/product/${id}`, undefined], ["POST", "/ops/retry-queue/replay", { dryRun: true }]] as const) {
      expect((await one.ask(method, path, { body })).status, path).toBe(503)
    }
    await eventually(async () => (await one.ask("GET", "/ops/stats")).json.breaker === "open", { within: 20_000 })
  })

  test("without the database operators are told 503", async () => {
    const proxy = await behindProxy(database.url), one = await openHttp({ database: proxy.to })
    await proxy.cut()
    for (const path of ["/ops/queue-size", "/ops/stats", "/ops/retry-queue"]) expect((await one.ask("GET", path)).status, path).toBe(503)
  })
})
