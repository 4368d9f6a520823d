import type { Latency } from "../../domain/observe/Metrics.ts"

const SECONDS = 60

/** Counts of the last 60 s in `width` columns: one slot a second, taken again when its second comes round. */
export interface Window {
  readonly add: (column: number) => void
  readonly totals: () => Float64Array
}

/** `now` gives milliseconds that never go back. */
export const makeWindow = (width: number, now: () => number): Window => {
  const counts = new Uint32Array(SECONDS * width)
  const seconds = new Float64Array(SECONDS).fill(Number.NEGATIVE_INFINITY)
  return {
    add: (column) => {
      const second = Math.floor(now() / 1_000)
      const slot = second % SECONDS
      if (seconds[slot] !== second) {
        seconds[slot] = second
        counts.fill(0, slot * width, (slot + 1) * width)
      }
      counts[slot * width + column]!++
    },
    totals: () => {
      const totals = new Float64Array(width)
      const oldest = Math.floor(now() / 1_000) - SECONDS + 1
      seconds.forEach((second, slot) => {
        if (second >= oldest) counts.subarray(slot * width, (slot + 1) * width).forEach((count, column) => { totals[column]! += count })
      })
      return totals
    }
  }
}

/** Each bucket is 8 % wider than the one before, so that its middle is within 4 % of whatever is in it; from 1 µs to a minute and a half. */
const GROWTH = Math.log(1.08)
const SHORTEST_MS = 0.001
const BUCKETS = 238

export interface LatencyWindow {
  readonly add: (milliseconds: number) => void
  readonly latency: () => Latency
}

export const makeLatencyWindow = (now: () => number): LatencyWindow => {
  const window = makeWindow(BUCKETS, now)
  return {
    add: (milliseconds) => {
      const bucket = milliseconds > SHORTEST_MS ? Math.floor(Math.log(milliseconds / SHORTEST_MS) / GROWTH) : 0
      window.add(Math.min(bucket, BUCKETS - 1))
    },
    latency: () => {
      const counts = window.totals()
      const total = counts.reduce((sum, count) => sum + count, 0)
      return total === 0 ? { p50: null, p99: null } : { p50: quantile(counts, 0.5 * total), p99: quantile(counts, 0.99 * total) }
    }
  }
}

/** The middle of the bucket in which the measurement of this rank is, to three digits. */
const quantile = (counts: Float64Array, rank: number): number => {
  let seen = 0
  const bucket = counts.findIndex((count) => (seen += count) >= rank)
  return Number((SHORTEST_MS * Math.exp((bucket + 0.5) * GROWTH)).toPrecision(3))
}
