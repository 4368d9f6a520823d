import { expect, test } from "vitest"
import { kindOf, kinds } from "./kinds.ts"

test("every kind is found by its name, in the singular, and nothing else is", () => {
  expect(kinds.map(({ name }) => name)).toEqual(["product", "order", "customer"])
  for (const kind of kinds) expect(kindOf(kind.name)).toBe(kind)
  for (const name of ["products", "Product", "", "constructor"]) expect(kindOf(name)).toBeUndefined()
})

test("no two kinds share a name or a path", () => {
  for (const of of ["name", "plural"] as const) expect(new Set(kinds.map((kind) => kind[of])).size).toBe(kinds.length)
})

test("a kind has personal fields exactly where it says how they are kept, each unique or looked-up one can be compared, and each reference and digest has a name of its own", () => {
  for (const { fields, personal, kept, unique } of kinds) {
    const ofTier3 = Object.entries(fields).filter(([, { tier }]) => tier === 3).map(([name]) => name)
    expect(Object.keys(personal?.fields ?? {})).toEqual(ofTier3)
    for (const name of ofTier3) expect(kept).not.toHaveProperty(name)
    for (const name of [...personal?.lookups ?? [], ...Object.values(personal?.hashes ?? {})]) expect(personal!.fields[name]?.normalise, name).toBeTypeOf("function")
    // A personal field is unique by its blind index.
    for (const name of Object.keys(unique)) expect(name in kept || personal!.lookups.includes(name), name).toBe(true)
  }
})

