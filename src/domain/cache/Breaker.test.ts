import fc from "fast-check"
import { expect, test } from "vitest"
import { Breaker } from "./Breaker.ts"

const made = (shortest?: number) => {
  const seen: boolean[] = []
  const breaker: Breaker = new Breaker(() => seen.push(breaker.open), shortest)
  return { breaker, seen }
}
const times = (count: number, work: () => void) => { for (let i = 0; i < count; i++) work() }

test("five failures without a success between them open it, and it says so once", () => {
  const { breaker, seen } = made()
  times(4, () => breaker.failed())
  expect(breaker.open).toBe(false)
  times(20, () => breaker.failed())
  expect(breaker.open).toBe(true)
  expect(seen).toEqual([true])
})

test("a success begins the count anew, so that single losses never open it", () => {
  const { breaker } = made()
  times(100, () => {
    times(4, () => breaker.failed())
    breaker.succeeded(1)
  })
  expect(breaker.open).toBe(false)
})

test("a success of a call that was under way does not close it", () => {
  const { breaker } = made()
  times(5, () => breaker.failed())
  breaker.succeeded(1)
  expect(breaker.open).toBe(true)
})

test("once closed it takes five failures again", () => {
  const { breaker, seen } = made()
  times(5, () => breaker.failed())
  breaker.close()
  expect(seen).toEqual([true, false])
  times(4, () => breaker.failed())
  expect(breaker.open).toBe(false)
  breaker.failed()
  expect(seen).toEqual([true, false, true])
})

test("the deadline follows the cache's own latency, and stays between 50 and 250 ms", () => {
  const { breaker } = made()
  times(200, () => breaker.succeeded(0.3))
  expect(breaker.deadline).toBe(50)
  times(200, () => breaker.succeeded(15))
  expect(breaker.deadline).toBeGreaterThanOrEqual(60)
  expect(breaker.deadline).toBeLessThan(80)
  times(200, () => breaker.succeeded(500))
  expect(breaker.deadline).toBe(250)
  fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 10_000, noNaN: true })), (all) => {
    const one = made().breaker
    for (const took of all) one.succeeded(took)
    expect(one.deadline).toBeGreaterThanOrEqual(50)
    expect(one.deadline).toBeLessThanOrEqual(250)
  }))
})

test("a shortest deadline that was set is kept, also above the longest", () => {
  const { breaker } = made(1_000)
  for (const took of [0.3, 15, 500]) {
    times(200, () => breaker.succeeded(took))
    expect(breaker.deadline).toBe(1_000)
  }
})
