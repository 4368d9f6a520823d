import type { Histogram, Registry } from "prom-client"

/** Upper bounds in seconds: a cached read takes some 100 µs, a write behind a slow disk some 100 ms, a time-out several seconds. */
export const BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const

/** Durations since the start of the process, counted by `BOUNDS`. */
export interface Distribution {
  /** One column per bound, and one for what is above the last. */
  readonly counts: Float64Array
  sumSeconds: number
}

export const makeDistribution = (): Distribution => ({ counts: new Float64Array(BOUNDS.length + 1), sumSeconds: 0 })

export const addTo = (distribution: Distribution, seconds: number): void => {
  let column = 0
  // Behind the last bound there is none, and the comparison is false.
  while (seconds > BOUNDS[column]!) column++
  distribution.counts[column]!++
  distribution.sumSeconds += seconds
}

type Labels = Readonly<Record<string, string | number>>

/**
 * Exposes distributions as one Prometheus histogram. prom-client's own histogram takes observations only one by one, and hashes the labels each time:
 * several times what a cached read may cost. What its registry asks of a metric is a name and `get`.
 */
export const registerDistributions = (registry: Registry, name: string, help: string, series: () => ReadonlyArray<readonly [Labels, Distribution]>): void => {
  const metric = {
    name, help, type: "histogram", aggregator: "sum",
    get: async () => ({ name, help, type: "histogram", aggregator: "sum", values: series().flatMap(([labels, distribution]) => samples(name, labels, distribution)) })
  }
  registry.registerMetric(metric as unknown as Histogram)
}

const samples = (name: string, labels: Labels, { counts, sumSeconds }: Distribution) => {
  let cumulative = 0
  const buckets = [...BOUNDS, "+Inf"].map((le, column) => ({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: (cumulative += counts[column]!) }))
  return [...buckets, { metricName: `${name}_sum`, labels, value: sumSeconds }, { metricName: `${name}_count`, labels, value: cumulative }]
}
