import { Result, Schema, SchemaIssue } from "effect"
import { HttpProblem } from "./problems.ts"
import type { FieldFault } from "./problems.ts"

// Only what is wrong is said, never the value that was sent: it may be personal.
const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "MissingKey" ? "is required" : issue._tag === "UnexpectedKey" ? "is not known here" : SchemaIssue.defaultLeafHook(issue)
})

const escape = (segment: unknown) => String(segment).replaceAll("~", "~0").replaceAll("/", "~1")

/** Checks a value against a schema; on faults answers all of them, as JSON pointers below `base`. */
export const check = <A>(schema: Schema.Codec<A>, value: unknown, base = "#"): { readonly value: A } | { readonly faults: readonly FieldFault[] } => {
  const result = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(value)
  return Result.isSuccess(result)
    ? { value: result.success }
    : { faults: format(result.failure.issue).issues.map(({ path, message }) => ({ pointer: [base, ...path!.map(escape)].join("/"), detail: message })) }
}

export const invalid = (errors: readonly FieldFault[]): HttpProblem =>
  new HttpProblem("invalid", errors.length === 1 ? "One thing is not valid." : `${errors.length} things are not valid.`, { errors })

/** As `check`, but faults are thrown. */
export const valid = <A>(schema: Schema.Codec<A>, value: unknown): A => {
  const checked = check(schema, value)
  if ("faults" in checked) throw invalid(checked.faults)
  return checked.value
}
