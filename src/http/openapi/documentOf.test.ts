import { Schema } from "effect"
import { expect, test } from "vitest"
import type { Route } from "../route.ts"
import { noContent } from "../respond.ts"
import { documentOf } from "./documentOf.ts"
import { sessionOperations } from "./sessions.ts"

const route = (more: Pick<Route, "about"> & Partial<Route>): Route => ({ method: "GET", path: "/a", scopes: null, handle: () => noContent(204, {}), ...more })
const operation = (more: Pick<Route, "about"> & Partial<Route>) => {
  const { path, method } = route(more)
  return documentOf([route(more)]).paths[path.replace(":id", "{id}")]![method.toLowerCase()]!
}
const about = { summary: "S", tag: "t", answers: { 204: { is: "Done" } } }

test("a route that takes any key can answer 401 and 429, but not 403", () => {
  const { responses, security } = operation({ scopes: [], about })
  expect(Object.keys(responses)).toEqual(["204", "401", "429", "500"])
  expect(security).toEqual([{ bearer: [] }])
  expect(["401", "429"].map((status) => Object.keys(responses[status]!.headers))).toEqual([
    ["WWW-Authenticate", "X-Request-Id", "Cache-Control"], ["Retry-After", "X-Request-Id", "Cache-Control", "RateLimit-Policy", "RateLimit"]
  ])
})

test("an open route that takes nothing can answer what it names", () => {
  const { responses, security } = operation({ about: { ...about, problems: ["history-pruned", "deleted"] } })
  expect(Object.keys(responses)).toEqual(["204", "410", "500"])
  expect(responses["410"]!.content!["application/problem+json"]!.schema).toEqual({ oneOf: [{ $ref: "#/components/schemas/problem-deleted" }, { $ref: "#/components/schemas/problem-history-pruned" }] })
  expect(security).toEqual([])
})

test("the id of a session is the client's own; any other is a UUID", () => {
  const id = { type: "string", pattern: "^x$" }, { put, get } = sessionOperations(id, Schema.Struct({}))
  const path = "/v1/sessions/:id", scopes = ["sessions"]
  expect(operation({ method: "PUT", path, scopes, about: put }).parameters[0]).toMatchObject({ name: "id", in: "path", required: true, schema: id })
  expect(Object.keys(operation({ method: "PUT", path, scopes, about: put }).responses)).toEqual(["204", "400", "401", "403", "404", "413", "415", "422", "429", "500", "503"])
  expect(Object.keys(operation({ path, scopes, about: get }).responses)).toEqual(["200", "401", "403", "404", "429", "500", "503"])
  expect(operation({ path: "/a/:id", about }).parameters[0]).toMatchObject({ schema: { format: "uuid" } })
})
