import { Effect } from "effect"
import { expect, test } from "vitest"
import { Metrics } from "../../domain/observe/Metrics.ts"
import { layerPrometheusMetrics } from "./PrometheusMetrics.ts"

const makeMetrics = (now?: () => number) => Effect.runSync(Effect.provide(Metrics, layerPrometheusMetrics(now)))

/** The samples of the exposition whose name begins so. */
const samplesOf = async (metrics: Metrics["Service"], name: string) =>
  (await metrics.exposition()).body.split("\n").filter((line) => line.startsWith(name))

test("a process that did nothing has no rates, no latencies and nothing stale", () => {
  const nothing = { p50: null, p99: null }
  expect(makeMetrics().summary()).toEqual({
    reads: { hit: 0, miss: 0, stale: 0, request: 0, bypass: 0 },
    hitRate: null, fallbackRate: null, cacheLatencyMs: nothing, fallbackLatencyMs: nothing, syncOverheadMs: nothing,
    stalePerMillion: { "100ms": null, "1s": null, "10s": null, "1m": null, "5m": null }
  })
})

test("reads are counted by result, and their rates are shares of all reads", () => {
  const metrics = makeMetrics()
  const results = ["hit", "hit", "hit", "hit", "miss", "stale", "request", "bypass"] as const
  results.forEach((result, index) => metrics.read(index % 2 === 0 ? "product" : "order", result))
  expect(metrics.summary()).toMatchObject({ reads: { hit: 4, miss: 1, stale: 1, request: 1, bypass: 1 }, hitRate: 0.5, fallbackRate: 0.125 })
})

test("the summary forgets after 60 seconds, the exposition never", async () => {
  let time = 0
  const metrics = makeMetrics(() => time)
  metrics.read("product", "hit")
  metrics.cacheLatency(1)
  metrics.settled(50, true)
  time = 60_000
  expect(metrics.summary()).toEqual(makeMetrics().summary())
  expect(await samplesOf(metrics, "holdfast_reads_total")).toContain("holdfast_reads_total{kind=\"product\",result=\"hit\"} 1")
  expect(await samplesOf(metrics, "holdfast_cache_latency_seconds_count")).toEqual(["holdfast_cache_latency_seconds_count 1"])
})

test("each latency is told apart, in milliseconds", () => {
  const metrics = makeMetrics()
  metrics.cacheLatency(0.2)
  metrics.fallbackLatency(3)
  metrics.syncOverhead(40)
  const { cacheLatencyMs, fallbackLatencyMs, syncOverheadMs } = metrics.summary()
  for (const [found, exact] of [[cacheLatencyMs, 0.2], [fallbackLatencyMs, 3], [syncOverheadMs, 40]] as const) {
    expect(found.p50! / exact).toBeCloseTo(1, 1)
    expect(found.p99).toBe(found.p50)
  }
})

test("of what was settled up to an age the stale ones are shown per million; one older than every bound is in the totals only", async () => {
  const metrics = makeMetrics()
  metrics.settled(100.1, false)
  expect(metrics.summary().stalePerMillion).toEqual({ "100ms": null, "1s": 0, "10s": 0, "1m": 0, "5m": 0 })
  expect(await samplesOf(metrics, "holdfast_stale_per_million")).toEqual(["1s", "10s", "1m", "5m"].map((age) => `holdfast_stale_per_million{age="${age}"} 0`))
  metrics.settled(100, false)
  metrics.settled(0, true)
  metrics.settled(60_001, true)
  metrics.settled(300_000, false)
  metrics.settled(300_001, true)
  expect(metrics.summary().stalePerMillion).toEqual({ "100ms": 500_000, "1s": 1_000_000 / 3, "10s": 1_000_000 / 3, "1m": 1_000_000 / 3, "5m": 400_000 })
  expect(await samplesOf(metrics, "holdfast_stale_per_million{age=\"5m\"}")).toEqual(["holdfast_stale_per_million{age=\"5m\"} 400000"])
  const samples = await samplesOf(metrics, "holdfast_settled_total")
  expect(samples).toHaveLength(12)
  expect(samples).toEqual(expect.arrayContaining([
    "holdfast_settled_total{age=\"100ms\",result=\"current\"} 1", "holdfast_settled_total{age=\"100ms\",result=\"behind\"} 1",
    "holdfast_settled_total{age=\"1s\",result=\"current\"} 1", "holdfast_settled_total{age=\"5m\",result=\"behind\"} 1", "holdfast_settled_total{age=\"5m\",result=\"current\"} 1",
    "holdfast_settled_total{age=\"older\",result=\"behind\"} 1", "holdfast_settled_total{age=\"10s\",result=\"current\"} 0"
  ]))
})

test("reads in shadow are counted by kind and result, and what was behind by its age, too", async () => {
  const metrics = makeMetrics()
  expect(await samplesOf(metrics, "holdfast_shadow")).toEqual([])
  metrics.shadow("product", "agreed", null)
  metrics.shadow("product", "agreed", null)
  for (const age of [100, 100.1, Infinity]) metrics.shadow("order", "behind", age)
  expect(await samplesOf(metrics, "holdfast_shadow")).toEqual([
    `holdfast_shadow_reads_total{kind="product",result="agreed"} 2`, `holdfast_shadow_reads_total{kind="order",result="behind"} 3`,
    `holdfast_shadow_behind_total{kind="order",age="100ms"} 1`, `holdfast_shadow_behind_total{kind="order",age="1s"} 1`, `holdfast_shadow_behind_total{kind="order",age="older"} 1`
  ])
})

test("being asked twice doubles nothing", async () => {
  const metrics = makeMetrics()
  metrics.read("product", "hit")
  metrics.request("/v1/products/:id", "GET", 200, 1)
  const first = await samplesOf(metrics, "holdfast_")
  expect(await samplesOf(metrics, "holdfast_")).toEqual(first)
})

test("requests are histograms by route, method and status, with cumulative buckets in seconds", async () => {
  const metrics = makeMetrics()
  const route = "/v1/products/:id"
  metrics.request(route, "GET", 200, 0.1)
  metrics.request(route, "GET", 200, 0.3)
  metrics.request(route, "GET", 200, 60_000)
  metrics.request(route, "GET", 404, 1)
  metrics.request(route, "PATCH", 200, 1)
  metrics.request("/v1/orders/:id", "GET", 200, 1)
  const name = "holdfast_http_request_duration_seconds"
  const of = (suffix: string, le?: string) => `${name}_${suffix}{route="${route}",method="GET",status="200"${le === undefined ? "" : `,le="${le}"`}}`
  const samples = (await samplesOf(metrics, name)).map((line) => line.replace("status=200", "status=\"200\""))
  expect(samples).toEqual(expect.arrayContaining([
    `${of("bucket", "0.0001")} 1`, `${of("bucket", "0.00025")} 1`, `${of("bucket", "0.0005")} 2`, `${of("bucket", "10")} 2`, `${of("bucket", "+Inf")} 3`, `${of("count")} 3`
  ]))
  expect(samples.find((line) => line.startsWith(of("sum")))).toMatch(/ 60\.0004\d*$/)
  expect(samples.filter((line) => line.startsWith(`${name}_count`))).toHaveLength(4)
})

test("gauges show what was last said", async () => {
  const metrics = makeMetrics()
  metrics.queue(12, 2)
  metrics.queue(7, 1)
  metrics.relayLag(3, 0.5)
  const samples = async () => [...await samplesOf(metrics, "holdfast_sync_retry"), ...await samplesOf(metrics, "holdfast_relay")]
  expect(await samples()).toEqual(["holdfast_sync_retry_queue_size 7", "holdfast_sync_retry_queue_dead 1", "holdfast_relay_lag_events 3", "holdfast_relay_lag_seconds 0.5"])
})

test("the breaker counts as open until it is closed", async () => {
  const metrics = makeMetrics()
  const shown: Array<string | undefined> = []
  for (const state of ["open", "half-open", "closed"] as const) {
    metrics.breaker(state)
    shown.push(...await samplesOf(metrics, "holdfast_breaker_open"))
  }
  expect(shown).toEqual(["holdfast_breaker_open 1", "holdfast_breaker_open 1", "holdfast_breaker_open 0"])
})

test("the exposition is Prometheus text with a help and a type for every metric, the process's own included", async () => {
  const { contentType, body } = await makeMetrics().exposition()
  expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/)
  expect(body).toMatch(/^process_cpu_seconds_total \d/m)
  for (const name of ["holdfast_reads_total counter", "holdfast_cache_latency_seconds histogram", "holdfast_fallback_latency_seconds histogram", "holdfast_sync_overhead_seconds histogram",
    "holdfast_settled_total counter", "holdfast_http_request_duration_seconds histogram", "holdfast_breaker_open gauge"]) {
    expect(body).toContain(`# TYPE ${name}\n`)
  }
})

test("of a replica nothing is said where there is none, and its lag is infinite while it is not used", async () => {
  const metrics = makeMetrics(), lag = "holdfast_replica_lag_seconds"
  expect(await samplesOf(metrics, "holdfast_replica")).toEqual([])
  metrics.replicaLag(0.25)
  expect(await samplesOf(metrics, lag)).toEqual([`${lag} 0.25`])
  metrics.replicaLag(Infinity)
  expect(await samplesOf(metrics, lag)).toEqual([`${lag} +Inf`])
  for (const result of ["answered", "failed", "answered"] as const) metrics.replica(result)
  expect(await samplesOf(metrics, "holdfast_replica_reads_total")).toEqual(["holdfast_replica_reads_total{result=\"answered\"} 2", "holdfast_replica_reads_total{result=\"failed\"} 1"])
})
