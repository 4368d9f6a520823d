import { Command, CommanderError } from "commander"
import { Effect, ManagedRuntime } from "effect"
import { DatabaseUnavailable } from "../domain/ledger/Ledger.ts"
import { Log } from "../domain/observe/Log.ts"
import type { Environment } from "../infrastructure/configuration/readConfiguration.ts"
import { layerPinoLog } from "../infrastructure/logging/PinoLog.ts"
import { addApiKeys } from "./apiKeys.ts"
import { addEpoch } from "./epoch.ts"
import { addKeys } from "./keys.ts"
import { addMigrate } from "./migrate.ts"
import { addQueue } from "./queue.ts"
import { addRows } from "./rows.ts"
import { addVerify } from "./verify.ts"
import { addSubjectKeys } from "./subjectKeys.ts"

/** Where a command writes: what was asked for, and what is wrong. */
export interface Output { readonly out: (text: string) => void; readonly err: (text: string) => void }

/** What every command has at hand. Lines of the log go to the errors, from `warn` on, so that the output is only what was asked for. */
export interface Surroundings {
  readonly environment: Environment
  readonly log: Log["Service"]
  readonly print: (line: string) => void
  /** How far a command has come, for who waits for it: goes to the errors. */
  readonly progress: (line: string) => void
}

/** The command line; answers the exit code. */
export const holdfast = async (args: readonly string[], environment: Environment, { out, err }: Output): Promise<number> => {
  const logging = ManagedRuntime.make(layerPinoLog({ level: "warn", destination: { write: err } }))
  const surroundings = {
    environment,
    log: await logging.runPromise(Effect.service(Log)),
    print: (line: string) => out(`${line}\n`),
    progress: (line: string) => err(`${line}\n`)
  }
  // Commands made by `command` take these settings over; one that is added does not.
  const program = new Command("holdfast").exitOverride().configureOutput({ writeOut: out, writeErr: err })
  program.description("The operator's tools. They work on DATABASE_URL, or without one on the embedded Postgres.")
  for (const add of [addMigrate, addApiKeys, addKeys, addQueue, addRows, addSubjectKeys, addVerify, addEpoch]) add(program, surroundings)
  try {
    await program.parseAsync(args, { from: "user" })
    return 0
  } catch (error) {
    // Has been printed.
    if (error instanceof CommanderError) return error.exitCode
    err(`${messageOf(error as Error)}\n`)
    return 1
  } finally {
    await logging.dispose()
  }
}

const messageOf = (error: Error): string =>
  error instanceof DatabaseUnavailable ? `The database cannot be reached: ${error.reason}` : error.message
