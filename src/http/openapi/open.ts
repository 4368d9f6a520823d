import { Schema } from "effect"
import { Html, Position, Version } from "./answers.ts"
import type { Operation } from "./Operation.ts"
import type { Parameter } from "../query.ts"

const tag = "service"

export const healthOperation: Operation = {
  summary: "Whether the process lives",
  tag,
  answers: { 200: { is: "It does", schema: Schema.Struct({ status: Schema.Literal("ok") }) } }
}

export const readyOperation: Operation = {
  summary: "Whether the process can serve",
  tag,
  answers: {
    200: { is: "It can; degraded while the cache is away", schema: Schema.Struct({ ready: Schema.Literal(true), degraded: Schema.Boolean }) },
    503: { is: "It cannot: the database is away", schema: Schema.Struct({ ready: Schema.Literal(false), degraded: Schema.Boolean }) }
  }
}

export const metricsOperation: Operation = {
  summary: "Metrics for Prometheus",
  tag,
  answers: { 200: { is: "Text format", schema: Schema.String, type: "text/plain" } }
}

export const problemOperation: Operation = { summary: "What a problem means", tag, answers: { 200: { is: "A page", ...Html } } }

export const documentOperation: Operation = {
  summary: "This document",
  tag,
  answers: { 200: { is: "OpenAPI 3.1", schema: Schema.Record(Schema.String, Schema.Unknown) } }
}

export const pageOperation: Operation = { summary: "This document, to read", tag, answers: { 200: { is: "A page", ...Html } } }

const Change = Schema.Struct({ position: Position, kind: Schema.String, id: Schema.String, versionId: Version, type: Schema.String }).annotate({ identifier: "Change" })

export const changesOperation = (query: Readonly<Record<string, Parameter<unknown>>>): Operation => ({
  summary: "Listen to every change",
  description: "Server-sent events in order of position, of the kinds whose `:read` scope the key has: `id` the position, `event: change`, `data` a `Change` as JSON. A comment line every 15 seconds. "
    + "A listener that does not keep up is closed, and resumes by the id of its last event.",
  tag: "changes",
  query,
  headers: ["Last-Event-ID"],
  answers: { 200: { is: "A stream that does not end", schema: Schema.String, data: Change, type: "text/event-stream" } },
  problems: ["history-pruned", "unavailable"]
})
