import { execFileSync } from "node:child_process"
import { Effect, Exit, Redacted, Scope } from "effect"
import { expect, test } from "vitest"
import { Log } from "../../domain/observe/Log.ts"
import { layerPinoLog, type LogLevel } from "./PinoLog.ts"

const linesOf = (level: LogLevel, write: (log: Log["Service"]) => void) => {
  const lines: Array<string> = []
  const destination = { write: (line: string) => void lines.push(line) }
  Effect.runSync(Effect.provide(Effect.map(Log, write), layerPinoLog({ level, destination })))
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

test("a line is one JSON object with level, time in ISO, message and fields", () => {
  const [line] = linesOf("info", (log) => log.info("settled", { kind: "product", versionId: 3 }))
  expect(line).toMatchObject({ level: "info", msg: "settled", kind: "product", versionId: 3, time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string })
})

test("a level writes itself and what is graver", () => {
  const all = (log: Log["Service"]) => { log.debug("d"); log.info("i"); log.warn("w"); log.error("e") }
  const messages = (level: LogLevel) => linesOf(level, all).map(({ msg }) => msg)
  expect(messages("debug")).toEqual(["d", "i", "w", "e"])
  expect(messages("warn")).toEqual(["w", "e"])
  expect(messages("silent")).toEqual([])
})

test("message and fields are redacted, whatever the fields are called", () => {
  const error = new Error("jane@example.com", { cause: Redacted.make("hunter2") })
  const lines = linesOf("debug", (log) => {
    log.error("lost jane@example.com %s", { err: error, name: "Jane", toJSON: () => "jane@example.com" })
    log.info("call", { req: { headers: { authorization: "Bearer x" } }, method: "GET", headers: { cookie: "hunter2" }, socket: { remoteAddress: "10.0.0.1" } })
    log.warn("m", { msg: "jane@example.com", err: "jane@example.com" })
  })
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatchObject({ msg: "lost [redacted] %s", err: { type: "Error", message: "[redacted]", cause: "[redacted]" }, name: "[redacted]" })
  expect(JSON.stringify(lines)).not.toMatch(/jane|hunter2|Bearer|10\.0\.0\.1/i)
})

test("without a destination the lines are on standard output before the process ends", () => {
  const script = `
    import { Effect } from "effect"
    import { Log } from "${new URL("../../domain/observe/Log.ts", import.meta.url).href}"
    import { layerPinoLog } from "${new URL("./PinoLog.ts", import.meta.url).href}"
    await Effect.runPromise(Effect.provide(Effect.map(Log, (log) => log.info("started for jane@example.com")), layerPinoLog({ level: "info" })))
    process.exit()`
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })
  expect(JSON.parse(output)).toMatchObject({ msg: "started for [redacted]" })
})

test("closing the scope flushes standard output", () => {
  const scope = Effect.runSync(Scope.make())
  const log = Effect.runSync(Scope.provide(Effect.provide(Log, layerPinoLog({ level: "silent" })), scope))
  log.error("not written")
  expect(Effect.runSync(Effect.exit(Scope.close(scope, Exit.void)))).toEqual(Exit.void)
})
