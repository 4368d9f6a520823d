import { expect, test } from "vitest"
import { Latest } from "./Latest.ts"

const found = (of: Latest<number>, keys: readonly number[]) => keys.filter((key) => of.get(String(key)) === key)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test("as many as are promised are remembered, and never more than twice as many", () => {
  for (const upTo of [1, 99, 100, 101, 199, 200, 201, 1_000]) {
    const latest = new Latest<number>(100)
    for (const key of range(0, upTo)) latest.set(String(key), key)
    expect(found(latest, range(0, upTo - 200)), String(upTo)).toEqual([])
    expect(found(latest, range(Math.max(0, upTo - 100), upTo)), String(upTo)).toHaveLength(Math.min(100, upTo))
  }
})

test("what is used stays, however much else comes", () => {
  const latest = new Latest<number>(10)
  latest.set("7", 7)
  for (let key = 100; key < 1_000; key++) {
    latest.set(String(key), key)
    expect(latest.get("7")).toBe(7)
  }
})

test("a value replaces the one before, and pushes nobody out", () => {
  const latest = new Latest<number>(2)
  latest.set("a", 1)
  latest.set("b", 2)
  for (let value = 3; value < 20; value++) latest.set("a", value)
  expect([latest.get("a"), latest.get("b"), latest.get("c")]).toEqual([19, 2, undefined])
})
