import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, ManagedRuntime, Option } from "effect"
import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { afterwards, failing, freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import { writeKeyring } from "../../infrastructure/crypto/keyringFile.ts"
import { layerMemorySessionStore } from "../../infrastructure/memory/MemorySessionStore.ts"
import { Cache } from "../cache/Cache.ts"
import { Sessions } from "./Sessions.ts"
import { SessionStore } from "./SessionStore.ts"

const session = (data: Record<string, unknown>, ttlSeconds = 60) => ({ data, ttlSeconds, customerId: null })

const keyringFile = () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-sessions-")), path = join(folder, "keyring.json")
  afterwards(() => rmSync(folder, { recursive: true }))
  writeKeyring(path)
  return path
}

/** A process with sessions; `redis` null for the memory provider. */
const open = async (redis: string | undefined, keyring = keyringFile()) => {
  const { url } = await freshDatabase()
  const services = await openServices({ database: url, redis, environment: { KEYRING_FILE: keyring } })
  await eventually(() => services.get(Cache).ping())
  const sessions = Option.getOrThrow(await run(Effect.provide(Effect.serviceOption(Sessions), services.context)))
  return { services, sessions, keyring }
}

test.each(["memory", "redis"])("a session is there until it is deleted or its time is over (%s)", async (provider) => {
  const { sessions } = await open(provider === "redis" ? (await freshRedis()).url : undefined)
  expect(await run(sessions.get("a"))).toBeNull()
  await run(sessions.set("a", session({ cart: [1, 2] })))
  expect(await run(sessions.get("a"))).toMatchObject({ data: { cart: [1, 2] } })
  expect(await run(sessions.get("A"))).toBeNull()
  expect(await run(sessions.delete("a"))).toBe(true)
  expect(await run(sessions.delete("a"))).toBe(false)
  await run(sessions.set("b", session({}, 1)))
  await eventually(async () => await run(sessions.get("b")) === null, { within: 5_000 })
})

test("in Redis neither the id nor the data of a session can be read, in any encoding", async () => {
  const redis = await freshRedis(), { sessions } = await open(redis.url)
  const id = randomBytes(12).toString("hex"), secret = "maria.anders@example.com"
  await run(sessions.set(id, session({ secret })))
  const keys = await redis.cli("keys", "*") as string[]
  const all = Buffer.concat(await Promise.all(keys.map(async (key) => Buffer.from(`${key} ${String(await redis.cli("get", key))}`))))
  expect(keys.filter((key) => key.startsWith("hf-session:"))).toHaveLength(1)
  for (const value of [id, secret]) {
    for (const text of [value, Buffer.from(value).toString("hex"), Buffer.from(value).toString("base64").slice(0, -4), encodeURIComponent(value)]) {
      expect(all.includes(text)).toBe(false)
    }
  }
})

test("a sealed session that was altered, or moved to another id, is none", async () => {
  const redis = await freshRedis(), { sessions } = await open(redis.url)
  await run(sessions.set("a", session({ who: "a" })))
  const [key] = await redis.cli("keys", "hf-session:*") as string[]
  await run(sessions.set("b", session({ who: "b" })))
  const other = (await redis.cli("keys", "hf-session:*") as string[]).find((name) => name !== key)!
  await redis.cli("copy", key!, other, "replace")
  expect(await run(sessions.get("b"))).toBeNull()
  expect(await run(sessions.get("a"))).toMatchObject({ data: { who: "a" } })
  // A bit, because a byte may happen to be what it is set to.
  const bit = await redis.cli("getbit", key!, 160) as number
  await redis.cli("setbit", key!, 160, 1 - bit)
  expect(await run(sessions.get("a"))).toBeNull()
})

test("a session outlives its process, and what has expired by its own time is gone though the store still has it", async () => {
  const redis = await freshRedis(), { sessions, keyring } = await open(redis.url)
  await run(sessions.set("a", session({ n: 1 })))
  const later = await open(redis.url, keyring)
  expect(await run(later.sessions.get("a"))).toMatchObject({ data: { n: 1 } })
  await run(sessions.delete("a"))
  await run(sessions.set("a", session({ n: 2 }, 2)))
  const [key] = await redis.cli("keys", "hf-session:*") as string[]
  await redis.cli("persist", key!)
  await eventually(async () => await run(later.sessions.get("a")) === null, { within: 5_000 })
  expect(await redis.cli("exists", key!)).toBe(1)
})

test("while the cache is away a session is unavailable, and never said to be absent", async () => {
  const redis = await freshRedis(), { sessions } = await open(redis.url)
  await run(sessions.set("a", session({})))
  await redis.kill()
  for (const asked of [sessions.get("a"), sessions.delete("a"), sessions.set("a", session({}))]) expect(await failing<unknown, unknown>(asked)).toMatchObject({ _tag: "CacheUnavailable" })
})

test("of many sessions in a process the expired ones are cleared out, and the living stay", async () => {
  const runtime = ManagedRuntime.make(layerMemorySessionStore)
  afterwards(() => runtime.dispose())
  const store = await runtime.runPromise(Effect.service(SessionStore))
  await store.set("living", randomBytes(4), 60_000)
  for (let i = 0; i < 2_500; i++) await store.set(`short-${i}`, randomBytes(4), 0)
  expect(await store.get("living")).not.toBeNull()
  expect(await store.get("short-2499")).toBeNull()
})
