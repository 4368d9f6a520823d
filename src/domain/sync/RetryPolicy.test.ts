import fc from "fast-check"
import { expect, test } from "vitest"
import { delayAfter } from "./RetryPolicy.ts"

const attempts = fc.nat(10_000), randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test("the wait doubles from a quarter of a second and stays at a minute", () => {
  const longest = (n: number) => delayAfter(n, 1)
  expect([0, 1, 2, 3, 7, 8, 9, 1_000].map(longest)).toEqual([250, 500, 1_000, 2_000, 32_000, 60_000, 60_000, 60_000])
})

test("the wait is spread over its upper half, so that what failed together does not come back together", () => {
  fc.assert(fc.property(attempts, randoms, randoms, (n, a, b) => {
    const whole = delayAfter(n, 1)
    for (const random of [a, b]) {
      expect(delayAfter(n, random)).toBeGreaterThanOrEqual(whole / 2)
      expect(delayAfter(n, random)).toBeLessThanOrEqual(whole)
    }
    if (a < b) expect(delayAfter(n, a)).toBeLessThanOrEqual(delayAfter(n, b))
  }))
})

test("a later try never waits for less than an earlier one at the same chance", () => {
  fc.assert(fc.property(attempts, randoms, (n, random) => void expect(delayAfter(n + 1, random)).toBeGreaterThanOrEqual(delayAfter(n, random))))
})
