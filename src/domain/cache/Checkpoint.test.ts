import fc from "fast-check"
import { expect, test } from "vitest"
import { formatCheckpoint, parseCheckpoint } from "./Checkpoint.ts"
import type { Checkpoint } from "./Checkpoint.ts"

const numbers = fc.nat({ max: 2 ** 31 - 1 }).map((n) => n * 1_000), marks = fc.stringMatching(/^[0-9a-f]{16}$/)
const settled: fc.Arbitrary<Checkpoint> = fc.record({
  is: fc.constant("settled" as const),
  epoch: numbers,
  mark: marks,
  time: numbers,
  snapshot: fc.uniqueArray(fc.bigInt({ min: 3n, max: 1n << 62n }), { maxLength: 5 }).map((ids) => {
    const open = ids.sort((a, b) => a < b ? -1 : 1), xmax = (open.at(-1) ?? 3n) + 1n
    return { xmin: open[0] ?? xmax, xmax, open }
  })
})
const purge: fc.Arbitrary<Checkpoint> = fc.record({ is: fc.constant("purge" as const), epoch: numbers, mark: marks, pieces: fc.nat() })

test("a checkpoint is read back as it was written", () => {
  fc.assert(fc.property(fc.oneof(settled, purge), (checkpoint) => void expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint)))
})

test("the epoch stands at the same place in both forms, so that scripts compare it as text", () => {
  fc.assert(fc.property(settled, purge, (a, b) => {
    const left = formatCheckpoint(a).slice(1, 13), right = formatCheckpoint(b).slice(1, 13)
    expect(left < right).toBe(a.epoch < b.epoch)
  }))
})

test.each([
  ["nothing", null],
  ["an empty text", ""],
  ["an entry", `1${"0".repeat(44)}e{}`],
  ["one without its snapshot", `C${"0".repeat(40)}`],
  ["one that was cut", `C${"0".repeat(40)}7:7`],
  ["one with more behind it", `C${"0".repeat(40)}7:7:,x`],
  ["a marker without its count", `P${"0".repeat(28)}`],
  ["one in capitals", `C${"A".repeat(40)}7:7:`]
])("%s is no checkpoint, and what cannot be read counts as lost", (_, text) => {
  expect(parseCheckpoint(text)).toBeNull()
})
