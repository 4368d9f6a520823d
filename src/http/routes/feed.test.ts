import { Context, Effect, Exit, Layer, ManagedRuntime } from "effect"
import { beforeEach, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { afterwards, behindProxy, freshDatabase, run } from "../../../test/support/services.ts"
import { ApiKeys } from "../../domain/access/ApiKeys.ts"
import { kinds } from "../../domain/kinds/kinds.ts"
import { Outbox } from "../../domain/ledger/Outbox.ts"
import { formatPosition, parsePosition } from "../../domain/ledger/Position.ts"
import { Apps } from "../app.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const listen = async ({ apps, key }: Pick<Http, "apps" | "key">, query: string, headers: Record<string, string> = {}) => {
  const response = await apps.main.request(`/v1/changes${query}`, { headers: { authorization: `Bearer ${key}`, ...headers } })
  expect(response.status).toBe(200)
  return response.body!.getReader()
}
const textOf = (chunk: { value?: Uint8Array | undefined }) => Buffer.from(chunk.value ?? "").toString()
/** All that comes until the service ends the stream, but for the comments of one that waits. */
const rest = async (reader: ReadableStreamDefaultReader<Uint8Array>) => {
  const chunks: string[] = []
  for (;;) {
    const chunk = await reader.read()
    if (chunk.done) return chunks
    if (textOf(chunk) !== ": still here\n\n") chunks.push(textOf(chunk))
  }
}
const idsOf = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id!)
/** Events of one transaction, without anybody's writing them. */
const log = (count: number) => database.query(`insert into outbox (recorded_at, epoch, seq, partition, kind, entity_id, version_id, type, data, metadata)
  select now(), (select max(epoch) from database_epochs), nextval('outbox_seq'), 0, 'product', gen_random_uuid(), 1, 'ProductCreated', '{}', '{}' from generate_series(1, ${count})`)

/** The interface, and how often it asks the log: whether there is anything new, and for somebody's news. */
const counting = async () => {
  const { services, key } = await openHttp({ database: database.url }), outbox = services.get(Outbox)
  const counts = { looks: 0, failedLooks: 0, begun: 0, answered: 0, after: new Map<string, number>() }
  const counted = Outbox.of({
    ...outbox,
    end: Effect.onExit(outbox.end, (exit) => Effect.sync(() => {
      counts.looks++
      if (Exit.isFailure(exit)) counts.failedLooks++
    })),
    feed: (...asked) => {
      const after = formatPosition(asked[1])
      counts.begun++
      return Effect.ensuring(outbox.feed(...asked), Effect.sync(() => {
        counts.answered++
        counts.after.set(after, (counts.after.get(after) ?? 0) + 1)
      }))
    }
  })
  const runtime = ManagedRuntime.make(Layer.provide(Apps.layer(kinds, { opsPort: false }), Layer.succeedContext(Context.add(services.context, Outbox, counted))))
  afterwards(() => runtime.dispose())
  const apps = await runtime.runPromise(Apps)
  afterwards(() => apps.closeStreams())
  const looks = async (count: number) => {
    const { looks } = counts
    await eventually(() => counts.looks >= looks + count, WITHIN)
  }
  return {
    counts, looks,
    listen: (query: string, headers: Record<string, string> = {}) => listen({ apps, key }, query, headers),
    /** Nobody asks for news any more. In a log that is empty nothing moves, whatever others do in the same server. */
    idle: () => eventually(async () => {
      const { begun } = counts
      await looks(5)
      return counts.begun === begun && counts.answered === begun
    }, WITHIN)
  }
}
const WITHIN = { within: 20_000 }
/** The next that it is told; until then there are comments alone. */
const news = async (listener: ReadableStreamDefaultReader<Uint8Array>) => {
  for (;;) {
    const { value, done } = await listener.read(), ids = idsOf(textOf({ value }))
    if (done || ids.length > 0) return ids
  }
}

test("a listener that does not keep up is closed, and by its last id it goes on without a gap", async () => {
  const { counts, listen } = await counting()
  await log(6_000)
  const slow = await listen("?after=0"), quick = await listen("?after=0")
  const readBy = async (reader: ReadableStreamDefaultReader<Uint8Array>, count: number) => {
    const ids: string[] = []
    while (ids.length < count) {
      const chunk = await reader.read()
      if (chunk.done) throw new Error(`the stream ended after ${ids.length}`)
      ids.push(...idsOf(textOf(chunk)))
    }
    return ids
  }
  // Meanwhile somebody else hears all of it, and then what comes later.
  const all = await readBy(quick, 6_000)
  // Of the slow one, too, the service has asked for the ninth piece of 500, which is one more than it may leave unread.
  await eventually(() => counts.after.get(all[3_999]!) === 2, WITHIN)
  await log(1)
  await readBy(quick, 1)
  const first = idsOf((await rest(slow)).join(""))
  expect(first.length).toBeLessThan(6_000)
  const again = await listen("?after=0", { "last-event-id": first.at(-1)! })
  const second = await readBy(again, 6_001 - first.length)
  expect(new Set([...first, ...second]).size).toBe(6_001)
  expect([...first, ...second]).toEqual([...first, ...second].sort())
  for (const listener of [quick, again]) await listener.cancel()
})

test("one who begins now is told nothing that was committed before, though an earlier transaction is still open", async () => {
  const http = await openHttp({ database: database.url }), early = await database.connect()
  await early.query("begin")
  await early.query("select pg_current_xact_id()")
  await log(2)
  const listener = await listen(http, "")
  expect(textOf(await listener.read())).toBe(": listening\n\n")
  await log(1)
  await early.query("commit")
  const [last] = await database.query("select epoch, xid, seq from outbox order by seq desc limit 1")
  const told = await news(listener)
  expect(told.map((id) => parsePosition(id))).toEqual([{ epoch: Number(last!["epoch"]), transaction: BigInt(last!["xid"]), sequence: Number(last!["seq"]) }])
  await listener.cancel()
})

test("a stream ends when the server stops, without a word", async () => {
  const http = await openHttp({ database: database.url })
  const streams = [await listen(http, ""), await listen(http, "?after=0")]
  http.apps.closeStreams()
  for (const stream of streams) expect(await rest(stream)).toEqual([": listening\n\n"])
  // Nobody is left to be closed again.
  http.apps.closeStreams()
})

test("a stream that cannot be read on from the database is closed, and said", async () => {
  const proxy = await behindProxy(database.url), http = await openHttp({ database: proxy.to }), holder = await database.connect()
  await holder.query("begin")
  await holder.query("lock table outbox in access exclusive mode")
  const stream = await listen(http, "?after=0")
  await proxy.cut()
  expect(await rest(stream)).toEqual([": listening\n\n"])
  expect(http.services.lines.map(({ message }) => message)).toContain("A listener of the changes was closed")
  // Where it begins is asked for first.
  for (const query of ["", "?after=0"]) expect((await http.ask("GET", `/v1/changes${query}`)).status).toBe(503)
})

test("a listener hears of the kinds that its key may read, and of no others", async () => {
  const http = await openHttp({ database: database.url })
  const { text: key } = await run(http.services.get(ApiKeys).create("listener", ["changes:read"]))
  await log(3)
  const deaf = await listen({ ...http, key }, "?after=0"), hearing = await listen(http, "?after=0")
  expect(await news(hearing)).toHaveLength(3)
  http.apps.closeStreams()
  expect(await rest(deaf)).toEqual([": listening\n\n"])
})

test("one that hangs up is forgotten", async () => {
  const http = await openHttp({ database: database.url }), gone = await listen(http, ""), stays = await listen(http, "")
  await stays.read()
  await gone.cancel()
  await log(2)
  expect(await news(stays)).toHaveLength(2)
  await stays.cancel()
})

test("of many listeners one hangs up, and for none of the others the database is asked", async () => {
  const { counts, looks, listen, idle } = await counting(), listeners = []
  for (let n = 0; n < 20; n++) listeners.push(await listen(""))
  await idle()
  const { begun } = counts
  await listeners.pop()!.cancel()
  await looks(5)
  expect(counts.begun).toBe(begun)
  // They listen still.
  await log(1)
  for (const listener of listeners) expect(await news(listener)).toHaveLength(1)
})

// One look that failed of something that Postgres is not expected to say was the last, and every listener heard nothing more, without a word.
test("what goes wrong in the schema for a moment ends no listener: it hears of what comes later", async () => {
  const { counts, listen, idle } = await counting(), listener = await listen("")
  await idle()
  await database.query("alter table database_epochs rename to away")
  await eventually(() => counts.failedLooks >= 3, WITHIN)
  await database.query("alter table away rename to database_epochs")
  await log(2)
  expect(await news(listener)).toHaveLength(2)
})

test("HEAD tells the headers, and opens no stream", async () => {
  const http = await openHttp({ database: database.url })
  const response = await http.apps.main.request("/v1/changes", { method: "HEAD", headers: { authorization: `Bearer ${http.key}` } })
  expect([response.status, response.headers.get("content-type"), response.body]).toEqual([200, "text/event-stream", null])
})
