import { expect, test } from "vitest"
import { creating, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { CacheAccess } from "../../domain/cache/CacheAccess.ts"
import { Keyspace } from "../../domain/cache/Keyspace.ts"
import { Commands } from "../../domain/Commands.ts"
import { product } from "../../domain/kinds/product.ts"
import { ANY } from "../../domain/Freshness.ts"
import { Queries } from "../../domain/Queries.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import { entityDigest } from "../../domain/ledger/Token.ts"

// A read's token has the epoch of its read, and the event that it speaks of may be older than that.
test("the token of a read outlives two changes of the epoch, though its entity was last changed before both", async () => {
  const database = await freshDatabase()
  const services = await openServices({ database: database.url })
  const newEpoch = () => database.query("insert into database_epochs (epoch, system_identifier, timeline) select max(epoch) + 1, min(system_identifier), min(timeline) from database_epochs")
  const queries = services.get(Queries), { authenticate } = services.get(Identifiers)
  const { id } = await run(services.get(Commands).create(creating()))
  const refreshed = () => queries.read(product, id, { ...ANY, noCache: true })
  await newEpoch()
  const { entry: { epoch, sequence } } = await refreshed()
  const token = { epoch, sequence, transaction: null, entity: entityDigest("product", id, authenticate) }
  await newEpoch()
  const evict = () => run(services.get(CacheAccess).evict(services.get(Keyspace).keyOf("product", id)))
  await evict()
  expect((await queries.read(product, id, { ...ANY, tokens: [token] })).entry).toMatchObject({ epoch: epoch + 1, version: 1 })
  await evict()
  // One of an event that was lost is unknown all the same.
  await expect(queries.read(product, id, { ...ANY, tokens: [{ ...token, sequence: sequence + 1_000 }] })).rejects.toMatchObject({ _tag: "TokenUnknown" })
})
