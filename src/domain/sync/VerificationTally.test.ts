import { expect, test } from "vitest"
import { added, MOST_NAMED, tallying } from "./VerificationTally.ts"

const many = (count: number, age: number | null = null) => {
  const page = tallying()
  for (let i = 0; i < count; i++) page.found("behind", { kind: "product", id: String(i) }, age === null ? null : age - i)
  return page.tally
}
const NOTHING = tallying().tally

test("of a class all are counted, the first are named, and the oldest is remembered", () => {
  expect(many(3, 10)).toEqual({ counts: { behind: 3 }, oldestSeconds: { behind: 10 }, first: { behind: ["0", "1", "2"].map((id) => ({ kind: "product", id })) } })
  expect(many(50).first["behind"]).toHaveLength(MOST_NAMED)
  expect(many(50)).toMatchObject({ counts: { behind: 50 }, oldestSeconds: {} })
})

test("pages are added up, and no more are named than of one", () => {
  const page = tallying()
  page.count("fine", 500)
  page.count("fine")
  const both = added(added(page.tally, many(15, 10)), many(15, 60))
  expect(both).toMatchObject({ counts: { fine: 501, behind: 30 }, oldestSeconds: { behind: 60 } })
  expect(both.first["behind"]!.map(({ id }) => Number(id))).toEqual([...Array.from({ length: 15 }, (_, i) => i), 0, 1, 2, 3, 4])
  expect(added(NOTHING, both)).toEqual(both)
})
