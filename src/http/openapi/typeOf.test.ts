import { expect, test } from "vitest"
import { membersOf, typeOf } from "./typeOf.ts"

test.each([
  [{}, "anything"],
  [{ $ref: "#/components/schemas/Money" }, "Money"],
  [{ const: "a" }, `"a"`],
  [{ type: "string", minLength: 1, maxLength: 200, pattern: "x" }, "text, 1 to 200 characters"],
  [{ type: "string", minLength: 1 }, "text, at least 1 characters"],
  [{ type: "string", format: "uuid" }, "text, uuid"],
  [{ enum: ["a", 1] }, `one of "a", 1`],
  [{ type: "integer", minimum: 1, maximum: 9, default: 5 }, "integer, 1 to 9, 5 if not sent"],
  [{ type: "integer", allOf: [{ not: { const: 0 } }] }, "integer, not 0"],
  [{ anyOf: [{ type: "string" }, { type: "null" }] }, "text, or null"],
  [{ oneOf: [{ $ref: "#/components/schemas/A" }, { $ref: "#/components/schemas/B" }] }, "A, or B"],
  [{ type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 3 }, "list of boolean, 1 to 3 items"]
])("%j is said to be: %s", (schema, words) => expect(typeOf(schema)).toBe(words))

test("members are listed with those inside them, and whether they are always there", () => {
  const line = { type: "object", properties: { quantity: { type: "integer" } }, required: ["quantity"] }
  const order = { type: "object", properties: { lines: { type: "array", items: line }, payment: { anyOf: [line, { type: "null" }] } }, required: ["lines"] }
  expect(membersOf(order)).toEqual([
    { name: "lines", type: "list of object", required: true },
    { name: "lines[].quantity", type: "integer", required: true },
    { name: "payment", type: "object, or null", required: false },
    { name: "payment.quantity", type: "integer", required: true }
  ])
  expect(membersOf({ type: "string" })).toEqual([])
})
