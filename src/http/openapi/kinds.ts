import { Schema } from "effect"
import type { Command, Kind } from "../../domain/Kind.ts"
import type { ProblemName } from "../problems.ts"
import type { Parameter } from "../query.ts"
import { capitalised, ErasureCertificate, CHANGED, entityOf, fullOf, Happened, pageOf, Results } from "./answers.ts"
import type { AnswerHeader } from "./headers.ts"
import type { Operation } from "./Operation.ts"

type Query = Readonly<Record<string, Parameter<unknown>>>

const READ: readonly AnswerHeader[] = ["ETag", "Consistency-Token", "Cache-Status"]
const NOT_CHANGED = { is: "It is at one of the versions that If-None-Match names", headers: READ }

export const oneOperation = (kind: Kind, query: Query): Operation => ({
  summary: `Read one ${kind.name}`,
  ...kind.personal === null ? {} : { description: "With `view=full` the personal fields as well: that needs the scope `customers:pii` too, comes from the database, and is audited." },
  tag: kind.plural,
  query,
  headers: ["If-None-Match", "Consistency-Token", "Cache-Control"],
  answers: { 200: { is: `The ${kind.name}`, headers: READ, schema: kind.personal === null ? entityOf(kind) : Schema.Union([entityOf(kind), fullOf(kind)]) }, 304: NOT_CHANGED },
  problems: ["deleted", "history-pruned", "unavailable"],
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
  description: kind.personal === null ? "It stays after a deletion." : "It stays after a deletion. Personal data is not in it.",
  tag: kind.plural,
  query,
  headers: ["Consistency-Token"],
  answers: { 200: { is: "A page of its events", headers: ["Cache-Status", "Link"], schema: pageOf(Happened) } },
  problems: ["unavailable"]
})

/** `AdjustStock` as a reader has it. */
const spoken = (name: string): string => capitalised(name.replace(/(?<=.)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`))

/** What a command can be refused with: by itself, and because a value of a unique field is taken. */
const refusals = (kind: Kind, { refuses, takes }: Command): readonly ProblemName[] =>
  [...refuses, ...Object.entries(kind.unique).flatMap(([field, problem]) => problem !== undefined && takes.includes(field) ? [problem] : [])]

const FAILURES: readonly ProblemName[] = ["unavailable", "unknown-outcome"]

/** What a command is answered with. */
const answersOf = (kind: Kind, { at }: Command): Operation["answers"] =>
  at === "delete" ? { 204: { is: "Deleted", headers: CHANGED } }
  : at === "erase" ? { 200: { is: "Erased: a certificate", headers: CHANGED, schema: ErasureCertificate } }
  : at === "create" ? { 201: { is: "Made", headers: ["Location", ...CHANGED], schema: entityOf(kind) } }
  : { 200: { is: `The ${kind.name} as it is now`, headers: CHANGED, schema: entityOf(kind) } }

/** A command on one entity that exists, or that it makes. */
export const commandOperation = (kind: Kind, command: Command, types: readonly string[]): Operation => ({
  summary: spoken(command.name),
  tag: kind.plural,
  headers: command.at === "create" ? ["Idempotency-Key"] : ["If-Match", "Idempotency-Key"],
  ...types.length === 0 ? {} : { body: { schema: command.input, types, optional: command.takes.length === 0 } },
  answers: answersOf(kind, command),
  problems: [...refusals(kind, command), ...FAILURES, ...command.at === "create" && kind.personal === null ? [] : ["deleted"] as const, ...command.at === "create" ? [] : ["history-pruned"] as const],
  problemHeaders: ["Cache-Status"]
})

export const lookupOperation = (kind: Kind, schema: Schema.Constraint, types: readonly string[]): Operation => ({
  summary: `Find one ${kind.name} by personal data`,
  description: "Audited, and limited. It changes nothing.",
  tag: kind.plural,
  headers: ["Consistency-Token"],
  body: { schema, types },
  answers: { 200: { is: `The ${kind.name}`, headers: READ, schema: entityOf(kind) } },
  problems: ["not-found", "deleted", "unavailable"],
  problemHeaders: READ
})

export const batchOperation = (kind: Kind, schema: Schema.Constraint, types: readonly string[]): Operation => ({
  summary: `Create many ${kind.plural}, each of them for itself`,
  tag: kind.plural,
  headers: ["Idempotency-Key"],
  body: { schema, types },
  answers: { 200: { is: "What became of each, in order", headers: ["Consistency-Token", "Cache-Status", "Idempotency-Replayed"], schema: Results } },
  problems: FAILURES,
  problemHeaders: ["Cache-Status"]
})
