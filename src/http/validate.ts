import type { Schema } from "effect"
import { check } from "../domain/check.ts"
import { invalid } from "./problems.ts"

/** As `check`, but faults are thrown. */
export const valid = <A>(schema: Schema.Codec<A>, value: unknown): A => {
  const checked = check(schema, value)
  if ("faults" in checked) throw invalid(checked.faults)
  return checked.value
}
