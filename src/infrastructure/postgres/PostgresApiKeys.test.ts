import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { startProxy } from "../../../test/support/proxy.ts"
import { ApiKeys, SCOPES } from "../../domain/access/ApiKeys.ts"
import { Log } from "../../domain/observe/Log.ts"
import { migrate } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"
import { layerPostgresApiKeys } from "./PostgresApiKeys.ts"
import type { ApiKeyOptions } from "./PostgresApiKeys.ts"

const quiet = () => undefined
const log = Log.of({ debug: quiet, info: quiet, warn: quiet, error: quiet })

let url: string
const undo: (() => unknown)[] = []
beforeAll(async () => {
  url = await createDatabase()
  await Effect.runPromise(migrate(url, { partitions: 64, log }))
})
afterAll(async () => {
  for (const step of undo.reverse()) await step()
  await dropDatabase(url)
})

const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)

/** The keys as one process has them. */
const process = async (options: Partial<ApiKeyOptions & { url: string }> = {}) => {
  const runtime = ManagedRuntime.make(Layer.provide(
    Layer.provideMerge(layerPostgresApiKeys({ bootstrapKey: null, devKey: false, ...options }), Postgres.layer({ url, poolMax: 2, ...options })),
    Layer.succeed(Log, log)
  ))
  undo.push(() => runtime.dispose())
  return { keys: await runtime.runPromise(ApiKeys), pool: (await runtime.runPromise(Postgres)).pool }
}

test("a key is valid at once, with its scopes, and its text is kept nowhere", async () => {
  const { keys, pool } = await process()
  const { id, text } = await run(keys.create("shop", ["catalog:read", "ops:read"]))
  expect(text).toMatch(new RegExp(`^hf_${id}_[A-Za-z0-9]{43}$`))
  expect(id).toMatch(/^[a-z0-9]{12}$/)
  expect(await keys.authenticate(text)).toEqual({ id, scopes: new Set(["catalog:read", "ops:read"]) })
  expect((await run(keys.list)).find((key) => key.id === id)).toEqual({
    id, name: "shop", scopes: ["catalog:read", "ops:read"], createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/), revokedAt: null
  })
  const { rows } = await pool.query("select string_agg(k::text, '') as kept from api_keys k")
  expect(rows[0].kept).not.toContain(text.slice(-43))
})

test("a key that another process made is known when it first comes", async () => {
  const [one, other] = [await process(), await process()]
  const { id, text } = await run(one.keys.create("elsewhere", ["catalog:read"]))
  expect(await other.keys.authenticate(text)).toMatchObject({ id })
})

test("unknown keys ask the database once a second, together", async () => {
  const began = performance.now(), { keys, pool } = await process()
  const unknown = (i: number) => `hf_${"a".repeat(12)}_${String(i).padStart(40, "0")}`
  let asked = 0
  pool.on("acquire", () => asked++)
  const realNow = performance.now.bind(performance), clock = vi.spyOn(performance, "now")
  // Every 5 s a process asks by itself, and so may have one that stalled in here.
  const byItself = () => Math.floor((realNow() - began) / 5_000)
  try {
    const at = realNow()
    clock.mockReturnValue(at)
    expect(await Promise.all(Array.from({ length: 50 }, (_, i) => keys.authenticate(unknown(i))))).toEqual(Array.from({ length: 50 }, () => null))
    clock.mockReturnValue(at + 999)
    expect(await keys.authenticate(unknown(51))).toBeNull()
    expect(asked).toBeGreaterThanOrEqual(1)
    expect(asked).toBeLessThanOrEqual(1 + byItself())
    const before = asked
    clock.mockReturnValue(at + 1_000)
    expect(await keys.authenticate(unknown(52))).toBeNull()
    expect(asked).toBeGreaterThan(before)
  } finally {
    clock.mockRestore()
  }
})

test("what has not the form of a key is nobody's, and asks nobody", async () => {
  const began = performance.now(), { keys, pool } = await process()
  let asked = 0
  pool.on("acquire", () => asked++)
  for (const text of ["", "dev", "hf_short_abc", `hf_${"a".repeat(12)}_${"x".repeat(31)}`, `hf_${"a".repeat(12)}_${"x".repeat(5_000)}`]) {
    expect(await keys.authenticate(text)).toBeNull()
  }
  // But by itself, every 5 s.
  expect(asked).toBeLessThanOrEqual(Math.floor((performance.now() - began) / 5_000))
})

test("a revoked key is nobody's: here at once, elsewhere after the next refresh", async () => {
  const [one, other] = [await process(), await process()]
  const { id, text } = await run(one.keys.create("short-lived", ["catalog:read"]))
  expect(await other.keys.authenticate(text)).toMatchObject({ id })
  expect(await run(one.keys.revoke(id))).toBe(true)
  expect(await run(one.keys.revoke(id))).toBe(false)
  expect(await one.keys.authenticate(text)).toBeNull()
  expect((await run(one.keys.list)).find((key) => key.id === id)!.revokedAt).toMatch(/Z$/)
  await eventually(async () => await other.keys.authenticate(text) === null, { within: 20_000 })
})

test("keys stay valid while the database is away", async () => {
  const target = new URL(url), proxy = await startProxy({ host: target.hostname, port: Number(target.port) })
  undo.push(proxy.stop)
  const behind = new URL(url)
  behind.host = `127.0.0.1:${proxy.port}`
  const { keys } = await process({ url: behind.href })
  const { id, text } = await run(keys.create("cut off", ["catalog:read"]))
  await proxy.cut()
  expect(await keys.authenticate(`hf_${"b".repeat(12)}_${"x".repeat(40)}`)).toBeNull()
  expect(await keys.authenticate(text)).toMatchObject({ id })
})

// One that failed of something that Postgres is not expected to say was the last, and a revoked key stayed valid for as long as the process lived.
test("what goes wrong in the schema for a moment ends no refresh: keys stay valid, and one that is revoked elsewhere is refused after the next", async () => {
  const [one, other] = [await process(), await process()]
  const { id, text } = await run(one.keys.create("outlived", ["catalog:read"]))
  expect(await other.keys.authenticate(text)).toMatchObject({ id })
  await one.pool.query("alter table api_keys rename to away")
  try {
    let released = 0
    other.pool.on("release", () => released++)
    expect(await other.keys.authenticate(`hf_${"c".repeat(12)}_${"x".repeat(40)}`)).toBeNull()
    const before = released
    // Without anybody's asking, and after the answer.
    await eventually(() => released > before, { within: 20_000 })
    expect(await other.keys.authenticate(text)).toMatchObject({ id })
  } finally {
    await one.pool.query("alter table away rename to api_keys")
  }
  expect(await run(one.keys.revoke(id))).toBe(true)
  await eventually(async () => await other.keys.authenticate(text) === null, { within: 20_000 })
})

test("the bootstrap key and dev have every scope where they are allowed", async () => {
  const bootstrapKey = "bootstrap-".repeat(4)
  const { keys } = await process({ bootstrapKey, devKey: true })
  expect(await keys.authenticate(bootstrapKey)).toEqual({ id: "bootstrap", scopes: new Set(SCOPES) })
  expect(await keys.authenticate("dev")).toEqual({ id: "dev", scopes: new Set(SCOPES) })
  const plain = await process()
  expect(await plain.keys.authenticate(bootstrapKey)).toBeNull()
  expect(await plain.keys.authenticate("dev")).toBeNull()
})
