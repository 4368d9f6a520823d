import { randomBytes, randomUUID } from "node:crypto"
import { Clock, Context, Effect, ManagedRuntime } from "effect"
import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { afterwards, behindProxy, failing, freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import { layerMemorySessionStore } from "../../infrastructure/memory/MemorySessionStore.ts"
import { Cache } from "../cache/Cache.ts"
import { SubjectKeys } from "../secrets/SubjectKeys.ts"
import { Sessions } from "./Sessions.ts"
import { SessionStore } from "./SessionStore.ts"

const session = (data: Record<string, unknown>, ttlSeconds = 60) => ({ data, ttlSeconds, customerId: null })
const of = (customerId: string, ttlSeconds = 60) => ({ data: { of: customerId }, ttlSeconds, customerId })

/** A process with sessions; without `redis` those of the memory provider. */
const open = async (redis: string | undefined, database?: string) => {
  const services = await openServices({ database: database ?? (await freshDatabase()).url, redis })
  await eventually(() => services.get(Cache).ping())
  const sessions = services.get(Sessions)
  // They have a connection of their own.
  await eventually(() => run(sessions.get("nobody's")).then(() => true))
  return { services, sessions }
}
const openBy = async (provider: string) => open(provider === "redis" ? (await freshRedis()).url : undefined)
const PROVIDERS = ["memory", "redis"]

test.each(PROVIDERS)("a session is there until it is deleted or its time is over (%s)", async (provider) => {
  const { sessions } = await openBy(provider)
  expect(await run(sessions.get("a"))).toBeNull()
  await run(sessions.set("a", session({ cart: [1, 2] })))
  expect(await run(sessions.get("a"))).toMatchObject({ data: { cart: [1, 2] } })
  expect(await run(sessions.get("A"))).toBeNull()
  expect(await run(sessions.delete("a"))).toBe(true)
  expect(await run(sessions.delete("a"))).toBe(false)
  await run(sessions.set("b", session({}, 1)))
  await eventually(async () => await run(sessions.get("b")) === null)
})

test.each(PROVIDERS)("the sessions of a person end together, and those of others and of nobody stay (%s)", async (provider) => {
  const { sessions } = await openBy(provider)
  const [one, other] = [randomUUID(), randomUUID()]
  for (const id of ["a", "b", "c"]) await run(sessions.set(id, of(one)))
  await run(sessions.set("d", of(other)))
  await run(sessions.set("e", session({})))
  await run(sessions.delete("c"))
  // However the id is written.
  expect(await run(sessions.end(one.toUpperCase()))).toBe(2)
  expect(await Promise.all(["a", "b", "c", "d", "e"].map(async (id) => await run(sessions.get(id)) !== null))).toEqual([false, false, false, true, true])
  expect(await run(sessions.end(randomUUID()))).toBe(0)
})

test.each(PROVIDERS)("a session that somebody else took over ends with them, and not with who had it before (%s)", async (provider) => {
  const { sessions } = await openBy(provider)
  const [one, other] = [randomUUID(), randomUUID()]
  await run(sessions.set("a", of(one)))
  await run(sessions.set("a", of(other)))
  await run(sessions.set("b", of(one)))
  await run(sessions.set("b", session({})))
  expect(await run(sessions.end(one))).toBe(0)
  expect(await run(sessions.get("a"))).toMatchObject({ data: { of: other } })
  expect(await run(sessions.end(other))).toBe(1)
  expect(await run(sessions.get("b"))).not.toBeNull()
})

test.each(PROVIDERS)("once a person's sessions were ended no new one is kept, and one that stood under its id goes (%s)", async (provider) => {
  const { sessions } = await openBy(provider)
  const one = randomUUID()
  expect(await run(sessions.end(one))).toBe(0)
  await run(sessions.set("a", session({})))
  await run(sessions.set("a", of(one)))
  expect(await run(sessions.get("a"))).toBeNull()
})

test.each(PROVIDERS)("a person who was erased long ago has no new session either: the keys say so (%s)", async (provider) => {
  const { services, sessions } = await openBy(provider)
  const one = randomUUID()
  await run(sessions.set("a", of(one)))
  await run(services.get(SubjectKeys).destroy(one))
  await run(sessions.set("a", of(one)))
  expect(await run(sessions.get("a"))).toBeNull()
})

test("while the database is away a session is kept all the same, but of nobody whose sessions were ended", async () => {
  const redis = await freshRedis(), database = await freshDatabase(), proxy = await behindProxy(database.url)
  const { sessions } = await open(redis.url, proxy.to)
  const [one, erased] = [randomUUID(), randomUUID()]
  await run(sessions.end(erased))
  await proxy.cut()
  await run(sessions.set("a", of(one)))
  await run(sessions.set("b", of(erased)))
  expect(await run(sessions.get("a"))).not.toBeNull()
  expect(await run(sessions.get("b"))).toBeNull()
})

test("what leads from a person to their sessions lives as long as the longest of them, and expired ones are cleared out of it", async () => {
  const redis = await freshRedis(), { sessions } = await open(redis.url), one = randomUUID()
  await run(sessions.set("middle", of(one, 300)))
  await run(sessions.set("long", of(one, 500)))
  // The last one: however soon it expires, nobody has cleared it out before the next one comes.
  await run(sessions.set("short", of(one, 1)))
  const [key] = await redis.cli("keys", "hf-sessions-of:*") as string[]
  expect(Number(await redis.cli("pttl", key!))).toBeGreaterThan(400_000)
  expect(Number(await redis.cli("zcard", key!))).toBe(3)
  await eventually(async () => await run(sessions.get("short")) === null)
  await run(sessions.set("next", of(one, 300)))
  expect((await redis.cli("zrange", key!, "0", "-1") as string[])).toHaveLength(3)
  expect(Number(await redis.cli("pttl", key!))).toBeGreaterThan(400_000)
  expect(await run(sessions.end(one))).toBe(3)
  expect(Number(await redis.cli("pttl", key!))).toBeGreaterThan(2_591_000_000)
})

test("a session whose place among its person's was evicted is none either, once they were ended", async () => {
  const redis = await freshRedis(), { sessions } = await open(redis.url), one = randomUUID()
  await run(sessions.set("a", of(one)))
  const [key] = await redis.cli("keys", "hf-sessions-of:*") as string[]
  await redis.cli("del", key!)
  expect(await run(sessions.get("a"))).not.toBeNull()
  expect(await run(sessions.end(one))).toBe(0)
  expect(await run(sessions.get("a"))).toBeNull()
})

test("in Redis neither the id nor the data of a session can be read, in any encoding", async () => {
  const redis = await freshRedis(), { sessions } = await open(redis.url)
  // Nor whose it is.
  const id = randomBytes(12).toString("hex"), secret = "maria.anders@example.com", customerId = randomUUID()
  await run(sessions.set(id, { ...session({ secret }), customerId }))
  const keys = await redis.cli("keys", "*") as string[]
  const contents = keys.map(async (key) => String(await (key.startsWith("hf-sessions-of:") ? redis.cli("zrange", key, "0", "-1") : redis.cli("get", key))))
  const all = Buffer.from(`${keys.join(" ")} ${(await Promise.all(contents)).join(" ")}`)
  expect(keys.filter((key) => key.startsWith("hf-session:"))).toHaveLength(1)
  expect(keys.filter((key) => key.startsWith("hf-sessions-of:"))).toHaveLength(1)
  for (const value of [id, secret, customerId, customerId.replaceAll("-", "")]) {
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
  const redis = await freshRedis(), { sessions } = await open(redis.url)
  await run(sessions.set("a", session({ n: 1 }, 600)))
  const later = await open(redis.url), clock = Context.get(later.services.context, Clock.Clock)
  const after = (seconds: number): Clock.Clock => Object.assign(Object.create(clock), { currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + seconds * 1_000) })
  const at = (seconds: number) => run(later.sessions.get("a").pipe(Effect.provideService(Clock.Clock, after(seconds))))
  for (const seconds of [0, 300]) expect(await at(seconds)).toMatchObject({ data: { n: 1 } })
  expect(await at(600)).toBeNull()
  expect(await redis.cli("keys", "hf-session:*")).toHaveLength(1)
})

test("while the cache is away a session is unavailable, and never said to be absent", async () => {
  const redis = await freshRedis(), { sessions } = await open(redis.url)
  await run(sessions.set("a", session({})))
  await redis.kill()
  for (const asked of [sessions.get("a"), sessions.delete("a"), sessions.set("a", session({})), sessions.set("a", of(randomUUID())), sessions.end(randomUUID())]) {
    expect(await failing<unknown, unknown>(asked)).toMatchObject({ _tag: "CacheUnavailable" })
  }
})

test("of many sessions in a process the expired ones are cleared out, and the living stay; so are the names of those whose sessions were ended", async () => {
  const runtime = ManagedRuntime.make(layerMemorySessionStore)
  afterwards(() => runtime.dispose())
  const store = await runtime.runPromise(Effect.service(SessionStore))
  await store.set("living", randomBytes(4), 60_000, "somebody")
  await store.end("erased", 60_000)
  await store.end("erased long ago", 0)
  for (let i = 0; i < 2_500; i++) await store.set(`short-${i}`, randomBytes(4), 0, null)
  expect(await store.get("living")).not.toBeNull()
  expect(await store.get("short-2499")).toBeNull()
  await store.set("new", randomBytes(4), 60_000, "erased")
  expect(await store.get("new")).toBeNull()
  await store.set("new", randomBytes(4), 60_000, "erased long ago")
  expect(await store.get("new")).not.toBeNull()
})
