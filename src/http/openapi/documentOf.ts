import { SCOPES } from "../../domain/access/ApiKeys.ts"
import { PROBLEMS } from "../problems.ts"
import type { ProblemName } from "../problems.ts"
import type { Route } from "../route.ts"
import { ANSWER_HEADERS, PATH_PARAMETERS, PROBLEM_HEADERS, REQUEST_HEADERS } from "./headers.ts"
import type { AnswerHeader, RequestHeader } from "./headers.ts"
import type { Answer, JsonSchema } from "./Operation.ts"
import { DEFECT, problemName, problemSchema, problemsOf } from "./problems.ts"
import { Schemas } from "./Schemas.ts"

export interface MediaObject { readonly schema: JsonSchema; readonly "x-event-data"?: JsonSchema }
export interface Reference { readonly $ref: string }
export interface ParameterObject {
  readonly name: string
  readonly in: "path" | "query" | "header"
  readonly required?: boolean
  readonly description?: string
  readonly schema: JsonSchema
}
export interface ResponseObject {
  readonly description: string
  readonly headers: Readonly<Record<string, Reference>>
  readonly content?: Readonly<Record<string, MediaObject>>
}
export interface OperationObject {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly security: readonly { readonly bearer: readonly string[] }[]
  readonly parameters: readonly (ParameterObject | Reference)[]
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, MediaObject>> }
  readonly responses: Readonly<Record<string, ResponseObject>>
}
export interface Document {
  readonly openapi: "3.1.1"
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly servers: readonly { readonly url: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>
    readonly headers: Readonly<Record<string, { readonly description: string; readonly schema: JsonSchema }>>
    readonly parameters: Readonly<Record<string, ParameterObject>>
    readonly securitySchemes: Readonly<Record<string, JsonSchema>>
  }
}

const DESCRIPTION = [
  "JSON in and out. Unknown fields are refused; a field without a value is `null`, never missing.",
  "`HEAD` works like `GET`. Another method on a known path is 405 `method-not-allowed`, an unknown path 404 `not-found`.",
  "Every error is a problem (RFC 9457) whose `type` is a page that explains it."
].join("\n\n")

const schemaReference = (name: string): Reference => ({ $ref: `#/components/schemas/${name}` })
const headerParameter = (name: RequestHeader): Reference => ({ $ref: `#/components/parameters/${name}` })
const headerReferences = (names: readonly AnswerHeader[]) => Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
const byName = <A, B>(record: Readonly<Record<string, A>>, each: (value: A, name: string) => B): Readonly<Record<string, B>> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, each(value, name)]))

/** `/v1/products/:id` as OpenAPI writes it. */
export const templateOf = (path: string): string => path.replace(/:([a-z]+)/gi, "{$1}")

/** OpenAPI 3.1 of the routes that are served: there is no other list. */
export const documentOf = (routes: readonly Route[]): Document => {
  const schemas = new Schemas()
  const paths: Record<string, Record<string, OperationObject>> = {}
  for (const route of routes) (paths[templateOf(route.path)] ??= {})[route.method.toLowerCase()] = operationOf(route, schemas)
  return {
    openapi: "3.1.1",
    info: { title: "Holdfast", version: "1", description: DESCRIPTION },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: { ...schemas.named, ...Object.fromEntries((Object.keys(PROBLEMS) as ProblemName[]).map((name) => [problemName(name), problemSchema(name)])), defect: DEFECT },
      headers: ANSWER_HEADERS,
      parameters: byName(REQUEST_HEADERS, (described, name): ParameterObject => ({ name, in: "header", ...described })),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: `An API key, or a JWT of the configured issuer. Scopes: ${SCOPES.map((scope) => `\`${scope}\``).join(", ")}.` }
      }
    }
  }
}

const operationOf = (route: Route, schemas: Schemas): OperationObject => {
  const { about, scopes, method, path } = route
  const always: readonly AnswerHeader[] = ["X-Request-Id", "Cache-Control"]
  const common: readonly AnswerHeader[] = scopes === null ? always : [...always, "RateLimit-Policy", "RateLimit"]

  const responseOf = ({ is, headers = [], schema, data, type = "application/json" }: Answer): ResponseObject => ({
    description: is,
    headers: headerReferences([...headers, ...common]),
    ...schema === undefined ? {} : { content: { [type]: { schema: schemas.of(schema), ...data === undefined ? {} : { "x-event-data": schemas.of(data) } } } }
  })

  const refusalOf = (names: readonly ProblemName[]): ResponseObject => ({
    description: names.map((name) => PROBLEMS[name].title).join("; "),
    headers: headerReferences([...names.flatMap((name) => PROBLEM_HEADERS[name] ?? []), ...about.problemHeaders ?? [], ...names.includes("unauthenticated") ? always : common]),
    content: problemContent(names.map(problemName))
  })

  const problems = Map.groupBy(problemsOf(route), (name) => PROBLEMS[name].status)
  return {
    operationId: [method.toLowerCase(), ...path.match(/[a-z0-9]+/gi)!].join("-"),
    tags: [about.tag],
    summary: about.summary,
    ...about.description === undefined ? {} : { description: about.description },
    security: scopes === null ? [] : [{ bearer: scopes }],
    parameters: parametersOf(route),
    ...about.body === undefined ? {} : { requestBody: { required: about.body.optional !== true, content: contentOf(about.body.types, schemas.of(about.body.schema)) } },
    responses: {
      ...byName(about.answers, responseOf),
      ...Object.fromEntries(Array.from(problems, ([status, names]) => [status, refusalOf(names)])),
      500: { description: "A fault of the service", headers: headerReferences(common), content: problemContent(["defect"]) }
    }
  }
}

const contentOf = (types: readonly string[], schema: JsonSchema) => Object.fromEntries(types.map((type) => [type, { schema }]))

const problemContent = (names: readonly string[]) =>
  contentOf(["application/problem+json"], names.length === 1 ? { ...schemaReference(names[0]!) } : { oneOf: names.map(schemaReference) })

const parametersOf = ({ path, about: { path: own = {}, query = {}, headers = [] } }: Route): readonly (ParameterObject | Reference)[] => [
  ...Array.from(path.matchAll(/:([a-z]+)/gi), ([, name]): ParameterObject =>
    ({ name: name!, in: "path", required: true, ...PATH_PARAMETERS[name!]!, ...own[name!] && { schema: own[name!]! } })),
  ...Object.entries(query).map(([name, { schema: { description, ...schema } }]): ParameterObject =>
    ({ name, in: "query", description, schema })),
  ...[...headers, "X-Request-Id", "traceparent"].map((name) => headerParameter(name as RequestHeader))
]
