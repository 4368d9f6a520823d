import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { RetryQueue } from "../../domain/sync/RetryQueue.ts"

// It used to lock and rewrite every row: while millions were made due, whoever owed one of them waited 2 s and failed.
test("making everything due leaves alone what is due already, and counts it", async () => {
  const database = await freshDatabase()
  const queue = (await openServices({ database: database.url })).get(RetryQueue)
  const debts = [1, 2, 3].map((version) => ({ kind: "product", id: randomUUID(), version, reason: "test" }))
  await run(queue.owe(debts))
  await database.query("update sync_retry_queue set next_attempt_at = now() + interval '1 hour' where version_id = 2")
  await database.query("update sync_retry_queue set dead = true where version_id = 3")
  // A commit that owes the first of them once more, and has not ended.
  await database.query("begin")
  await database.query("update sync_retry_queue set owed = owed + 1 where version_id = 1")
  expect(await run(queue.release(null, false))).toBe(2)
  await database.query("commit")
  expect(await run(queue.size)).toMatchObject({ size: 3, due: 2, delayed: 0, dead: 1 })
})
