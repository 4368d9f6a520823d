import { Schema } from "effect"
import { expect, test } from "vitest"
import { check } from "./check.ts"
import { Count, optional, record, Text } from "./Field.ts"

const Box = record("Box", { label: Text, "a/b~c": Count, lid: optional(record("Lid", { label: Text })) })

test("what is in order comes back as it was sent", () => {
  expect(check(Box.schema, { label: "a", "a/b~c": 1 })).toEqual({ value: { label: "a", "a/b~c": 1 } })
})

test("all that is wrong is named at once: what is missing, what is unknown, and what is not as it should be", () => {
  expect(check(Box.schema, { label: "", lid: {}, colour: "red" })).toEqual({ faults: expect.arrayContaining([
    { pointer: "#/label", detail: "must not be empty" },
    { pointer: "#/a~1b~0c", detail: "is required" },
    { pointer: "#/lid/label", detail: "is required" },
    { pointer: "#/colour", detail: "is not known here" }
  ]) })
})

test("a fault of the whole stands at its place, and members below it, places in lists by their number", () => {
  expect(check(Box.schema, [])).toMatchObject({ faults: [{ pointer: "#" }] })
  expect(check(Box.schema, 7, "#/items/3")).toMatchObject({ faults: [{ pointer: "#/items/3" }] })
  expect(check(Schema.Array(Text.schema), ["a", ""], "#/of")).toEqual({ faults: [{ pointer: "#/of/1", detail: "must not be empty" }] })
})

test("no fault says what was sent: it may be personal", () => {
  const secret = "4711-secret"
  for (const value of [secret, { label: [secret], "a/b~c": secret, lid: secret }, { label: secret.padEnd(201, secret), "a/b~c": 0.5, lid: { label: { secret } } }]) {
    const checked = check(Box.schema, value)
    expect(JSON.stringify(checked)).toContain("faults")
    expect(JSON.stringify(checked)).not.toContain(secret)
  }
})
