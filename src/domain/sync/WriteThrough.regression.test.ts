import { expect, test } from "vitest"
import { creating, freshDatabase, openServices, run, unencodable } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { formatCheckpoint } from "../cache/Checkpoint.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { product } from "../kinds/product.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { WriteThrough } from "./WriteThrough.ts"

// It used to be told as stored.
test("a store that a cache of a newer epoch refuses is none", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  const snapshot = { xmin: 3n, xmax: 3n, open: [] }
  const newer = formatCheckpoint({ is: "settled", epoch: 2 ** 47, mark: "0123456789abcdef", time: 0, snapshot })
  for (let partition = 0; partition < 64; partition++) await services.get(Cache).mark(partition, null, newer)
  expect((await run(services.get(Commands).create(creating()))).synced).toBe("nothing")
})

// It used to be a fault of the service, after the commit.
test("a change that cannot be encoded is committed and owed, and what the cache held of it is removed", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  const { id } = await run(services.get(Commands).create(creating())), key = services.get(Keyspace).keyOf("product", id)
  const { rows } = await run(services.get(Ledger).rows(product, [id])), row = { ...rows.get(id)!, version: 2 }
  const nobodys = { token: "", given: new Set<string>(), took: 0 }
  expect((await services.get(Cache).describe(key)).value).not.toBeNull()
  expect(await run(services.get(WriteThrough).store([{ kind: unencodable, row }], nobodys, false))).toBe("queued")
  expect((await services.get(Cache).describe(key)).value).toBeNull()
  expect(await database.query("select entity_id as id, version_id as version, reason from sync_retry_queue")).toEqual([{ id, version: "2", reason: "store missed: cannot be encoded" }])
})
