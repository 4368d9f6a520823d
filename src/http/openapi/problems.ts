import { PROBLEMS } from "../problems.ts"
import type { ProblemName } from "../problems.ts"
import type { Route } from "../route.ts"
import { PROBLEMS_OF_HEADER } from "./headers.ts"
import type { JsonSchema } from "./Operation.ts"

/** Every problem that a route can answer: those that follow from what it takes, and those that it names. */
export const problemsOf = ({ path, scopes, about }: Route): readonly ProblemName[] => {
  const { query, headers = [], body, problems = [] } = about
  const named = new Set<ProblemName>([
    ...scopes === null ? [] : ["unauthenticated", "rate-limited"] as const,
    ...scopes === null || scopes.length === 0 ? [] : ["forbidden"] as const,
    ...body === undefined ? [] : ["too-large", "unsupported-media-type", "malformed", "invalid"] as const,
    ...query === undefined ? [] : ["malformed"] as const,
    ...headers.flatMap((header) => PROBLEMS_OF_HEADER[header]),
    ...path.includes(":") ? ["not-found"] as const : [],
    ...problems
  ])
  return Object.keys(PROBLEMS).filter((name) => named.has(name as ProblemName)) as ProblemName[]
}

const FIELD_FAULT = {
  type: "object",
  properties: {
    pointer: { type: "string", description: "A JSON pointer into the body." },
    parameter: { type: "string", description: "A query parameter." },
    detail: { type: "string" }
  },
  required: ["detail"],
  additionalProperties: false
}

const instance = { type: "string", pattern: "^/requests/[A-Za-z0-9._-]{1,128}$", description: "The request, by its X-Request-Id." }

/** Those that name what is wrong with each part of the request. */
const WITH_ERRORS: ReadonlySet<ProblemName> = new Set(["malformed", "invalid"])

/** Of its schema. */
export const problemName = (name: ProblemName): string => `problem-${name}`

/** RFC 9457: one schema for each problem. */
export const problemSchema = (name: ProblemName): JsonSchema => ({
  description: PROBLEMS[name].help,
  type: "object",
  properties: {
    type: { const: `/problems/${name}` },
    title: { const: PROBLEMS[name].title },
    status: { const: PROBLEMS[name].status },
    detail: { type: "string" },
    instance,
    ...WITH_ERRORS.has(name) ? { errors: { type: "array", items: FIELD_FAULT } } : {}
  },
  required: ["type", "title", "status", "detail", "instance"],
  additionalProperties: false
})

/** A fault of the service, of which nothing is told. */
export const DEFECT: JsonSchema = {
  description: "A fault of the service. Whether a change happened is unknown: send it again with the same Idempotency-Key to find out.",
  type: "object",
  properties: { type: { const: "about:blank" }, title: { type: "string" }, status: { const: 500 }, instance },
  required: ["type", "title", "status", "instance"],
  additionalProperties: false
}
