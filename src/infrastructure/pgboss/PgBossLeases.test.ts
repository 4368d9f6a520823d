import { Effect, Exit, Layer, Scope } from "effect"
import pg from "pg"
import { afterEach, beforeEach, expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { startProcess } from "../../../test/support/processes.ts"
import { startProxy } from "../../../test/support/proxy.ts"
import { WorkLeases } from "../../domain/jobs/WorkLeases.ts"
import { Log } from "../../domain/observe/Log.ts"
import { migrate } from "../postgres/migrate.ts"
import { layerPgBossLeases } from "./PgBossLeases.ts"

const lines: string[] = []
const say = (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields)}`)
const log = Log.of({ debug: say, info: say, warn: say, error: say })

let url: string, client: pg.Client
const undo: (() => unknown)[] = []
beforeEach(async () => {
  lines.length = 0
  url = await createDatabase()
  await Effect.runPromise(migrate(url, { partitions: 64, log }))
  client = new pg.Client({ connectionString: url })
  await client.connect()
})
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
  await client.end()
  await dropDatabase(url)
})

const name = "relay-lane-0"
const jobs = async (state?: string) => (await client.query("select id, state from pgboss.job where name = $1 and ($2::text is null or state::text = $2)", [name, state])).rows

// pg-boss starts, looks and polls in seconds, each of which a machine under load may double.
const WITHIN = { within: 30_000 }
/** A schedule whose time does not come while a test runs, whatever the minute. */
const NEVER = "0 0 29 2 *"

/** A process that serves a piece of work, as far as the database can tell. */
const serving = async (options: { run?: Effect.Effect<void>; url?: string; schedule?: string } = {}) => {
  const seen = { begun: 0, interrupted: 0 }
  const run = Effect.suspend(() => {
    seen.begun++
    return Effect.onInterrupt(options.run ?? Effect.never, () => Effect.sync(() => void seen.interrupted++))
  })
  const scope = Effect.runSync(Scope.make())
  const close = () => Effect.runPromise(Scope.close(scope, Exit.void))
  undo.push(close)
  const context = await Effect.runPromise(Layer.buildWithScope(Layer.provide(layerPgBossLeases({ url: options.url ?? url }), Layer.succeed(Log, log)), scope))
  await Effect.runPromise(Scope.provide(Effect.provideContext(Effect.flatMap(WorkLeases, ({ serve }) => serve({ name, schedule: options.schedule ?? "* * * * *", run })), context), scope))
  return { seen, close }
}

test("of two processes one holds the lease; when it stops it gives it back, and the other has it at its next look", async () => {
  const one = await serving({ schedule: NEVER }), other = await serving({ schedule: NEVER })
  await eventually(() => one.seen.begun + other.seen.begun === 1, WITHIN)
  const [holder, next] = one.seen.begun === 1 ? [one, other] : [other, one]
  await holder.close()
  expect(holder.seen.interrupted).toBe(1)
  await eventually(() => next.seen.begun === 1, WITHIN)
  // One that was abandoned would say that its heartbeat was missed, some ten seconds later.
  const { rows } = await client.query("select output from pgboss.job where name = $1", [name])
  expect(JSON.stringify(rows)).toContain("The process stops")
  expect(holder.seen.begun).toBe(1)
}, 90_000)

test("work begins at once, not when its schedule says, and has one job however many serve it", async () => {
  await Promise.all([1, 2, 3].map(() => serving({ schedule: NEVER })))
  await eventually(async () => (await jobs("active")).length === 1, WITHIN)
  expect(await jobs()).toHaveLength(1)
}, 90_000)

test("a process that was killed loses its lease: its heartbeat is missed after 10 s, for which there is a look every two", async () => {
  const program = `
    import { Effect, Layer } from "effect"
    import { WorkLeases } from "${new URL("../../domain/jobs/WorkLeases.ts", import.meta.url)}"
    import { Log } from "${new URL("../../domain/observe/Log.ts", import.meta.url)}"
    import { layerPgBossLeases } from "${new URL("./PgBossLeases.ts", import.meta.url)}"
    const quiet = () => {}
    const run = Effect.andThen(Effect.sync(() => console.log("holds it")), Effect.never)
    const serve = Effect.flatMap(WorkLeases, ({ serve }) => Effect.andThen(serve({ name: "${name}", schedule: "${NEVER}", run }), Effect.never))
    Effect.runPromise(Effect.scoped(Effect.provide(serve, Layer.provide(layerPgBossLeases({ url: "${url}" }), Layer.succeed(Log, { debug: quiet, info: quiet, warn: quiet, error: quiet })))))`
  const victim = startProcess(process.execPath, ["--input-type=module", "--eval", program])
  await eventually(() => victim.output().includes("holds it"), WITHIN)
  expect((await client.query("select heartbeat_seconds from pgboss.job where name = $1", [name])).rows).toEqual([{ heartbeat_seconds: 10 }])
  const { seen } = await serving({ schedule: NEVER })
  victim.kill("SIGKILL")
  // Some 10 s. With pg-boss' own looks, one a minute, it would not be there by then, and without heartbeats after a day.
  await eventually(() => seen.begun === 1, { within: 40_000 })
  expect(JSON.stringify((await client.query("select output from pgboss.job where name = $1", [name])).rows)).toContain("heartbeat")
}, 90_000)

test("work is interrupted when its lease is lost, and the lease can be had again", async () => {
  const { seen } = await serving()
  await eventually(() => seen.begun === 1, WITHIN)
  await client.query("delete from pgboss.job where name = $1", [name])
  await eventually(() => seen.interrupted === 1, WITHIN)
  await eventually(() => lines.includes(`A lease of work was lost {"work":"${name}"}`))
  await tick()
  await eventually(() => seen.begun === 2, WITHIN)
}, 120_000)

/** As if the minute were over: its tick is forgotten, and so is the last look at the schedules. */
const tick = async () => {
  await client.query("delete from pgboss.job where name = '__pgboss__send-it'")
  await client.query("update pgboss.version set cron_on = null")
}

test("work that ends or fails is logged, leaves no job waiting, and is put back by its schedule", async () => {
  let outcome: Effect.Effect<void> = Effect.void
  const { seen } = await serving({ run: Effect.suspend(() => outcome) })
  await eventually(() => lines.some((line) => line === `Leased work ended {"work":"${name}"}`), WITHIN)
  await eventually(async () => (await jobs("completed")).length > 0, WITHIN)
  outcome = Effect.die(new Error("a bug"))
  await tick()
  await eventually(() => lines.some((line) => /^Leased work failed .*a bug/.test(line)), WITHIN)
  const { begun } = seen
  outcome = Effect.never
  // A tick that finds it at work adds no job, and the next one is a minute away.
  await eventually(async () => (await jobs()).every(({ state }) => state === "completed") || seen.begun > begun, WITHIN)
  await tick()
  await eventually(() => seen.begun > begun, WITHIN)
}, 150_000)

test("a database that cannot be reached at the start, or later, is waited for", async () => {
  const target = new URL(url), proxy = await startProxy({ host: target.hostname, port: Number(target.port) })
  undo.push(proxy.stop)
  target.host = `127.0.0.1:${proxy.port}`
  await proxy.cut()
  const { seen } = await serving({ url: target.href })
  await eventually(() => lines.some((line) => /^pg-boss failed and tries again .*ECONNREFUSED/.test(line)), WITHIN)
  await proxy.restore()
  await eventually(() => seen.begun === 1, WITHIN)
  await proxy.cut()
  await eventually(async () => (await client.query("select from pg_stat_activity where application_name = 'holdfast pg-boss' and datname = current_database()")).rowCount === 0, WITHIN)
  // Meanwhile the lease ends, and goes to nobody. Not by a heartbeat that is old: when the database is back the next heartbeat may come before the look for old ones.
  await client.query("update pgboss.job set state = 'retry', heartbeat_on = null where name = $1 and state = 'active'", [name])
  await proxy.restore()
  await eventually(() => seen.begun === 2, WITHIN)
  expect(seen.interrupted).toBe(1)
}, 150_000)

test("a database that does not answer keeps nobody from stopping", async () => {
  const target = new URL(url), proxy = await startProxy({ host: target.hostname, port: Number(target.port) })
  undo.push(proxy.stop)
  target.host = `127.0.0.1:${proxy.port}`
  const { seen, close } = await serving({ url: target.href })
  await eventually(() => seen.begun === 1, WITHIN)
  proxy.blackhole()
  let isOver = false
  const closing = close().then(() => { isOver = true })
  // It takes 4 s; whoever waited for an answer would wait for as long as the network swallows it.
  await eventually(() => isOver, WITHIN)
  await closing
  expect(seen.interrupted).toBe(1)
}, 90_000)

test("jobs that are over, and the ticks of schedules, are kept for a minute", async () => {
  await serving()
  await eventually(async () => (await jobs("active")).length === 1, WITHIN)
  const { rows } = await client.query("select name, deletion_seconds from pgboss.queue order by name")
  expect(rows).toEqual([{ name: "__pgboss__send-it", deletion_seconds: 60 }, { name, deletion_seconds: 60 }])
})
