import { Schema } from "effect"
import { MAX_INTEGER, integer } from "../../domain/Field.ts"
import type { Kind } from "../../domain/Kind.ts"
import { Id } from "../query.ts"
import type { Parameter } from "../query.ts"
import { pageOf, Position, Time, Version, Whole } from "./answers.ts"
import type { Operation } from "./Operation.ts"
import { Verified } from "./verifications.ts"

const tag = "operators"
const Seconds = Schema.Finite
const Named = Schema.Struct({ name: Schema.String, capabilities: Schema.Array(Schema.String) })
const Latency = Schema.Struct({ p50: Schema.NullOr(Schema.Finite), p99: Schema.NullOr(Schema.Finite) }).annotate({ identifier: "Latency", description: "In milliseconds." })
const Share = Schema.NullOr(Schema.Finite)

const nameOf = (kinds: readonly Kind[]) => Schema.Literals(kinds.map(({ name }) => name))

const QueueSize = Schema.Struct({
  queue: Schema.Literal("sync_retry_queue"),
  size: Whole, due: Whole, delayed: Whole, dead: Whole,
  oldestAgeSeconds: Seconds, relayLagEvents: Whole, relayLagSeconds: Seconds
}).annotate({ identifier: "QueueSize" })

export const queueSizeOperation: Operation = {
  summary: "How much the cache is owed",
  tag,
  answers: { 200: { is: "The size of the retry queue, and how far the relay is behind", schema: QueueSize } },
  problems: ["unavailable"]
}

const Shadow = (kinds: readonly Kind[]) => Schema.Struct({
  since: Time,
  kinds: Schema.Array(Schema.Struct({
    kind: nameOf(kinds),
    compared: Whole, agreed: Whole, absent: Whole, passedOver: Whole,
    behind: Schema.Struct({ "100ms": Whole, "1s": Whole, "10s": Whole, "1m": Whole, "5m": Whole, older: Whole }).annotate({
      description: "By the age of the first write that the entry did not show; each is counted once, at the smallest bound."
    }),
    ahead: Whole, otherBytes: Whole, undecodable: Whole, notCompared: Whole,
    safe: Schema.Boolean,
    reason: Schema.String
  }))
}).annotate({ description: "Only where `CACHE_READS` has kinds in shadow: what the cache would have answered since this process began, held against what Postgres did. `safe` says whether the kind can be switched on." })

const Stats = (kinds: readonly Kind[]) => Schema.Struct({
  reads: Schema.Struct({ hit: Whole, miss: Whole, stale: Whole, request: Whole, bypass: Whole }),
  hitRate: Share,
  fallbackRate: Share,
  cacheLatencyMs: Latency,
  fallbackLatencyMs: Latency,
  syncOverheadMs: Latency,
  breaker: Schema.Literals(["closed", "open", "half-open"]),
  queue: QueueSize,
  relay: Schema.Struct({ lagEvents: Whole, lagSeconds: Seconds }),
  stalePerMillion: Schema.Struct({ "100ms": Share, "1s": Share, "10s": Share, "1m": Share, "5m": Share }).annotate({
    description: "Of a million entries that the relay looked at when the write was at most so old, so many were older than it. Null where it looked at none."
  }),
  lastVerification: Schema.NullOr(Verified(kinds)),
  providers: Schema.Struct({ cache: Named, database: Named }),
  epoch: Whole,
  shadow: Schema.optionalKey(Shadow(kinds))
})

export const statsOperation = (kinds: readonly Kind[]): Operation => ({
  summary: "How this process has done in the last 60 seconds",
  tag,
  answers: { 200: { is: "Rates, latencies, and the state of what it depends on", schema: Stats(kinds) } },
  problems: ["unavailable"]
})

export const retryQueueOperation = (kinds: readonly Kind[], query: Readonly<Record<string, Parameter<unknown>>>): Operation => ({
  summary: "List what the cache is owed",
  tag,
  query,
  answers: {
    200: {
      is: "A page of rows",
      headers: ["Link"],
      schema: pageOf(Schema.Struct({
        kind: nameOf(kinds), id: Id, versionId: Version, reason: Schema.String, attempts: Whole, firstFailedAt: Time, nextAttemptAt: Time,
        state: Schema.Literals(["due", "delayed", "dead"])
      }))
    }
  },
  problems: ["unavailable"]
})

export const replayOperation = (schema: Schema.Constraint): Operation => ({
  summary: "Replay now what is delayed, or one row that is dead",
  tag,
  body: { schema, types: ["application/json"] },
  answers: {
    200: { is: "With `dryRun`: what a replay would do", schema: Schema.Struct({ selected: Whole, wouldStore: Whole, alreadyCurrent: Whole }) },
    202: { is: "How many rows are due now", schema: Schema.Struct({ selected: Whole }) }
  },
  problems: ["unavailable"]
})

export const discardOperation: Operation = {
  summary: "Discard a dead row of the retry queue",
  description: "Audited.",
  tag,
  answers: { 204: { is: "Discarded" } },
  problems: ["invalid", "unavailable"]
}

const Explained = Schema.Struct({
  row: Schema.NullOr(Schema.Struct({ versionId: Version, updatedAtNs: Schema.String, deleted: Schema.Boolean })),
  entry: Schema.NullOr(Schema.Struct({
    present: Schema.Literal(true), epoch: Whole, versionId: Whole, sequence: Whole, tier: Schema.Literals([1, 2, 3]), keyId: Whole,
    tombstone: Schema.Boolean, ttlSeconds: integer(-MAX_INTEGER, MAX_INTEGER).schema, bytes: Whole
  })),
  lease: Schema.Boolean,
  queued: Schema.Boolean,
  events: Schema.Array(Schema.Struct({ position: Position, versionId: Version, type: Schema.String, recordedAt: Time })),
  transitions: Schema.Array(Schema.Struct({
    at: Time, by: Schema.Literals(["store", "fill", "replay", "settle", "lease", "evict", "verify", "rebuild"]), versionId: Schema.NullOr(Whole), outcome: Schema.String, process: Schema.String
  })).annotate({ description: "The last of this key that the answering process remembers, oldest first: in memory, and no hits." }),
  verdict: Schema.Literals(["consistent", "absent", "behind", "ahead", "undecodable"])
})

export const explainOperation: Operation = {
  summary: "Explain one entity: its row, its entry, and how they agree",
  tag,
  answers: { 200: { is: "What is known of it", schema: Explained } },
  problems: ["unavailable"]
}

export const evictOperation: Operation = {
  summary: "Take an entry out of the cache, as an eviction would",
  description: "Audited.",
  tag,
  answers: { 204: { is: "It is not there any more" } },
  problems: ["unavailable"]
}
