import { Context } from "effect"

export type LogFields = Readonly<Record<string, unknown>>

/** The only way to write a line. Every line passes through `redactPii` before it leaves the process. */
export class Log extends Context.Service<Log, {
  readonly debug: (message: string, fields?: LogFields) => void
  readonly info: (message: string, fields?: LogFields) => void
  readonly warn: (message: string, fields?: LogFields) => void
  readonly error: (message: string, fields?: LogFields) => void
}>()("holdfast/observe/Log") {}
