import { Schema } from "effect"
import { Time } from "./answers.ts"
import type { JsonSchema, Operation } from "./Operation.ts"

/** The id in the path is the client's own. */
const about = (id: JsonSchema) => ({ tag: "sessions", path: { id }, problems: ["unavailable"] as const, problemHeaders: ["Cache-Status"] as const })

export const sessionOperations = (id: JsonSchema, body: Schema.Constraint) => ({
  put: { ...about(id), summary: "Keep a session", body: { schema: body, types: ["application/json"] }, answers: { 204: { is: "Kept", headers: ["Cache-Status"] } } },
  get: {
    ...about(id),
    summary: "Read a session",
    answers: { 200: { is: "The session", headers: ["Cache-Status"], schema: Schema.Struct({ data: Schema.Record(Schema.String, Schema.Unknown), expiresAt: Time }) } }
  },
  delete: { ...about(id), summary: "End a session", answers: { 204: { is: "Ended", headers: ["Cache-Status"] } } }
} satisfies Readonly<Record<string, Operation>>)
