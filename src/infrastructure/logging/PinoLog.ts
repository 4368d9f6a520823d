import { Effect, Layer } from "effect"
import { pino } from "pino"
import { Log, type LogFields } from "../../domain/observe/Log.ts"
import { redactPii } from "./redactPii.ts"

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent"

export interface PinoLogOptions {
  readonly level: LogLevel
  /** One JSON line at a time; without it, standard output. */
  readonly destination?: { readonly write: (line: string) => void }
}

/**
 * One JSON object per line. Message and fields go through `redactPii`, and pino itself is in nobody's hands, so that there is no way around it.
 * Written synchronously: lines are rare, and the last one before a crash is the one that matters.
 */
export const layerPinoLog = ({ level, destination = pino.destination({ dest: 1, sync: true }) }: PinoLogOptions): Layer.Layer<Log> =>
  Layer.effect(Log, Effect.gen(function*() {
    const logger = pino({
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // An error is a plain object by now; pino's own serializer would take its type from the prototype.
      serializers: { err: (error: unknown) => error }
    }, destination)
    yield* Effect.addFinalizer(() => Effect.callback<void>((resume) => logger.flush(() => resume(Effect.void))))

    const writeAt = (at: Exclude<LogLevel, "silent">) => (message: string, fields: LogFields = {}): void => {
      if (logger.isLevelEnabled(at)) logger[at](redactPii(fields), redactPii(message) as string)
    }
    return { debug: writeAt("debug"), info: writeAt("info"), warn: writeAt("warn"), error: writeAt("error") }
  }))
