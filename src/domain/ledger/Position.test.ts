import fc from "fast-check"
import { expect, test } from "vitest"
import { formatPosition, parsePosition } from "./Position.ts"
import type { Position } from "./Position.ts"

const positions: fc.Arbitrary<Position> = fc.record({
  epoch: fc.nat({ max: Number.MAX_SAFE_INTEGER }).map((n) => n % 10 ** 14),
  transaction: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  sequence: fc.maxSafeNat()
})
const compare = (a: Position, b: Position): number => {
  for (const name of ["epoch", "transaction", "sequence"] as const) {
    if (a[name] !== b[name]) return a[name] < b[name] ? -1 : 1
  }
  return 0
}

test("a position is 50 digits and is read back the same", () => {
  fc.assert(fc.property(positions, (position) => {
    expect(formatPosition(position)).toMatch(/^\d{50}$/)
    expect(parsePosition(formatPosition(position))).toEqual(position)
  }))
})

test("positions as text have the order of epoch, transaction and sequence, also where the numbers have different lengths", () => {
  fc.assert(fc.property(positions, positions, (a, b) => {
    const left = formatPosition(a), right = formatPosition(b)
    expect(left < right ? -1 : left > right ? 1 : 0).toBe(compare(a, b))
  }))
  expect(formatPosition({ epoch: 1, transaction: 999n, sequence: 1 }) < formatPosition({ epoch: 1, transaction: 1000n, sequence: 1 })).toBe(true)
})

test.each([
  ["nothing", ""],
  ["too few digits", "0".repeat(49)],
  ["too many digits", "0".repeat(51)],
  ["a letter", `${"0".repeat(49)}a`],
  ["a sign", `-${"0".repeat(49)}`],
  ["digits of another script", "٠".repeat(50)],
  ["a transaction of more than 64 bits", `${"0".repeat(14)}18446744073709551616${"0".repeat(16)}`]
])("%s is no position", (_, text) => {
  expect(parsePosition(text)).toBeNull()
})
