import { Schema } from "effect"
import { expect, test } from "vitest"
import { Count, Delta, LongText, MAX_INTEGER, Money, oneOf, optional, Text, tier1, tier2, tier3 } from "./Field.ts"
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
