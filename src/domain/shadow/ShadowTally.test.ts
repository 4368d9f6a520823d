import { expect, test } from "vitest"
import { ENOUGH, shadowTally } from "./ShadowTally.ts"

const after = (counts: readonly (readonly [Parameters<ReturnType<typeof shadowTally>["count"]>[0], number, (number | null)?])[]) => {
  const tally = shadowTally("product")
  for (const [result, times, age = null] of counts) for (let n = 0; n < times; n++) tally.count(result, age)
  return tally.report()
}
const NOTHING = { "100ms": 0, "1s": 0, "10s": 0, "1m": 0, "5m": 0, older: 0 }

test("nothing is known before enough was compared; what no read would have been answered with is no comparison", () => {
  expect(after([])).toEqual({
    kind: "product", compared: 0, agreed: 0, absent: 0, passedOver: 0, behind: NOTHING, ahead: 0, otherBytes: 0, undecodable: 0, notCompared: 0, safe: false, reason: "not yet known: 0 of 10000 comparisons"
  })
  expect(after([["absent", ENOUGH], ["passedOver", 2], ["notCompared", 3], ["agreed", ENOUGH - 1]])).toMatchObject({
    compared: ENOUGH - 1, absent: ENOUGH, passedOver: 2, notCompared: 3, safe: false, reason: "not yet known: 9999 of 10000 comparisons"
  })
  expect(after([["agreed", ENOUGH]])).toMatchObject({ safe: true, reason: "of 10000 comparisons none was wrong; 0 were behind for 1 s at most" })
})

test("what is behind is counted once, by the smallest age that it does not exceed; up to a second it may be", () => {
  const ages = [0, 100, 100.1, 1_000]
  expect(after([["agreed", ENOUGH], ...ages.map((age) => ["behind", 1, age] as const)])).toMatchObject({
    compared: ENOUGH + 4, behind: { ...NOTHING, "100ms": 2, "1s": 2 }, safe: true, reason: "of 10004 comparisons none was wrong; 4 were behind for 1 s at most"
  })
  const longer = [1_001, 10_000, 60_000, 300_000, 300_001, Infinity]
  expect(after([["agreed", ENOUGH], ...longer.map((age) => ["behind", 1, age] as const)])).toMatchObject({
    behind: { ...NOTHING, "10s": 2, "1m": 1, "5m": 1, older: 2 }, safe: false, reason: "the cache would have been wrong: 6 behind for more than 1 s"
  })
})

test("one wrong answer is enough, and all are named", () => {
  for (const [result, reason] of [["ahead", "1 ahead"], ["otherBytes", "1 of other bytes"], ["undecodable", "1 undecodable"]] as const) {
    expect(after([["agreed", ENOUGH], [result, 1]])).toMatchObject({ compared: ENOUGH + 1, [result]: 1, safe: false, reason: `the cache would have been wrong: ${reason}` })
  }
  expect(after([["behind", 2, 2_000], ["ahead", 1], ["undecodable", 3]]).reason).toBe("the cache would have been wrong: 2 behind for more than 1 s, 1 ahead, 3 undecodable")
})
