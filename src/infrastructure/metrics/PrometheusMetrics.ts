import { Layer } from "effect"
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client"
import { type Age, ageOf, AGES, Metrics, type ReadResult, type Summary } from "../../domain/observe/Metrics.ts"
import { addTo, type Distribution, makeDistribution, registerDistributions } from "./Distribution.ts"
import { makeLatencyWindow, makeWindow } from "./Window.ts"

const RESULTS: Readonly<Record<ReadResult, number>> = { hit: 0, miss: 1, stale: 2, request: 3, bypass: 4 }
const RESULT_NAMES = Object.keys(RESULTS) as ReadonlyArray<ReadResult>
const AGE_NAMES = Object.keys(AGES) as ReadonlyArray<Age>
const AGE_BOUNDS = Object.values(AGES)

/**
 * Counts in plain arrays, which cost some tens of nanoseconds, and hands them to prom-client when it is asked. `now`, in milliseconds, is monotonic.
 */
export const layerPrometheusMetrics = (now: () => number = () => performance.now()): Layer.Layer<Metrics> =>
  Layer.sync(Metrics, () => {
    const registry = new Registry()
    collectDefaultMetrics({ register: registry })

    const reads = makeReads(registry, now)
    const cache = makeDurations(registry, "holdfast_cache_latency_seconds", "What the cache took to answer a look-up", now)
    const fallback = makeDurations(registry, "holdfast_fallback_latency_seconds", "What a read took that had to ask the database", now)
    const sync = makeDurations(registry, "holdfast_sync_overhead_seconds", "What lease and store added to a write", now)
    const settled = makeSettled(registry, now)
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] })
    const breaker = gauge("holdfast_breaker_open", "1 while the cache's breaker is open or half-open, 0 while it is closed")
    const queueSize = gauge("holdfast_sync_retry_queue_size", "Entries in the retry queue")
    const queueDead = gauge("holdfast_sync_retry_queue_dead", "Entries in the retry queue whose attempts are used up")
    const lagEvents = gauge("holdfast_relay_lag_events", "Committed events that the relay has not settled")
    const lagSeconds = gauge("holdfast_relay_lag_seconds", "Age of the oldest event that the relay has not settled")

    return {
      read: reads.add,
      cacheLatency: cache.add,
      fallbackLatency: fallback.add,
      syncOverhead: sync.add,
      settled: settled.add,
      shadow: makeShadow(registry),
      request: makeRequests(registry),
      breaker: (state) => breaker.set(state === "closed" ? 0 : 1),
      queue: (size, dead) => {
        queueSize.set(size)
        queueDead.set(dead)
      },
      relayLag: (events, seconds) => {
        lagEvents.set(events)
        lagSeconds.set(seconds)
      },
      ...makeReplica(registry),
      summary: () => ({
        ...reads.summary(),
        cacheLatencyMs: cache.latency(),
        fallbackLatencyMs: fallback.latency(),
        syncOverheadMs: sync.latency(),
        stalePerMillion: settled.stalePerMillion()
      }),
      exposition: async () => ({ contentType: registry.contentType, body: await registry.metrics() })
    }
  })

const makeReads = (registry: Registry, now: () => number) => {
  const window = makeWindow(RESULT_NAMES.length, now)
  const totals = new Map<string, Float64Array>()
  new Counter({
    name: "holdfast_reads_total",
    help: "Reads by kind and by what the cache had",
    labelNames: ["kind", "result"],
    registers: [registry],
    collect() {
      this.reset()
      for (const [kind, counts] of totals) for (const result of RESULT_NAMES) this.inc({ kind, result }, counts[RESULTS[result]])
    }
  })
  return {
    add: (kind: string, result: ReadResult): void => {
      window.add(RESULTS[result])
      getOrMake(totals, kind, makeResultCounts)[RESULTS[result]]!++
    },
    summary: (): Pick<Summary, "reads" | "hitRate" | "fallbackRate"> => {
      const [hit, miss, stale, request, bypass] = window.totals() as unknown as [number, number, number, number, number]
      const all = hit + miss + stale + request + bypass
      const rate = (count: number) => all === 0 ? null : count / all
      return { reads: { hit, miss, stale, request, bypass }, hitRate: rate(hit), fallbackRate: rate(bypass) }
    }
  }
}
const makeResultCounts = () => new Float64Array(RESULT_NAMES.length)

const makeDurations = (registry: Registry, name: string, help: string, now: () => number) => {
  const window = makeLatencyWindow(now)
  const distribution = makeDistribution()
  registerDistributions(registry, name, help, () => [[{}, distribution]])
  return {
    add: (milliseconds: number): void => {
      window.add(milliseconds)
      addTo(distribution, milliseconds / 1_000)
    },
    latency: window.latency
  }
}

/** One column per age and, behind them, one for what is older; the same again for entries that were behind. */
const makeSettled = (registry: Registry, now: () => number) => {
  const ages = [...AGE_NAMES, "older"]
  const totals = new Float64Array(2 * ages.length)
  const window = makeWindow(totals.length, now)
  new Counter({
    name: "holdfast_settled_total",
    help: "Entries that the relay looked at, by the age of the write and by whether the cache had it",
    labelNames: ["age", "result"],
    registers: [registry],
    collect() {
      this.reset()
      totals.forEach((count, column) => this.inc({ age: ages[column % ages.length]!, result: column < ages.length ? "current" : "behind" }, count))
    }
  })
  const stalePerMillion = (): Summary["stalePerMillion"] => {
    const counts = window.totals()
    let all = 0, behind = 0
    return Object.fromEntries(AGE_NAMES.map((name, age) => {
      behind += counts[age + ages.length]!
      all += counts[age]! + counts[age + ages.length]!
      return [name, all === 0 ? null : behind / all * 1_000_000]
    })) as unknown as Summary["stalePerMillion"]
  }
  new Gauge({
    name: "holdfast_stale_per_million",
    help: "Of a million entries that the relay looked at in the last 60 s, when the write was at most so old, so many were behind; nothing where none was looked at",
    labelNames: ["age"],
    registers: [registry],
    collect() {
      this.reset()
      for (const [age, stale] of Object.entries(stalePerMillion())) if (stale !== null) this.set({ age }, stale)
    }
  })
  return {
    /** Counted at the smallest bound that the age does not exceed. */
    add: (ageMilliseconds: number, behind: boolean): void => {
      let age = 0
      while (ageMilliseconds > AGE_BOUNDS[age]!) age++
      const column = behind ? age + ages.length : age
      totals[column]!++
      window.add(column)
    },
    stalePerMillion
  }
}

/** A read in shadow has asked Postgres: beside that, what prom-client takes is nothing. */
const makeShadow = (registry: Registry): Metrics["Service"]["shadow"] => {
  const reads = new Counter({ name: "holdfast_shadow_reads_total", help: "Reads in shadow by what the cache would have said", labelNames: ["kind", "result"], registers: [registry] })
  const behind = new Counter({
    name: "holdfast_shadow_behind_total",
    help: "Reads in shadow that the cache would have answered with an older version, by the age of the first write that it missed",
    labelNames: ["kind", "age"],
    registers: [registry]
  })
  return (kind, result, ageMilliseconds) => {
    reads.inc({ kind, result })
    if (ageMilliseconds !== null) behind.inc({ kind, age: ageOf(ageMilliseconds) })
  }
}

/** Made when there is something to say: without a replica a lag of 0 would be no truth. */
const makeReplica = (registry: Registry): Pick<Metrics["Service"], "replica" | "replicaLag"> => {
  const reads = new Counter({ name: "holdfast_replica_reads_total", help: "What a replica was asked, or could have been, by how it went", labelNames: ["result"], registers: [registry] })
  let lag: Gauge | undefined
  return {
    replica: (result) => reads.inc({ result }),
    replicaLag: (seconds) => {
      lag ??= new Gauge({ name: "holdfast_replica_lag_seconds", help: "By how much the replica is behind at most; infinite while it is not used", registers: [registry] })
      lag.set(seconds)
    }
  }
}

/** Nested maps instead of one with a joined key: nothing is allocated per request. */
const makeRequests = (registry: Registry) => {
  const routes = new Map<string, Map<string, Map<number, Distribution>>>()
  registerDistributions(registry, "holdfast_http_request_duration_seconds", "Requests by route pattern, method and status", () =>
    [...routes].flatMap(([route, methods]) =>
      [...methods].flatMap(([method, statuses]) =>
        [...statuses].map(([status, distribution]) => [{ route, method, status }, distribution] as const))))
  return (route: string, method: string, status: number, milliseconds: number): void => {
    const statuses = getOrMake(getOrMake(routes, route, makeMap<string, Map<number, Distribution>>), method, makeMap<number, Distribution>)
    addTo(getOrMake(statuses, status, makeDistribution), milliseconds / 1_000)
  }
}
const makeMap = <Key, Value>() => new Map<Key, Value>()

const getOrMake = <Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value => {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
