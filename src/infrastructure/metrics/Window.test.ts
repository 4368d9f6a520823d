import fc from "fast-check"
import { expect, test } from "vitest"
import { makeLatencyWindow, makeWindow } from "./Window.ts"

const clock = (start = 0) => {
  const time = { now: start }
  return { time, now: () => time.now }
}

test("what was counted is in the totals for 59 to 60 seconds, and then no longer", () => {
  const { time, now } = clock(5_000)
  const window = makeWindow(2, now)
  window.add(0)
  window.add(1)
  window.add(1)
  expect([...window.totals()]).toEqual([1, 2])
  time.now = 64_999
  expect([...window.totals()]).toEqual([1, 2])
  time.now = 65_000
  expect([...window.totals()]).toEqual([0, 0])
})

test("a slot that is taken again forgets what it held", () => {
  const { time, now } = clock()
  const window = makeWindow(2, now)
  window.add(0)
  time.now = 60_000
  window.add(1)
  expect([...window.totals()]).toEqual([0, 1])
})

test("totals are what a list of the last 60 seconds gives", () => {
  const step = fc.record({ wait: fc.integer({ min: 0, max: 30_000 }), column: fc.integer({ min: 0, max: 2 }) })
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const { time, now } = clock()
    const window = makeWindow(3, now)
    const log: Array<{ second: number; column: number }> = []
    for (const { wait, column } of steps) {
      time.now += wait
      window.add(column)
      log.push({ second: Math.floor(time.now / 1_000), column })
    }
    const recent = log.filter(({ second }) => second > Math.floor(time.now / 1_000) - 60)
    expect([...window.totals()]).toEqual([0, 1, 2].map((column) => recent.filter((entry) => entry.column === column).length))
  }))
})

test("without measurements there is no latency", () => {
  expect(makeLatencyWindow(() => 0).latency()).toEqual({ p50: null, p99: null })
})

test("p50 and p99 are within 5 % of the exact ones, from a microsecond to a minute", () => {
  const milliseconds = fc.double({ min: Math.log(0.001), max: Math.log(60_000), noNaN: true }).map(Math.exp)
  fc.assert(fc.property(fc.array(milliseconds, { minLength: 1, maxLength: 300 }), (measured) => {
    const window = makeLatencyWindow(() => 0)
    measured.forEach(window.add)
    const sorted = measured.toSorted((a, b) => a - b)
    const { p50, p99 } = window.latency()
    for (const [quantile, found] of [[0.5, p50], [0.99, p99]] as const) {
      const exact = sorted[Math.ceil(quantile * sorted.length) - 1]!
      expect(found! / exact).toBeGreaterThan(0.95)
      expect(found! / exact).toBeLessThan(1.05)
    }
  }))
})

test("a latency beyond either end counts at that end", () => {
  const window = makeLatencyWindow(() => 0)
  window.add(0)
  expect(window.latency().p50).toBeCloseTo(0.001)
  const slow = makeLatencyWindow(() => 0)
  slow.add(3_600_000)
  expect(slow.latency().p99).toBeGreaterThan(60_000)
})
