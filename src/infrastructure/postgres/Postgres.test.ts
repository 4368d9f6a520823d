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
  await eventually(() => run(postgres.read(statement("select 3"), [])), { within: 10_000 })
  expect(lines.map(({ message }) => message)).toEqual(expect.arrayContaining(["Postgres cannot be reached", "Postgres is back"]))
}, 30_000)

test("a connection that is lost while idle says at once that the server is there after all", async () => {
  const { url, query } = await freshDatabase()
  const { postgres, lines } = await open(url, 4)
  const [one, other] = await Promise.all([1, 2].map(() => run(postgres.read(statement("select pg_backend_pid() as pid"), []))))
  expect(one![0]!["pid"]).not.toBe(other![0]!["pid"])
  await exitOf(postgres.write(statement("select pg_terminate_backend(pg_backend_pid())"), []))
  expect(lines.map(({ message }) => message)).toEqual(["Postgres cannot be reached"])
  expect(postgres.pool.idleCount).toBe(1)
  await query("select pg_terminate_backend(pid) from pg_stat_activity where pid = any($1)", [[one![0]!["pid"], other![0]!["pid"]]])
  await eventually(() => postgres.reachable())
  expect(lines.map(({ message }) => message)).toContain("Postgres is back")
})

test("a read that is broken off leaves its connection to nobody: the next one does not wait for it", async () => {
  const { url } = await freshDatabase()
  const { postgres } = await open(url, 1)
  const fiber = Effect.runFork(postgres.read(statement("select pg_sleep(9)"), []))
  await eventually(() => postgres.pool.totalCount === 1 && postgres.pool.idleCount === 0, { within: 5_000 })
  await run(Fiber.interrupt(fiber))
  const began = performance.now()
  await run(postgres.read(statement("select 1"), []))
  expect(performance.now() - began).toBeLessThan(8_000)
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
