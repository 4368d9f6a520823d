import { PROBLEMS } from "../problems.ts"
import type { ProblemName } from "../problems.ts"
import type { JsonSchema } from "./Operation.ts"

interface Described { readonly description: string; readonly schema: JsonSchema }

const text = { type: "string" }

export const REQUEST_HEADERS = {
  "If-Match": { description: "The version, as an entity tag, that the change is meant for. Without it the change is made on the newest one.", schema: text },
  "If-None-Match": { description: "Versions, as entity tags, that the sender has: if it is one of them the answer is 304.", schema: text },
  "Idempotency-Key": {
    description: "1 to 255 visible ASCII characters, bare or as a quoted string. The same request again with the same key gets the first answer again, for 24 hours.",
    schema: { type: "string", minLength: 1 }
  },
  "Consistency-Token": { description: "One or several of earlier answers, with a comma between: the answer is not older than any of them.", schema: text },
  "Cache-Control": { description: "`no-cache` (or `max-age=0`): from the database. `max-age=5`: an entry of the cache that was settled up to 5 seconds ago will do.", schema: text },
  "Last-Event-ID": { description: "The id of the last event that was received. Counts before `after`.", schema: text },
  "X-Request-Id": { description: "1 to 128 of `A-Za-z0-9._-`; without one the service makes one.", schema: { type: "string", pattern: "^[A-Za-z0-9._-]{1,128}$" } },
  "traceparent": { description: "W3C Trace Context: taken up, and handed on.", schema: text }
} as const satisfies Readonly<Record<string, Described>>

export type RequestHeader = keyof typeof REQUEST_HEADERS

export const ANSWER_HEADERS = {
  "ETag": { description: "The version, as a strong entity tag.", schema: text },
  "Consistency-Token": { description: "Sent back with a read, its answer is not older than this one. Opaque.", schema: text },
  "Cache-Status": { description: "How the cache took part in the answer (RFC 9211).", schema: text },
  "Cache-Control": { description: "`no-store`, or `private, no-cache`.", schema: text },
  "Location": { description: "The path of what was made.", schema: text },
  "Link": { description: "The next page, with `rel=\"next\"`; missing on the last one.", schema: text },
  "Idempotency-Replayed": { description: "`true` where this is the first answer again.", schema: { const: "true" } },
  "X-Request-Id": { description: "The name of the request, in logs and in `instance` of a problem.", schema: text },
  "RateLimit-Policy": { description: "If a limit is set: how many requests (`q`) in how many seconds (`w`).", schema: text },
  "RateLimit": { description: "If a limit is set: how many requests remain (`r`), for how many seconds (`t`).", schema: text },
  "Retry-After": { description: "In seconds.", schema: { type: "integer", minimum: 0 } },
  "WWW-Authenticate": { description: "`Bearer`.", schema: { const: "Bearer" } }
} as const satisfies Readonly<Record<string, Described>>

export type AnswerHeader = keyof typeof ANSWER_HEADERS

/** What each name in a path usually is. Another one is to stand here, or the document breaks the rules of OpenAPI. */
export const PATH_PARAMETERS: Readonly<Record<string, Described>> = {
  id: { description: "The id. What is no UUID is of nothing that exists: 404.", schema: { type: "string", format: "uuid" } },
  kind: { description: "A kind, in the singular.", schema: text },
  name: { description: "The name of a problem.", schema: { enum: Object.keys(PROBLEMS) } }
}

/** What comes with a problem beside its body. */
export const PROBLEM_HEADERS: { readonly [N in ProblemName]?: AnswerHeader } = {
  "unauthenticated": "WWW-Authenticate",
  "rate-limited": "Retry-After",
  "idempotency-key-in-flight": "Retry-After",
  "unavailable": "Retry-After",
  "unknown-outcome": "Retry-After"
}

/** Problems that a route can answer because it reads a header. */
export const PROBLEMS_OF_HEADER: { readonly [H in RequestHeader]: readonly ProblemName[] } = {
  "If-Match": ["malformed", "version-mismatch"],
  "If-None-Match": ["malformed"],
  "Idempotency-Key": ["malformed", "idempotency-key-reused", "idempotency-key-in-flight"],
  "Consistency-Token": ["malformed", "consistency-token-unknown"],
  "Cache-Control": ["malformed"],
  "Last-Event-ID": ["malformed"],
  "X-Request-Id": [],
  "traceparent": []
}
