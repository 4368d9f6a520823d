import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { advance, covers, formatSnapshot, parseSnapshot, shows } from "./Snapshot.ts"
import type { Snapshot } from "./Snapshot.ts"

/** What a snapshot means: the transactions that it shows, of those that the model has. */
const MOST = 24
const shownBy = (snapshot: Snapshot): ReadonlySet<bigint> => {
  const open = new Set(snapshot.open), shown = new Set<bigint>()
  for (let x = 0n; x < BigInt(MOST); x++) if (x < snapshot.xmax && !open.has(x)) shown.add(x)
  return shown
}
const snapshotOf = (xmax: number, ended: ReadonlySet<number>): Snapshot => {
  const open = Array.from({ length: xmax }, (_, x) => x).filter((x) => !ended.has(x)).map(BigInt)
  return { xmin: open[0] ?? BigInt(xmax), xmax: BigInt(xmax), open }
}
/** A moment: how many transactions have begun, and which of them have ended. */
const snapshots = fc.tuple(fc.nat(MOST), fc.uniqueArray(fc.nat(MOST - 1))).map(([xmax, ended]) => snapshotOf(xmax, new Set(ended.filter((x) => x < xmax))))
/** A moment and a later one: transactions begin and end, and none opens again. */
const moments = fc.record({
  began: fc.nat(MOST),
  more: fc.nat(MOST),
  ended: fc.uniqueArray(fc.nat(MOST - 1)),
  endedLater: fc.uniqueArray(fc.nat(MOST - 1))
}).map(({ began, more, ended, endedLater }) => {
  const later = Math.min(MOST, began + more)
  const first = ended.filter((x) => x < began)
  return [snapshotOf(began, new Set(first)), snapshotOf(later, new Set([...first, ...endedLater.filter((x) => x < later)]))] as const
})

test("a snapshot is written as Postgres writes it, and read back the same", () => {
  expect(parseSnapshot("10:20:10,14,15")).toEqual({ xmin: 10n, xmax: 20n, open: [10n, 14n, 15n] })
  expect(parseSnapshot("7:7:")).toEqual({ xmin: 7n, xmax: 7n, open: [] })
  fc.assert(fc.property(snapshots, (snapshot) => void expect(parseSnapshot(formatSnapshot(snapshot))).toEqual(snapshot)))
})

test("transaction ids above 2^53 are told apart", () => {
  const snapshot = parseSnapshot("9007199254740993:9007199254740995:9007199254740993")
  expect([9007199254740992n, 9007199254740993n, 9007199254740994n, 9007199254740995n].map((x) => shows(snapshot, x))).toEqual([true, false, true, false])
})

describe("as sets of transactions", () => {
  test("a snapshot shows what ended before it", () => {
    fc.assert(fc.property(snapshots, fc.nat(MOST - 1), (snapshot, x) => {
      expect(shows(snapshot, BigInt(x))).toBe(shownBy(snapshot).has(BigInt(x)))
    }))
  })

  test("a snapshot covers another if and only if it shows all that the other shows", () => {
    fc.assert(fc.property(snapshots, snapshots, (a, b) => {
      expect(covers(a, b)).toBe(shownBy(b).isSubsetOf(shownBy(a)))
    }), { numRuns: 1_000 })
  })

  test("a later moment covers an earlier one, and the earlier covers the later only where nothing ended between them", () => {
    fc.assert(fc.property(moments, ([earlier, later]) => {
      expect(covers(later, earlier)).toBe(true)
      expect(covers(earlier, later)).toBe(shownBy(later).isSubsetOf(shownBy(earlier)))
    }))
  })

  /** What a look finds: first what was open in `from` and has ended, then what is new; each in ascending order. */
  const found = (from: Snapshot, now: Snapshot): bigint[] => {
    const visible = [...shownBy(now).difference(shownBy(from))].sort((a, b) => Number(a - b))
    return [...visible.filter((x) => x < from.xmax), ...visible.filter((x) => x >= from.xmax)]
  }

  test("a look that read up to a transaction shows what was shown before, and of what it found exactly what it read", () => {
    fc.assert(fc.property(moments, fc.nat(), ([from, now], pick) => {
      const order = found(from, now)
      fc.pre(order.length > 0)
      const read = order.slice(0, 1 + pick % order.length)
      const reached = advance(from, now, read.at(-1)!)
      expect(shownBy(reached)).toEqual(shownBy(from).union(new Set(read)))
    }), { numRuns: 1_000 })
  })

  test("cut anywhere, looks one after the other skip nothing and find nothing twice", () => {
    fc.assert(fc.property(moments, fc.integer({ min: 1, max: 5 }), ([from, now], limit) => {
      let at = from
      const seen: bigint[] = []
      for (;;) {
        const batch = found(at, now).slice(0, limit)
        if (batch.length === 0) break
        seen.push(...batch)
        at = advance(at, now, batch.at(-1)!)
      }
      expect(new Set(seen).size).toBe(seen.length)
      expect(new Set(seen)).toEqual(shownBy(now).difference(shownBy(from)))
    }))
  })

  test("the fence of every snapshot that is made here has nothing open below it", () => {
    fc.assert(fc.property(moments, fc.nat(), ([from, now], pick) => {
      const order = found(from, now)
      fc.pre(order.length > 0)
      const { xmin, xmax, open } = advance(from, now, order[pick % order.length]!)
      expect(xmin).toBe(open[0] ?? xmax)
      expect(open).toEqual([...open].sort((a, b) => Number(a - b)))
    }))
  })
})
