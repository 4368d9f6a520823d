import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import { behindProxy, freshDatabase, freshRedis } from "../../../test/support/services.ts"
import { Cache } from "../../domain/cache/Cache.ts"
import { CacheAccess } from "../../domain/cache/CacheAccess.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

test("Redis down is ready and degraded, also while nobody reads", async () => {
  const redis = await freshRedis(), { ask, services } = await openHttp({ database: database.url, redis: redis.url })
  const readiness = async () => {
    const { status, json } = await ask("GET", "/readyz", { key: null })
    return { status, ...json }
  }
  await eventually(() => services.get(Cache).ping())
  // A connection that took long is a cache that came back, and no relay is here to settle its partitions.
  const { distrusted, trust } = services.get(CacheAccess)
  await eventually(async () => {
    for (const partition of distrusted()) trust(partition)
    expect(await readiness()).toEqual({ status: 200, ready: true, degraded: false })
  }, { within: 20_000 })
  await redis.kill()
  // Nobody reads: the service looks by itself once a second, and five looks in a row have to fail.
  await eventually(async () => expect(await readiness()).toEqual({ status: 200, ready: true, degraded: true }), { within: 40_000 })
})

test("Postgres down is not ready, whether it refuses or is silent; the process is healthy all the same, and measured", async () => {
  const proxy = await behindProxy(database.url), { ask } = await openHttp({ database: proxy.to })
  await eventually(async () => expect((await ask("GET", "/readyz")).json).toEqual({ ready: true, degraded: false }), { within: 20_000 })
  const notReady = { status: 503, json: { ready: false, degraded: false } }
  proxy.blackhole()
  expect(await ask("GET", "/readyz")).toMatchObject(notReady)
  await proxy.cut()
  expect(await ask("GET", "/readyz")).toMatchObject(notReady)
  expect(await ask("GET", "/healthz")).toMatchObject({ status: 200, json: { status: "ok" } })
  expect((await ask("GET", "/metrics")).text).toContain("holdfast_reads_total")
})

test("every problem has a page that explains it, and nothing else has", async () => {
  const { ask } = await openHttp({ database: database.url })
  const page = await ask("GET", "/problems/sku-taken", { key: null })
  expect([page.status, page.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/html")])
  expect(page.text).toContain("SKU taken")
  for (const name of ["nothing", "toString", "__proto__"]) expect((await ask("GET", `/problems/${name}`, { key: null })).status, name).toBe(404)
})
