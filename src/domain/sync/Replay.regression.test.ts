import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { behindProxy, creating, freshDatabase, freshRedis, openServices, renaming, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { decodeEntry } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { Replay } from "./Replay.ts"
import { RetryQueue } from "./RetryQueue.ts"

// It used to wait no longer than a write does, and over a slow network the queue never drained.
test("a replay waits for its store longer than a write would: what was missed for being slow drains", async () => {
  const [database, redis] = await Promise.all([freshDatabase(), freshRedis()])
  const network = await behindProxy(redis.url)
  const services = await openServices({ database: database.url, redis: network.to, environment: { SYNC_BUDGET_MS: "4" } })
  const commands = services.get(Commands), queue = services.get(RetryQueue), replay = services.get(Replay)
  await eventually(() => services.get(Cache).ping())
  const { id } = await run(commands.create(creating()))
  network.delay(6)
  expect((await run(commands.change(renaming(id, "Slow")))).synced).toBe("queued")
  await eventually(async () => {
    // Everything is due at once.
    await run(queue.release(null, false))
    await run(replay.round)
    return (await run(queue.size)).size === 0
  })
  const { value } = await services.get(Cache).describe(services.get(Keyspace).keyOf("product", id))
  expect(decodeEntry(value!)).toMatchObject({ version: 2 })
})
