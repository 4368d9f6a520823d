import { expect, test } from "vitest"
import { creating, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { formatCheckpoint } from "../cache/Checkpoint.ts"
import { Commands } from "../Commands.ts"

// It used to be told as stored.
test("a store that a cache of a newer epoch refuses is none", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  const snapshot = { xmin: 3n, xmax: 3n, open: [] }
  const newer = formatCheckpoint({ is: "settled", epoch: 2 ** 47, mark: "0123456789abcdef", time: 0, snapshot })
  for (let partition = 0; partition < 64; partition++) await services.get(Cache).mark(partition, null, newer)
  expect((await run(services.get(Commands).create(creating()))).synced).toBe("nothing")
})
