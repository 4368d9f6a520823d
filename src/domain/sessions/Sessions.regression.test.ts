import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { SubjectKeys } from "../secrets/SubjectKeys.ts"
import { Sessions } from "./Sessions.ts"

const open = async (database: string, redis: string) => {
  const services = await openServices({ database, redis })
  await eventually(() => services.get(Cache).ping())
  // They have a connection of their own.
  await eventually(() => run(services.get(Sessions).get("nobody's")).then(() => true))
  return { sessions: services.get(Sessions), keys: services.get(SubjectKeys) }
}
const of = (customerId: string) => ({ data: { of: customerId }, ttlSeconds: 600, customerId })

// What says that they were ended stands in Redis too, and went with a restore, or a fail-over, to a moment before the erasure.
test("the session of a person who was erased is none though Redis has it back, and whatever else there is of theirs goes", async () => {
  const redis = await freshRedis(), { url } = await freshDatabase(), person = randomUUID()
  const [one, other] = [await open(url, redis.url), await open(url, redis.url)]
  for (const id of ["a", "b"]) await run(one.sessions.set(id, of(person)))
  expect(await run(one.sessions.get("a"))).not.toBeNull()
  const kept = await redis.cli("keys", "hf-session*") as string[]
  for (const key of kept) await redis.cli("copy", key, `before:${key}`)
  await run(one.keys.destroy(person))
  expect(await run(one.sessions.end(person))).toBe(2)
  for (const reader of [one, other]) {
    for (const key of kept) await redis.cli("copy", `before:${key}`, key, "replace")
    expect(await run(reader.sessions.get("a"))).toBeNull()
    expect(await redis.cli("keys", "hf-session:*")).toEqual([])
  }
})

test("a session whose owner somebody has changed in Redis does not outlive the person's erasure", async () => {
  const redis = await freshRedis(), { url } = await freshDatabase(), person = randomUUID()
  const { sessions, keys } = await open(url, redis.url)
  await run(sessions.set("a", of(person)))
  const [key] = await redis.cli("keys", "hf-session:*") as string[]
  await redis.cli("setrange", key!, "0", "0".repeat(64))
  await run(keys.destroy(person))
  expect(await run(sessions.end(person))).toBe(0)
  expect(await run(sessions.get("a"))).toBeNull()
})

// One wrong thing used to stop the script, so the others lived on and the erasure never came to its end.
test("what somebody put among a person's sessions keeps none of them from being ended", async () => {
  const redis = await freshRedis(), { url } = await freshDatabase(), [person, another] = [randomUUID(), randomUUID()]
  const { sessions } = await open(url, redis.url)
  await run(sessions.set("a", of(person)))
  const [owners] = await redis.cli("keys", "hf-sessions-of:*") as string[]
  await redis.cli("hset", "strange", "a", "b")
  await redis.cli("zadd", owners!, "0", "strange")
  expect(await run(sessions.end(person))).toBe(1)
  expect(await run(sessions.get("a"))).toBeNull()
  await run(sessions.set("b", of(another)))
  const [theirs] = (await redis.cli("keys", "hf-sessions-of:*") as string[]).filter((key) => key !== owners)
  await redis.cli("set", theirs!, "strange")
  expect(await run(sessions.end(another))).toBe(0)
  expect(await run(sessions.get("b"))).toBeNull()
})
