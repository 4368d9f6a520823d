import { Result, Schema, SchemaIssue } from "effect"

/** What is wrong with a part of a request: a JSON pointer as a fragment, such as `#/price/amount`, and what to do about it. */
export interface Fault { readonly pointer: string; readonly detail: string }

// Only what is wrong is said, never the value that was sent: it may be personal.
const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "MissingKey" ? "is required" : issue._tag === "UnexpectedKey" ? "is not known here" : SchemaIssue.defaultLeafHook(issue)
})

const escape = (segment: unknown) => String(segment).replaceAll("~", "~0").replaceAll("/", "~1")

/** Checks a value against a schema; on faults answers all of them, as JSON pointers below `base`. */
export const check = <A>(schema: Schema.Codec<A>, value: unknown, base = "#"): { readonly value: A } | { readonly faults: readonly Fault[] } => {
  const result = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(value)
  return Result.isSuccess(result)
    ? { value: result.success }
    : { faults: format(result.failure.issue).issues.map(({ path, message }) => ({ pointer: [base, ...path!.map(escape)].join("/"), detail: message })) }
}
