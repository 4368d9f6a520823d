import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { Cause, Effect, Exit, Fiber, ManagedRuntime, Layer } from "effect"
import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { afterwards, behindProxy, freshDatabase, keptLog } from "../../../test/support/services.ts"
import { Log } from "../../domain/observe/Log.ts"
import { Postgres } from "./Postgres.ts"

const open = async (url: string, poolMax: number) => {
  const { log, lines } = keptLog()
  const runtime = ManagedRuntime.make(Postgres.layer({ url, poolMax }).pipe(Layer.provide(Layer.succeed(Log, log))))
  afterwards(() => runtime.dispose())
  return { postgres: await runtime.runPromise(Effect.service(Postgres)), lines }
}

const statement = (text: string) => ({ name: text, text })
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
const exitOf = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromiseExit(effect)

test("a statement that is wrong is a bug, never a database that is away", async () => {
  const { url } = await freshDatabase()
  const { postgres } = await open(url, 4)
  for (const exit of [await exitOf(postgres.read(statement("select nothing_known"), [])), await exitOf(postgres.write(statement("select 1 / 0"), []))]) {
    expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
  }
  expect(postgres.reachable()).toBe(true)
})

test("a pool that is crowded says nothing of the database", async () => {
  const { url } = await freshDatabase()
  const { postgres, lines } = await open(url, 1)
  const busy = await postgres.pool.connect()
  expect(await run(Effect.flip(postgres.write(statement("select 1"), [])))).toMatchObject({ _tag: "DatabaseUnavailable" })
  busy.release()
  expect(postgres.reachable()).toBe(true)
  expect(lines).toEqual([])
})

test("a server that answers nothing any more is given up, and its connection with it", async () => {
  const { url } = await freshDatabase()
  const proxy = await behindProxy(url)
  const { postgres, lines } = await open(proxy.to, 1)
  await run(postgres.read(statement("select 1"), []))
  proxy.blackhole()
  expect(await run(Effect.flip(postgres.write(statement("select 2"), [])))).toMatchObject({ _tag: "UnknownOutcome" })
  expect(postgres.reachable()).toBe(false)
  await proxy.restore()
  await eventually(() => run(postgres.read(statement("select 3"), [])), { within: 20_000 })
  expect(lines.map(({ message }) => message)).toEqual(expect.arrayContaining(["Postgres cannot be reached", "Postgres is back"]))
})

test("a connection that is lost while idle says at once that the server is there after all", async () => {
  const { url, query } = await freshDatabase()
  const { postgres, lines } = await open(url, 4)
  const [one, other] = await Promise.all([1, 2].map(() => run(postgres.read(statement("select pg_backend_pid() as pid"), []))))
  expect(one![0]!["pid"]).not.toBe(other![0]!["pid"])
  await exitOf(postgres.write(statement("select pg_terminate_backend(pg_backend_pid())"), []))
  expect(lines.map(({ message }) => message)).toEqual(["Postgres cannot be reached"])
  expect(postgres.pool.idleCount).toBe(1)
  await query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid = any($1)", [[one![0]!["pid"], other![0]!["pid"]]])
  await eventually(() => postgres.reachable(), { within: 20_000 })
  expect(lines.map(({ message }) => message)).toContain("Postgres is back")
})

test("where one connection was lost none that was made before is given out again: a write that is sent over a dead one is of unknown outcome", async () => {
  const { url, query } = await freshDatabase()
  const { postgres, lines } = await open(url, 4)
  const pids = async () => (await Promise.all([1, 2].map(() => run(postgres.write(statement("select pg_backend_pid() as pid, pg_sleep(0.1)"), []))))).map(([row]) => row!["pid"])
  const before = await pids()
  await query("select pg_terminate_backend($1)", [before[0]])
  await eventually(() => lines.some(({ message }) => message === "A connection to Postgres was lost"), { within: 10_000 })
  for (const pid of await pids()) expect(before).not.toContain(pid)
})

/** A statement that ends its own connection as long as it was asked less than so many times; the count outlives that. */
const dying = async () => {
  const { url, query } = await freshDatabase()
  await query("create sequence asked")
  return {
    url,
    until: (times: number) => ({ name: `until ${times}`, text: `select case when nextval('asked') < ${times} then pg_terminate_backend(pg_backend_pid()) end as ended` }),
    asked: async () => Number((await query("select last_value from asked"))[0].last_value)
  }
}

test("a read outlives its connection, and the next one, but not every one", async () => {
  const { url, until, asked } = await dying(), { postgres } = await open(url, 2)
  expect(await run(postgres.read(until(3), []))).toEqual([{ ended: null }])
  expect(await asked()).toBe(3)
  expect(await run(Effect.flip(postgres.read(until(1_000), [])))).toMatchObject({ _tag: "DatabaseUnavailable", reason: "57P01" })
  expect(await asked()).toBe(7)
})

test("a write is sent once, and within a transaction a read is, too", async () => {
  const { url, until, asked } = await dying(), { postgres } = await open(url, 2)
  expect(await run(Effect.flip(postgres.write(until(1_000), [])))).toMatchObject({ _tag: "UnknownOutcome" })
  expect(await asked()).toBe(1)
  expect(await run(Effect.flip(postgres.transaction(postgres.read(until(1_000), []))))).toMatchObject({ _tag: "DatabaseUnavailable" })
  expect(await asked()).toBe(2)
})

/** The way to a server, which cuts so many connections before they are made. */
const cutting = async (url: string, cuts: number) => {
  const target = new URL(url), to = { host: target.hostname, port: Number(target.port) }
  let begun = 0
  const server = createServer((client) => {
    if (++begun <= cuts) return void client.resetAndDestroy()
    const beyond = connect(to)
    for (const socket of [client, beyond]) socket.on("error", () => undefined)
    client.pipe(beyond).pipe(client)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  afterwards(() => server.close())
  target.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: target.href, begun: () => begun }
}

test("a connection that is cut while it is made is made again, for a write too: nothing was sent", async () => {
  const { url } = await freshDatabase(), way = await cutting(url, 2), { postgres } = await open(way.url, 2)
  expect(await run(postgres.write(statement("select 1 as one"), []))).toEqual([{ one: 1 }])
  expect(way.begun()).toBe(3)
})

test("nobody is kept waiting for a server that lets no connection be made", async () => {
  const { url } = await freshDatabase(), nowhere = await cutting(url, Infinity), { postgres } = await open(nowhere.url, 2)
  expect(await run(Effect.flip(postgres.read(statement("select 1"), [])))).toMatchObject({ _tag: "DatabaseUnavailable" })
  expect(nowhere.begun()).toBe(4)
  const unknown = await cutting(`${new URL("/no_such_database", url).href}${new URL(url).search}`, 0), { postgres: turnedAway } = await open(unknown.url, 2)
  expect(await run(Effect.flip(turnedAway.read(statement("select 1"), [])))).toMatchObject({ _tag: "DatabaseUnavailable", reason: "3D000" })
  expect(unknown.begun()).toBe(1)
})

test("a read that is broken off leaves its connection to nobody: the next one does not wait for it", async () => {
  const { url, query } = await freshDatabase()
  const { postgres } = await open(url, 1)
  const fiber = Effect.runFork(postgres.read(statement("select pg_sleep(9)"), []))
  const [{ pid: sleeper }] = await eventually(async () => {
    const found = await query("select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'")
    return found.length === 1 && found as [{ pid: number }]
  }, { within: 8_000 }) as [{ pid: number }]
  await run(Fiber.interrupt(fiber))
  const [next] = await run(postgres.read(statement("select pg_backend_pid() as pid"), []))
  expect(next!["pid"]).not.toBe(sleeper)
})

test("a transaction whose statement failed unseen is no success", async () => {
  const { url } = await freshDatabase()
  const { postgres } = await open(url, 2)
  const exit = await exitOf(postgres.transaction(Effect.exit(postgres.write(statement("select 1 / 0"), []))))
  expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
})

test("what a transaction asks for at the same time goes over its connection one after the other", async () => {
  const { url } = await freshDatabase()
  const { postgres } = await open(url, 2)
  const warnings: string[] = []
  const warned = ({ message }: Error) => void warnings.push(message)
  process.on("warning", warned)
  afterwards(() => process.off("warning", warned))
  const asked = [1, 2, 3].map((n) => postgres.read(statement(`select ${n} as n, pg_sleep(0.05)`), []))
  const answers = await run(postgres.transaction(Effect.all(asked, { concurrency: "unbounded" })))
  expect(answers.map(([row]) => row!["n"])).toEqual([1, 2, 3])
  // The driver says it of a statement that is given to a busy connection; its next major version refuses that.
  expect(warnings).toEqual([])
})
