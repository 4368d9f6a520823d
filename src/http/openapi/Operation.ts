import type { Schema } from "effect"
import type { ProblemName } from "../problems.ts"
import type { Parameter } from "../query.ts"
import type { AnswerHeader, RequestHeader } from "./headers.ts"

/** JSON Schema 2020-12, as OpenAPI 3.1 takes it. */
export type JsonSchema = Readonly<Record<string, unknown>> & { readonly description?: string }

export interface Answer {
  readonly is: string
  readonly headers?: readonly AnswerHeader[]
  /** Of its body; none without a schema. */
  readonly schema?: Schema.Constraint
  /** Of the data of each event, where the body is a stream of them. */
  readonly data?: Schema.Constraint
  /** `application/json` if not said. */
  readonly type?: string
}

/**
 * What the document says of a route. What follows from the rest is not repeated here: the problems of its key, its
 * parameters, its headers and its body, and the headers that every answer has.
 */
export interface Operation {
  readonly summary: string
  readonly description?: string
  readonly tag: string
  /** Parameters in the path that are not what their name usually is. */
  readonly path?: Readonly<Record<string, JsonSchema>>
  /** The same record that the route reads its query by. */
  readonly query?: Readonly<Record<string, Parameter<unknown>>>
  readonly headers?: readonly RequestHeader[]
  /** The same schema and types that the route checks its body by. */
  readonly body?: { readonly schema: Schema.Constraint; readonly types: readonly string[]; readonly optional?: boolean }
  readonly answers: Readonly<Record<number, Answer>>
  readonly problems?: readonly ProblemName[]
  /** What the answers that are problems may have beside. */
  readonly problemHeaders?: readonly AnswerHeader[]
}
