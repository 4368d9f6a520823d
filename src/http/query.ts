import { Schema } from "effect"
import { parsePosition } from "../domain/ledger/Position.ts"
import type { Position } from "../domain/ledger/Position.ts"
import type { Exchange } from "./Exchange.ts"
import type { JsonSchema } from "./openapi/Operation.ts"
import { HttpProblem } from "./problems.ts"
import type { FieldFault } from "./problems.ts"

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** An id as it is kept, or null where the text is none. */
export const uuid = (text: string): string | null => {
  const id = text.toLowerCase()
  return UUID.test(id) ? id : null
}

/** The id of an entity, in a body. */
export const Id = Schema.String.check(Schema.makeFilter((text: string) => uuid(text) === null ? "must be an id" : undefined, { toJsonSchema: () => ({ format: "uuid" }) }))

/** How one query parameter is read: `undefined` where it was not sent. */
export interface Parameter<A> {
  (text: string | undefined): { readonly value: A } | { readonly fault: string }
  /** What is read without a fault, for the document. */
  readonly schema: ParameterSchema
}
export type ParameterSchema = JsonSchema & { readonly description: string }
const parameter = <A>(schema: ParameterSchema, read: (text: string | undefined) => ReturnType<Parameter<A>>): Parameter<A> => Object.assign(read, { schema })
type Read<P> = { readonly [N in keyof P]: P[N] extends Parameter<infer A> ? A : never }

/** Reads the query parameters that a route knows; what is wrong with any of them is 400, all at once. Others are ignored. */
export const queryOf = <const P extends Readonly<Record<string, Parameter<any>>>>({ c }: Exchange, parameters: P): Read<P> => {
  const errors: FieldFault[] = [], values: Record<string, unknown> = {}
  for (const [parameter, parse] of Object.entries(parameters)) {
    const parsed = parse(c.req.query(parameter))
    if ("fault" in parsed) errors.push({ parameter, detail: parsed.fault })
    else values[parameter] = parsed.value
  }
  if (errors.length > 0) throw new HttpProblem("malformed", "The query cannot be read.", { errors })
  return values as Read<P>
}

const wholeNumber = <A>(missing: A, minimum: number, maximum: number, description: string): Parameter<number | A> =>
  parameter<number | A>({ description, type: "integer", minimum, maximum, ...missing === null ? {} : { default: missing } }, (text) => {
    if (text === undefined) return { value: missing }
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    return value >= minimum && value <= maximum ? { value } : { fault: `must be a whole number from ${minimum} to ${maximum}` }
  })

export const limit = wholeNumber(50, 1, 200, "How many items a page has at most.")
export const version = wholeNumber(null, 1, Number.MAX_SAFE_INTEGER, "As it was at that version.")

/** A value of which `parse` says null where it is none; null where it was not sent. */
export const optional = <A>(parse: (text: string) => A | null, fault: string, schema: ParameterSchema): Parameter<A | null> =>
  parameter(schema, (text) => {
    if (text === undefined) return { value: null }
    const value = parse(text)
    return value === null ? { fault } : { value }
  })

export const view = optional((text) => text === "full" ? text : null, "must be full", { description: "`full`: with the personal fields; needs the scope `customers:pii` as well.", type: "string", enum: ["full"] })

/** A cursor is opaque outside; in here it is some text. */
export const formatCursor = (text: string): string => Buffer.from(text).toString("base64url")

export const cursor = <A>(parse: (text: string) => A | null): Parameter<A | null> =>
  optional((text) => parse(Buffer.from(text, "base64url").toString()), "is none that was given out here", { description: "`nextCursor` of the page before.", type: "string" })

/** `0` is before everything that is kept. */
export const positionOf = (text: string): Position | null => text === "0" ? { epoch: 0, transaction: 0n, sequence: 0 } : parsePosition(text)

export const position = optional(positionOf, "must be a position, or 0 for the oldest", { description: "The position after which it begins; 0 for the oldest that is kept.", type: "string" })

/** The page that follows: the parameters that narrow the list, and the cursor. */
export const nextLink = ({ c }: Exchange, parameters: Readonly<Record<string, string | null>>): Readonly<Record<string, string>> => {
  if (parameters["cursor"] === null) return {}
  const url = new URL(c.req.url), query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== null) query.set(name, value)
  return { Link: `<${url.pathname}?${query.toString()}>; rel="next"` }
}
