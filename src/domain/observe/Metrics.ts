import { Context } from "effect"

export type ReadResult = "hit" | "miss" | "stale" | "request" | "bypass"
/** `unused`: the primary was asked at once; `failed`: after the replica had not answered. */
export type ReplicaResult = "answered" | "unused" | "failed"
export type BreakerState = "closed" | "open" | "half-open"
/** p50 and p99 in milliseconds; null where nothing was measured in the last 60 s. */
export interface Latency { readonly p50: number | null; readonly p99: number | null }

/** Upper bounds of the age of a write, in milliseconds, at which the relay looked whether the cache had it. */
export const AGES = { "100ms": 100, "1s": 1_000, "10s": 10_000, "1m": 60_000, "5m": 300_000 } as const
export type Age = keyof typeof AGES

/**
 * What a read in shadow found in the cache, held against the row that answered it. `passedOver`: an entry that is too old
 * for the request's token or max-age, so that the read would not have been answered with it.
 */
export type Compared = "agreed" | "absent" | "passedOver" | "behind" | "ahead" | "otherBytes" | "undecodable" | "notCompared"
/** The smallest bound that an age does not exceed. */
export const ageOf = (milliseconds: number): Age | "older" =>
  (Object.keys(AGES) as Age[]).find((age) => milliseconds <= AGES[age]) ?? "older"

/**
 * What this process did in the last 60 s. `stalePerMillion`: of the events that the relay settled, and at whose entry it
 * looked when the write was at most so old, so many in a million found an older entry; null where it looked at none. An
 * absent entry is not stale.
 */
export interface Summary {
  readonly reads: Readonly<Record<ReadResult, number>>
  /** hits ÷ reads, 0 … 1; null without reads */
  readonly hitRate: number | null
  /** bypasses ÷ reads, 0 … 1; null without reads */
  readonly fallbackRate: number | null
  readonly cacheLatencyMs: Latency
  readonly fallbackLatencyMs: Latency
  readonly syncOverheadMs: Latency
  readonly stalePerMillion: Readonly<Record<Age, number | null>>
}

/** Counters, durations and their exposition. Labels are route pattern, kind and result only: a path or an id is never one. */
export class Metrics extends Context.Service<Metrics, {
  readonly read: (kind: string, result: ReadResult) => void
  readonly cacheLatency: (milliseconds: number) => void
  readonly fallbackLatency: (milliseconds: number) => void
  /** What lease and store added to a write. */
  readonly syncOverhead: (milliseconds: number) => void
  /** One settled entry: how old its write was, and whether the cache was behind. */
  readonly settled: (ageMilliseconds: number, behind: boolean) => void
  /** One read in shadow; of what was behind also for how long it had been, else null. */
  readonly shadow: (kind: string, result: Compared, ageMilliseconds: number | null) => void
  readonly request: (route: string, method: string, status: number, milliseconds: number) => void
  readonly breaker: (state: BreakerState) => void
  readonly queue: (size: number, dead: number) => void
  readonly relayLag: (events: number, seconds: number) => void
  /** One question that a replica may answer. */
  readonly replica: (result: ReplicaResult) => void
  /** Infinite where it is not used. */
  readonly replicaLag: (seconds: number) => void
  readonly summary: () => Summary
  /** Prometheus text format and its content type. */
  readonly exposition: () => Promise<{ readonly contentType: string; readonly body: string }>
}>()("holdfast/observe/Metrics") {}
