import { Schema } from "effect"
import type { JsonSchema } from "./Operation.ts"

/** Schemas as JSON Schema. Those that have a name of their own are collected, and referred to by it. */
export class Schemas {
  readonly named: Record<string, JsonSchema> = {}

  of(schema: Schema.Constraint): JsonSchema {
    // As they are validated: what is not known is refused.
    const { schema: own, definitions } = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error" })
    for (const [name, definition] of Object.entries(definitions)) this.named[name] = inDocument(definition)
    return inDocument(own)
  }
}

/** With references as the document has them. */
const inDocument = (schema: object): JsonSchema => JSON.parse(JSON.stringify(schema).replaceAll(`"$ref":"#/$defs/`, `"$ref":"#/components/schemas/`)) as JsonSchema
