import { expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { behindProxy, creating, freshDatabase, openJobs, openServices, run } from "../../test/support/services.ts"
import { Commands } from "../domain/Commands.ts"
import { Verification } from "../domain/sync/Verification.ts"
import { layerVerifications } from "./verifications.ts"

const SOON = layerVerifications({ every: "50 millis" })

test("a run is worked on by whoever holds the lease, one after the other, until it is finished", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url })
  await run(services.get(Commands).create(creating()))
  const { start, find } = services.get(Verification)
  const ids = [(await run(start({}))).id, (await run(start({ work: "cache" }))).id]
  await openJobs(services, layerVerifications())
  for (const id of ids) await eventually(async () => (await run(find(id)))!.finishedAt !== null, { within: 20_000 })
})

test("a page that fails is said and tried again", { timeout: 120_000 }, async () => {
  const database = await freshDatabase(), proxy = await behindProxy(database.url), services = await openServices({ database: proxy.to }), other = await openServices({ database: database.url })
  await openJobs(services, SOON)
  await eventually(async () => (await database.query("select 1 from pgboss.job where name = 'verifications' and state = 'active'")).length === 1, { within: 20_000 })
  await proxy.cut()
  await eventually(() => services.lines.some(({ message }) => message === "A page of a verification failed; it is tried again"), { within: 20_000 })
  await proxy.restore()
  const { id } = await run(other.get(Verification).start({}))
  await eventually(async () => expect((await run(other.get(Verification).find(id)))!.finishedAt).not.toBeNull(), { within: 40_000 })
})
