import { Effect, Layer, ManagedRuntime } from "effect"
import { afterEach, expect, inject, test, vi } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { afterwards, freshDatabase, keptLog } from "../../test/support/services.ts"
import { kinds } from "../domain/kinds/kinds.ts"
import { Log } from "../domain/observe/Log.ts"
import { readConfiguration } from "../infrastructure/configuration/readConfiguration.ts"
import { layerServices } from "../infrastructure/live.ts"
import { Apps } from "./app.ts"

const KEY = "regression_tests_of_the_http_interface"

afterEach(() => void vi.useRealTimers())

const openApp = async (environment: Readonly<Record<string, string>> = {}) => {
  const database = await freshDatabase()
  const KEYRING_FILE = inject("keyringFile")
  const configuration = readConfiguration({ DATABASE_URL: database.url, KEYRING_FILE, CACHE_PROVIDER: "memory", BOOTSTRAP_API_KEY: KEY, ...environment }, "all")
  const services = layerServices({ ...configuration, DATABASE_URL: database.url, KEYRING_FILE, embedded: false })
  const { log, lines } = keptLog()
  const runtime = ManagedRuntime.make(Apps.layer(kinds, { opsPort: false }).pipe(Layer.provide(services), Layer.provide(Layer.succeed(Log, log))))
  afterwards(() => runtime.dispose())
  const { main } = await runtime.runPromise(Effect.service(Apps))
  const ask = (path: string, init: RequestInit = {}) => main.request(path, { ...init, headers: { ...init.headers, authorization: `Bearer ${KEY}` } })
  return { ask, database, lines }
}

// The comment to a listener that had gone used to throw out of its timer, and end the process.
test("a listener who hangs up while Postgres is silent hears nothing more", async () => {
  const { ask, database } = await openApp(), holder = await database.connect()
  // He is let in, and what is asked for him is not answered.
  await holder.query("begin; lock table outbox in access exclusive mode")
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
  const response = await ask("/v1/changes?after=0")
  expect([response.status, vi.getTimerCount()]).toEqual([200, 1])
  await response.body!.cancel()
  vi.advanceTimersByTime(15_000)
  expect(vi.getTimerCount()).toBe(0)
  await holder.query("rollback")
})

test("however many listen, other reads have a connection", async () => {
  const { ask, database } = await openApp({ DATABASE_POOL_MAX: "4" })
  const holder = await database.connect()
  await holder.query("begin; lock table outbox in access exclusive mode")
  const responses = await Promise.all(Array.from({ length: 10 }, () => ask("/v1/changes?after=0")))
  const listening = async () => (await database.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%o.kind = any%'")).length
  await eventually(async () => await listening() > 1)
  expect((await ask(`/v1/products/${crypto.randomUUID()}`)).status).toBe(404)
  // Of four: with more listeners the read would have waited until some of them had given up.
  expect(await listening()).toBeLessThan(3)
  await holder.query("rollback")
  for (const { body } of responses) await body!.cancel()
})

test("HEAD of the changes has the headers of GET, and nobody listens", async () => {
  const { ask } = await openApp()
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
  const response = await ask("/v1/changes?after=0", { method: "HEAD" })
  expect([response.status, response.headers.get("content-type"), response.body]).toEqual([200, "text/event-stream", null])
  expect(vi.getTimerCount()).toBe(0)
})

test.each(["constructor", "toString", "__proto__", "unheard-of"])("there is no page of a problem %s", async (name) => {
  const { ask } = await openApp()
  expect((await ask(`/problems/${name}`)).status).toBe(404)
})

// Each one used to be an error in the log, and a 500 in the metrics.
test("a client that hangs up in the middle of a body is no fault of the service", async () => {
  const { ask, lines } = await openApp()
  const body = new ReadableStream({ start: (controller) => controller.error(new Error("aborted")) })
  const response = await ask("/v1/products", { method: "POST", body, duplex: "half", headers: { "content-type": "application/json" } } as RequestInit)
  expect(response.status).toBe(400)
  expect(lines.filter(({ level }) => level === "error")).toEqual([])
})
