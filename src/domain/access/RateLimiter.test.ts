import { Clock, Context, Effect, Layer, ManagedRuntime } from "effect"
import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { afterwards, behindProxy, freshDatabase, freshRedis, openServices } from "../../../test/support/services.ts"
import type { ServiceOptions } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { RateLimiter } from "./RateLimiter.ts"

/** A process with a limit of 3, whose clock says what the test says. */
const openLimiter = async (database: string, redis?: string, more: Partial<ServiceOptions> = {}) => {
  const services = await openServices({ database, redis, ...more })
  let now = 1_800_000_000_000
  const clock: Clock.Clock = Object.assign(Object.create(Context.get(services.context, Clock.Clock)), { currentTimeMillisUnsafe: () => now })
  const runtime = ManagedRuntime.make(RateLimiter.layer(3).pipe(Layer.provide(Layer.succeedContext(Context.add(services.context, Clock.Clock, clock)))))
  afterwards(() => runtime.dispose())
  const take = (await runtime.runPromise(Effect.service(RateLimiter))).take!
  const access = services.get(CacheAccess)
  // Until its connection stands, and a breaker that opened before has closed again, it counts for itself.
  await eventually(async () => {
    await services.get(Cache).ping()
    expect(access.state()).not.toBe("open")
  })
  return { take, access, pass: (milliseconds: number) => { now += milliseconds } }
}

const allowed = { allowed: true, limit: 3 }, refused = { allowed: false, limit: 3, remaining: 0 }

const usesUp = async (take: (principal: string) => Promise<unknown>, principal = "ada") => {
  for (const remaining of [2, 1, 0]) expect(await take(principal)).toEqual({ ...allowed, remaining })
  expect(await take(principal)).toEqual(refused)
}

test("without a limit nothing is counted", async () => {
  const { get } = await openServices({ database: (await freshDatabase()).url })
  expect(get(RateLimiter).take).toBeNull()
})

test("each principal may send so many in a second, and so many again in the next", async () => {
  const { take, pass } = await openLimiter((await freshDatabase()).url)
  await usesUp(take)
  await usesUp(take, "bob")
  pass(999)
  expect(await take("ada")).toEqual(refused)
  pass(1)
  await usesUp(take)
})

test("processes count together in Redis, under names that tell nothing and end", async () => {
  const { url } = await freshDatabase(), redis = await freshRedis()
  const one = await openLimiter(url, redis.url), other = await openLimiter(url, redis.url)
  const began = performance.now()
  expect(await one.take("ada")).toEqual({ ...allowed, remaining: 2 })
  expect(await other.take("ada")).toEqual({ ...allowed, remaining: 1 })
  expect(await one.take("ada")).toEqual({ ...allowed, remaining: 0 })
  expect(await other.take("ada")).toEqual(refused)
  const names = await redis.cli("KEYS", "hf-rate:*") as string[]
  expect(names).toEqual([expect.stringMatching(/^hf-rate:[0-9a-f]{32}:1800000000$/)])
  const left = await redis.cli("PTTL", names[0]!) as number
  expect(left + performance.now() - began).toBeGreaterThan(4_990)
  expect(left).toBeLessThanOrEqual(5_000)
})

test("while Redis is silent each process counts for itself, and soon without asking", async () => {
  const { url } = await freshDatabase(), redis = await freshRedis()
  const { to, blackhole } = await behindProxy(redis.url)
  const { take, access } = await openLimiter(url, to, { shortestDeadlineMilliseconds: 50 })
  blackhole()
  await usesUp(take)
  await take("bob")
  expect(access.state()).toBe("open")
  const began = performance.now()
  for (let i = 0; i < 1_000; i++) await take("carol")
  // Each that asked would wait for 50 ms: all of them twice as long.
  expect(performance.now() - began).toBeLessThan(25_000)
})
