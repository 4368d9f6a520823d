import type { Schema } from "effect"
import type { Command, Kind } from "../../domain/Kind.ts"
import type { ProblemName } from "../problems.ts"
import { version } from "../query.ts"
import type { Parameter } from "../query.ts"
import { capitalised, CHANGED, entityOf, Happened, pageOf, Results } from "./answers.ts"
import type { AnswerHeader } from "./headers.ts"
import type { Operation } from "./Operation.ts"

type Query = Readonly<Record<string, Parameter<unknown>>>

const READ: readonly AnswerHeader[] = ["ETag", "Consistency-Token", "Cache-Status"]
const NOT_CHANGED = { is: "It is at one of the versions that If-None-Match names", headers: READ }

export const oneOperation = (kind: Kind): Operation => ({
  summary: `Read one ${kind.name}`,
  tag: kind.plural,
  query: { version },
  headers: ["If-None-Match", "Consistency-Token", "Cache-Control"],
  answers: { 200: { is: `The ${kind.name}`, headers: READ, schema: entityOf(kind) }, 304: NOT_CHANGED },
  problems: ["deleted", "unavailable"],
  problemHeaders: READ
})

export const listOperation = (kind: Kind, query: Query): Operation => ({
  summary: `List ${kind.plural} in order of creation`,
  tag: kind.plural,
  query,
  headers: ["Consistency-Token", "Cache-Control"],
  answers: { 200: { is: `A page of ${kind.plural}`, headers: ["Cache-Status", "Link"], schema: pageOf(entityOf(kind)) } },
  problems: ["unavailable"]
})

export const historyOperation = (kind: Kind, query: Query): Operation => ({
  summary: `Read the history of one ${kind.name}`,
  description: "It stays after a deletion.",
  tag: kind.plural,
  query,
  answers: { 200: { is: "A page of its events", headers: ["Cache-Status", "Link"], schema: pageOf(Happened) } },
  problems: ["unavailable"]
})

/** `AdjustStock` as a reader has it. */
const spoken = (name: string): string => capitalised(name.replace(/(?<=.)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`))

/** What a command can be refused with: by itself, and because a value of a unique field is taken. */
const refusals = (kind: Kind, { refuses, takes }: Command): readonly ProblemName[] =>
  [...refuses, ...Object.entries(kind.unique).flatMap(([field, problem]) => problem !== undefined && takes.includes(field) ? [problem] : [])]

const FAILURES: readonly ProblemName[] = ["unavailable", "unknown-outcome"]

/** A command on one entity that exists, or that it makes. */
export const commandOperation = (kind: Kind, command: Command, types: readonly string[]): Operation => {
  const creates = command.at === "create"
  return {
    summary: spoken(command.name),
    tag: kind.plural,
    headers: creates ? ["Idempotency-Key"] : ["If-Match", "Idempotency-Key"],
    ...command.at === "delete" ? {} : { body: { schema: command.input, types } },
    answers: command.at === "delete" ? { 204: { is: "Deleted", headers: CHANGED } }
      : creates ? { 201: { is: "Made", headers: ["Location", ...CHANGED], schema: entityOf(kind) } }
      : { 200: { is: `The ${kind.name} as it is now`, headers: CHANGED, schema: entityOf(kind) } },
    problems: [...refusals(kind, command), ...FAILURES, ...creates ? [] : ["deleted"] as const]
  }
}

export const batchOperation = (kind: Kind, schema: Schema.Constraint, types: readonly string[]): Operation => ({
  summary: `Create many ${kind.plural}, each of them for itself`,
  tag: kind.plural,
  headers: ["Idempotency-Key"],
  body: { schema, types },
  answers: { 200: { is: "What became of each, in order", headers: ["Consistency-Token", "Cache-Status", "Idempotency-Replayed"], schema: Results } },
  problems: FAILURES
})
