import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { formatCheckpoint } from "../cache/Checkpoint.ts"
import { Purge } from "./Purge.ts"

// A marker of a newer epoch that somebody left made every round of an older database walk the whole cache, for nothing.
test("who may purge no partition does not walk the cache", async () => {
  const [database, redis] = await Promise.all([freshDatabase(), freshRedis()])
  const services = await openServices({ database: database.url, redis: redis.url })
  const cache = services.get(Cache)
  await eventually(() => cache.ping())
  const marker = formatCheckpoint({ is: "purge", epoch: 2 ** 47, mark: "0123456789abcdef", pieces: 0 })
  expect(await cache.mark(7, null, marker)).toBe(true)
  // Somebody else moved it since it was looked at.
  await run(services.get(Purge).run([{ partition: 7, text: null }]))
  expect(await redis.cli("INFO", "commandstats")).not.toContain("cmdstat_scan")
  expect(await cache.checkpoints([7])).toEqual([marker])
  expect(services.lines.filter(({ message }) => message.includes("purged"))).toEqual([])
})
