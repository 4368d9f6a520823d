import { Schema } from "effect"
import { describe, expect, test } from "vitest"
import { check } from "./check.ts"
import { Count, Delta, Email, Flag, listOf, LongText, MAX_INTEGER, Money, oneOf, optional, Phone, record, Reference, Text, tier1, tier2, tier3 } from "./Field.ts"
import type { FieldType } from "./Field.ts"

const takes = (type: FieldType<any>) => Schema.is(type.schema)

test.each<[string, FieldType<string>, number]>([["text", Text, 200], ["long text", LongText, 2_000]])("%s has 1 to as many characters as it may, counted in code points", (_, type, longest) => {
  const valid = takes(type)
  for (const good of ["a", " ", "x".repeat(longest), "😀".repeat(longest)]) expect(valid(good)).toBe(true)
  for (const bad of ["", "x".repeat(longest + 1), "😀".repeat(longest + 1), null, 1, undefined]) expect(valid(bad)).toBe(false)
})

test("text holds all of Unicode but what would come back changed: U+0000 and lone surrogates", () => {
  const valid = takes(Text)
  for (const good of ["\u0001", "\uffff", "e\u0301", "\u{10ffff}", "\ud83d\ude00"]) expect(valid(good)).toBe(true)
  for (const bad of ["\u0000", "a\u0000b", "\ud83d", "\ude00", "a\ud83db"]) expect(valid(bad)).toBe(false)
})

test("a count is a whole number from 0 to what JSON holds exactly", () => {
  for (const good of [0, 1, MAX_INTEGER]) expect(takes(Count)(good)).toBe(true)
  for (const bad of [-1, 0.5, MAX_INTEGER + 1, NaN, Infinity, "1", null]) expect(takes(Count)(bad)).toBe(false)
})

test("a difference is any whole number but 0", () => {
  for (const good of [1, -1, MAX_INTEGER, -MAX_INTEGER]) expect(takes(Delta)(good)).toBe(true)
  for (const bad of [0, -0, 0.5, MAX_INTEGER + 1, -MAX_INTEGER - 1, "1"]) expect(takes(Delta)(bad)).toBe(false)
})

test("money is a count of minor units and a currency of ISO 4217; a patch may send either", () => {
  expect(takes(Money)({ amount: 0, currency: "EUR" })).toBe(true)
  for (const bad of [{ amount: 1 }, { currency: "EUR" }, { amount: -1, currency: "EUR" }, { amount: 1, currency: "eur" }, { amount: 1, currency: "XAU" }, null]) expect(takes(Money)(bad)).toBe(false)
  const patch = Schema.is(Money.patch!)
  for (const good of [{}, { amount: 1 }, { currency: "USD" }]) expect(patch(good)).toBe(true)
  for (const bad of [{ amount: null }, { currency: "?" }]) expect(patch(bad)).toBe(false)
})

test("a choice takes its values and nothing else", () => {
  expect(["a", "b", "c", null].map(takes(oneOf("a", "b")))).toEqual([true, true, false, false])
})

test("what is optional may be null, and is otherwise what it is", () => {
  const type = optional(Text)
  expect(type).toMatchObject({ optional: true, storage: "text" })
  expect([null, "a", "", 1].map(takes(type))).toEqual([true, true, false, false])
})

test("a field has the tier that it was given", () => {
  expect([tier1(Text), tier2(Text), tier3(Text)].map(({ tier }) => tier)).toEqual([1, 2, 3])
})

test("a flag is true or false, and nothing that could stand for it", () => {
  expect(Flag).toMatchObject({ storage: "boolean", optional: false })
  expect([true, false, 1, 0, "true", "yes", null].map(takes(Flag))).toEqual([true, true, false, false, false, false, false])
})

describe("the id of another entity", () => {
  test("is a UUID of any version, in either case", () => {
    for (const good of ["018f4e5c-1a2b-7c3d-8e4f-5a6b7c8d9e0f", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "00000000-0000-0000-0000-000000000000", "F47AC10B-58CC-4372-A567-0E02B2C3D479"]) {
      expect(takes(Reference)(good), good).toBe(true)
    }
    for (const bad of ["", "x", "f47ac10b58cc4372a5670e02b2c3d479", "{f47ac10b-58cc-4372-a567-0e02b2c3d479}", "f47ac10b-58cc-4372-a567-0e02b2c3d47g", "f47ac10b-58cc-4372-a567-0e02b2c3d4791", "1f47ac10b-58cc-4372-a567-0e02b2c3d479", 7, null]) {
      expect(takes(Reference)(bad), String(bad)).toBe(false)
    }
  })

  test("is kept in lower case, as the database gives it back", () => {
    expect(Reference.storage).toBe("uuid")
    expect(Reference.complete!("F47AC10B-58CC-4372-A567-0E02B2C3D479")).toBe("f47ac10b-58cc-4372-a567-0e02b2c3d479")
  })
})

describe("an e-mail address", () => {
  test("has an @ with something on both sides of it, and is text like other text", () => {
    for (const good of ["ada@example.org", "a@b", " ada@example.org\t", "Ä@ö", "\"a b\"@c"]) expect(takes(Email)(good), good).toBe(true)
    for (const bad of ["ada", "   ", "@", "ada@", "@example.org", "ada@ ", " @example.org", "", `${"x".repeat(190)}@example.org`, "a@\u0000b", 7, null]) expect(takes(Email)(bad), String(bad)).toBe(false)
  })

  test.each([
    ["in capitals", "ADA@EXAMPLE.ORG"],
    ["with white space around it", " \u00a0ada@example.org\n"],
    ["as it is", "ada@example.org"]
  ])("is compared in NFC, trimmed, in lower case: %s it is the same", (_, written) => {
    expect(Email.normalise!(written)).toBe("ada@example.org")
  })
  test("its letters are compared composed, and what stands inside it counts", () => {
    expect(Email.normalise!("A\u0308da@example.org")).toBe("\u00e4da@example.org")
    expect(Email.normalise!("ada.b@example.org")).not.toBe(Email.normalise!("adab@example.org"))
  })
})

describe("a phone number", () => {
  test("is text: nothing is said of its form", () => {
    for (const good of ["+49 30 1234", "call me"]) expect(takes(Phone)(good)).toBe(true)
    for (const bad of ["", "1".repeat(201), 4930, null]) expect(takes(Phone)(bad)).toBe(false)
  })

  test.each(["+49 30 123456", "+49 (30) 12-34-56", "+49.30.123456", "+49/30/123456", "\u00a0+49\t30 123456 "])("is compared without its separators: %j", (written) => {
    expect(Phone.normalise!(written)).toBe("+4930123456")
  })
  test("its letters are compared in lower case and composed, and its plus and its digits count", () => {
    expect(Phone.normalise!("1-800-FLOWERS A\u0308")).toBe("1800flowers\u00e4")
    expect(Phone.normalise!("+49 30")).not.toBe(Phone.normalise!("49 30"))
  })
})

describe("a record", () => {
  const Place = record("Place", { line: Text, more: optional(Text), owner: optional(Reference), at: optional(record("Spot", { x: Count, y: optional(Count) })) })

  test("needs what is not optional, and knows no other member", () => {
    expect(Place).toMatchObject({ storage: "json", optional: false })
    for (const good of [{ line: "a" }, { line: "a", more: null, owner: null, at: null }, { line: "a", at: { x: 1 } }]) expect(check(Place.schema, good), JSON.stringify(good)).toEqual({ value: good })
    expect(check(Place.schema, { more: "", at: { y: -1 }, street: "x" }, "#/place")).toEqual({ faults: expect.arrayContaining([
      { pointer: "#/place/street", detail: "is not known here" },
      { pointer: "#/place/line", detail: "is required" },
      { pointer: "#/place/more", detail: "must not be empty" },
      { pointer: "#/place/at/x", detail: "is required" },
      expect.objectContaining({ pointer: "#/place/at/y" })
    ]) })
  })

  test("a patch may send any of its members, null only for what is optional", () => {
    for (const good of [{}, { line: "b" }, { more: null, at: null }]) expect(check(Place.patch!, good)).toEqual({ value: good })
    expect(check(Place.patch!, { line: null, street: "x" })).toEqual({ faults: expect.arrayContaining([
      expect.objectContaining({ pointer: "#/line" }), { pointer: "#/street", detail: "is not known here" }
    ]) })
  })

  test("is kept with null for what was not sent, in the order of its members, each as it is kept", () => {
    const kept = Place.complete!({ owner: "F47AC10B-58CC-4372-A567-0E02B2C3D479", at: { x: 1 }, line: "a" } as never)
    // As text, because the order counts.
    expect(JSON.stringify(kept)).toBe(`{"line":"a","more":null,"owner":"f47ac10b-58cc-4372-a567-0e02b2c3d479","at":{"x":1,"y":null}}`)
    expect(JSON.stringify(Place.complete!(kept))).toBe(JSON.stringify(kept))
  })

  test("that is optional may be null as a whole, in a patch too, and its faults are still named inside", () => {
    const MaybePlace = optional(Place)
    for (const schema of [MaybePlace.schema, MaybePlace.patch!]) expect(check<unknown>(schema, null)).toEqual({ value: null })
    expect(check<unknown>(MaybePlace.patch!, { more: null })).toEqual({ value: { more: null } })
    expect(check<unknown>(MaybePlace.schema, {}, "#/place")).toEqual({ faults: [{ pointer: "#/place/line", detail: "is required" }] })
    expect(Schema.is(Place.schema)(null)).toBe(false)
  })
})

describe("a list", () => {
  const Ids = listOf(Reference, 1, 3), id = "f47ac10b-58cc-4372-a567-0e02b2c3d479"

  test("has as many items as it may, and each is of its type", () => {
    expect(Ids).toMatchObject({ storage: "json", optional: false })
    for (const many of [1, 3]) expect(takes(Ids)(Array.from({ length: many }, () => id))).toBe(true)
    for (const many of [0, 4]) expect(check(Ids.schema, Array.from({ length: many }, () => id), "#/ids")).toEqual({ faults: [{ pointer: "#/ids", detail: "must have 1 to 3 items" }] })
    expect(check(Ids.schema, [id, "x", "y"], "#/ids")).toMatchObject({ faults: [{ pointer: "#/ids/1" }, { pointer: "#/ids/2" }] })
    for (const bad of [id, { 0: id }, null]) expect(takes(Ids)(bad)).toBe(false)
  })

  test("is kept with every item as it is kept, null among them", () => {
    expect(Ids.complete!([id.toUpperCase()])).toEqual([id])
    expect(listOf(Text, 0, 3).complete!(["A"])).toEqual(["A"])
    expect(listOf(optional(Reference), 0, 3).complete!([null, id.toUpperCase()])).toEqual([null, id])
  })
})

describe("for readers of JSON Schema", () => {
  const schemaOf = (type: FieldType<any>) => Schema.toJsonSchemaDocument(type.schema).schema

  test.each<[string, FieldType<any>, object]>([
    ["the length of a text and what it may not hold", Text, { type: "string", minLength: 1, maxLength: 200, pattern: "^[^\\u0000]*$" }],
    ["the bounds of a number", Count, { type: "integer", minimum: 0, maximum: MAX_INTEGER }],
    ["that an id is a UUID", Reference, { type: "string", format: "uuid" }],
    ["how many items a list has", listOf(Count, 1, 3), { type: "array", minItems: 1, maxItems: 3 }],
    ["that a flag is boolean", Flag, { type: "boolean" }]
  ])("is said %s", (_, type, said) => {
    expect(schemaOf(type)).toMatchObject(said)
  })

  test("a difference is not 0, a currency is one of a list, and an address is text", () => {
    expect(JSON.stringify(schemaOf(Delta))).toContain(`"not":{"const":0}`)
    expect(JSON.stringify(Schema.toJsonSchemaDocument(Money.schema))).toMatch(/"enum":\["AED",/)
    expect(schemaOf(Email)).toMatchObject({ type: "string" })
  })
})
