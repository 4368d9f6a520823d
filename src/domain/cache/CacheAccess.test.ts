import { describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { afterwards, behindProxy, creating, failing, freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import type { ServiceOptions } from "../../../test/support/services.ts"
import { Commands } from "../Commands.ts"
import { Metrics } from "../observe/Metrics.ts"
import { Cache } from "./Cache.ts"
import { CacheAccess } from "./CacheAccess.ts"
import { Keyspace } from "./Keyspace.ts"

const open = async (environment: Record<string, string> = {}, more: Partial<ServiceOptions> = {}) => {
  const database = await freshDatabase(), redis = await freshRedis({ args: [] }), proxy = await behindProxy(redis.url)
  const services = await openServices({ database: database.url, redis: proxy.to, environment, ...more })
  const access = services.get(CacheAccess), cache = services.get(Cache)
  await eventually(() => cache.ping())
  const key = (id: string) => services.get(Keyspace).keyOf("product", id)
  const create = async () => (await run(services.get(Commands).create(creating()))).id
  return { redis, proxy, services, access, cache, key, create }
}
/** As a service does. */
const HURRIED = { shortestDeadlineMilliseconds: 50 }
/** For tries that fail at once: on a slow machine all of them are made. */
const PATIENT = { shortestDeadlineMilliseconds: 20_000 }
/** How often 10 ms have passed for this process since: that it stood still meanwhile, however long, counts once. */
const moments = () => {
  let count = 0
  const timer = setInterval(() => { count++ }, 10)
  afterwards(() => clearInterval(timer))
  return () => count
}
/** Asks until the breaker is open. */
const fail = (access: CacheAccess["Service"], key: ReturnType<Keyspace["Service"]["keyOf"]>) =>
  eventually(async () => (await access.look(key, false)) === null && access.state() === "open")

test("what begins to be distrusted while a look is under way is not served", async () => {
  const { access, key, create } = await open()
  const id = await create()
  const look = access.look(key(id), false)
  access.distrust([key(id).partition])
  expect(await look).toBeNull()
})

test("all looks of one turn of the event loop leave as one, and each has its own answer", async () => {
  const { redis, access, key, create } = await open()
  const ids = [await create(), await create(), await create()]
  // Of entries: who looks for the checkpoints once a second does it with the same command.
  const calls = async () => (await redis.cli("SLOWLOG", "GET", -1) as [number, number, number, string[]][]).filter(([, , , [command, ...keys]]) => /^mget$/i.test(command!) && keys.some((of) => of.includes(":product:"))).length
  await redis.cli("CONFIG", "SET", "slowlog-log-slower-than", 0)
  const before = await calls()
  const looks = await Promise.all([...ids, "nobody"].map((id) => access.look(key(id), true)))
  expect(await calls()).toBe(before + 1)
  expect(looks.map((look) => look!.value === null)).toEqual([false, false, false, true])
  for (const [i, id] of ids.entries()) expect(Buffer.from(looks[i]!.value!).toString()).toContain(id)
  expect(looks[0]!.checkpoint).toBeNull()
  // No command has so many keys that it holds the cache up for everybody else.
  await Promise.all(Array.from({ length: 1_001 }, (_, i) => access.look(key(`many-${i}`), false)))
  expect(await calls()).toBe(before + 4)
})

describe("while the cache does not answer", () => {
  test("a call ends at its deadline, five open the breaker, and then none is made", async () => {
    const { redis, services, access, key, cache } = await open({}, HURRIED)
    await redis.freeze()
    const passed = moments()
    expect(await access.look(key("a"), false)).toBeNull()
    // The connection itself would wait for a second.
    expect(passed()).toBeLessThan(50)
    await fail(access, key("a"))
    expect(access.trusts(0)).toBe(false)
    expect(services.lines).toContainEqual({ level: "warn", message: "Redis unavailable, falling back to PostgreSQL", fields: { cache: "redis" } })
    expect((await services.get(Metrics).exposition()).body).toMatch(/^holdfast_breaker_open 1$/m)
    // Open, it costs nothing: no call waits for anything.
    const since = moments()
    for (let i = 0; i < 100; i++) expect(await access.look(key("a"), false)).toBeNull()
    for (const call of [access.lease([key("a")], "t"), access.store([]), access.fill([]), access.evict(key("a")), access.work(() => cache.ping())]) {
      expect(await failing(call)).toMatchObject({ _tag: "CacheUnavailable", reason: "breaker open" })
    }
    await run(access.giveBack([key("a")], "t"))
    expect(since()).toBeLessThan(HURRIED.shortestDeadlineMilliseconds * 100 / 10 / 2)
  })

  test("work on the cache itself has two seconds", async () => {
    const { proxy, access } = await open()
    proxy.blackhole("answers")
    const began = performance.now()
    // Longer than the connection's own patience.
    expect(await failing(access.work(() => new Promise(() => undefined)))).toMatchObject({ reason: "no answer" })
    expect(performance.now() - began).toBeGreaterThan(1_900)
    expect(await failing(access.work((cache) => cache.ping()))).toMatchObject({ _tag: "CacheUnavailable" })
  })

  test("a store has the write's budget, whatever the deadline of a look is", async () => {
    const { proxy, access, key } = await open({ SYNC_BUDGET_MS: "20000" }, HURRIED)
    proxy.delay(150)
    expect(await run(access.store([]))).toEqual([])
    expect(await run(access.store([{ key: key("a"), value: Buffer.alloc(46, "1"), lease: null, ttlMilliseconds: 1_000 }]))).toEqual(["absent"])
    expect(await failing(access.fill([{ key: key("a"), value: Buffer.alloc(46, "1"), lease: null, ttlMilliseconds: 1_000 }]))).toMatchObject({ reason: "no answer" })
  })
})

describe("a call that fails at once", () => {
  const calls = async (redis: Awaited<ReturnType<typeof open>>["redis"], command: string, count: "calls" | "rejected_calls") =>
    Number(new RegExp(`cmdstat_${command}:.*?\\b${count}=(\\d+)`).exec(String(await redis.cli("INFO", "commandstats")))?.[1] ?? 0)

  test("is tried again within its deadline, as often as is configured", async () => {
    const { redis, access, key } = await open({ FALLBACK_RETRY_ATTEMPTS: "3" }, PATIENT)
    await redis.cli("DEL", "x")
    await redis.cli("ACL", "SETUSER", "default", "-del")
    const before = await calls(redis, "del", "rejected_calls")
    expect(await failing(access.evict(key("a")))).toMatchObject({ reason: "no answer" })
    expect(await calls(redis, "del", "rejected_calls")).toBe(before + 3)
  })

  test("and its later success is a success", async () => {
    const { redis, access, key } = await open({ FALLBACK_RETRY_ATTEMPTS: "10" }, PATIENT)
    await redis.cli("ACL", "SETUSER", "default", "-del")
    const evicting = run(access.evict(key("a")))
    await redis.cli("ACL", "SETUSER", "default", "+del")
    await evicting
  })

  test("a lease is asked for once: a request that was given up may arrive after all", async () => {
    const { redis, access, key } = await open({ FALLBACK_RETRY_ATTEMPTS: "10" }, PATIENT)
    await redis.cli("SET", "x", "y")
    await redis.cli("ACL", "SETUSER", "default", "-set")
    const before = await calls(redis, "set", "rejected_calls")
    expect(await failing(access.lease([key("a")], "t"))).toMatchObject({ reason: "no answer" })
    expect(await calls(redis, "set", "rejected_calls")).toBe(before + 1)
  })
})
