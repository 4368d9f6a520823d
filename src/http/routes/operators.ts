import { Effect, Schema } from "effect"
import { Audit } from "../../domain/audit/Audit.ts"
import { Cache, isLease } from "../../domain/cache/Cache.ts"
import { CacheAccess } from "../../domain/cache/CacheAccess.ts"
import { Entries } from "../../domain/cache/Entries.ts"
import type { Entry } from "../../domain/cache/Entry.ts"
import { Keyspace } from "../../domain/cache/Keyspace.ts"
import { Transitions } from "../../domain/cache/Transitions.ts"
import type { Kind } from "../../domain/Kind.ts"
import { Ledger } from "../../domain/ledger/Ledger.ts"
import type { Row } from "../../domain/ledger/Ledger.ts"
import { Outbox } from "../../domain/ledger/Outbox.ts"
import { formatPosition } from "../../domain/ledger/Position.ts"
import { Replica } from "../../domain/ledger/Replica.ts"
import { Metrics } from "../../domain/observe/Metrics.ts"
import { NOT_IN_BACKUPS, SubjectKeys } from "../../domain/secrets/SubjectKeys.ts"
import { ShadowReads } from "../../domain/shadow/ShadowReads.ts"
import { RelayLag } from "../../domain/sync/RelayLag.ts"
import { Replay } from "../../domain/sync/Replay.ts"
import { RetryQueue } from "../../domain/sync/RetryQueue.ts"
import { Verification } from "../../domain/sync/Verification.ts"
import { bodyOf } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { discardOperation, evictOperation, explainOperation, queueSizeOperation, replayOperation, retryQueueOperation, statsOperation } from "../openapi/operators.ts"
import { HttpProblem, invalid } from "../problems.ts"
import { cursor, formatCursor, Id, limit, nextLink, optional, queryOf, uuid } from "../query.ts"
import { json, noContent, NO_STORE } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { valid } from "../validate.ts"
import { verificationOf } from "./verifications.ts"

const STATES = ["due", "delayed", "dead"] as const
const LAST_EVENTS = 20
const headers = { "Cache-Control": NO_STORE }
const read = ["ops:read"], write = ["ops:write"]

const replayRequest = (kinds: readonly Kind[]) => Schema.Struct({
  kind: Schema.optionalKey(Schema.Literals(kinds.map(({ name }) => name))),
  id: Schema.optionalKey(Id),
  dryRun: Schema.optionalKey(Schema.Boolean)
}) as unknown as Schema.Codec<{ readonly kind?: string; readonly id?: string; readonly dryRun?: boolean }>

/** The key of a queue's row, as a cursor has it. */
const rowKey = (text: string) => {
  const [kind, id, ...rest] = text.split(" ")
  return id === undefined || uuid(id) === null || rest.length > 0 ? null : { kind: kind!, id }
}
const stateOf = (text: string) => STATES.find((state) => state === text) ?? null
const narrowing = {
  limit,
  cursor: cursor(rowKey),
  state: optional(stateOf, `must be one of ${STATES.join(", ")}`, { description: "Only those in this state.", type: "string", enum: STATES })
}

/** What the entry is, held against the row; versions first, then whether there is one at all. */
const verdictOf = (row: Row | undefined, entry: Entry | null, damaged: boolean) => {
  if (damaged) return "undecodable"
  if (entry === null) return "absent"
  const version = row?.version ?? 0
  return entry.version < version || entry.epoch < (row?.epoch ?? entry.epoch) ? "behind" : entry.version > version ? "ahead" : "consistent"
}

/** What operators ask and do. */
export const operatorRoutes = (kinds: readonly Kind[]) =>
  Effect.gen(function*() {
    const queue = yield* RetryQueue, replay = yield* Replay, lag = yield* RelayLag, ledger = yield* Ledger, outbox = yield* Outbox
    const cache = yield* Cache, access = yield* CacheAccess, keyspace = yield* Keyspace, entries = yield* Entries, metrics = yield* Metrics, audit = yield* Audit
    const transitions = yield* Transitions, verification = yield* Verification, shadow = yield* ShadowReads
    const { backups } = yield* SubjectKeys, replica = yield* Replica
    const database = { name: "postgresql", capabilities: backups === "unreadable" ? [] : [NOT_IN_BACKUPS] }
    const followed = () => {
      const lag = replica.lag()
      return lag === null ? [] : [lag === Infinity ? "replica: not used" : "replica: used"]
    }
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    const replayOf = replayRequest(kinds)

    const named = ({ c }: Exchange): { readonly kind: Kind; readonly id: string } => {
      const kind = kinds.find(({ name }) => name === c.req.param("kind")), id = uuid(c.req.param("id")!)
      if (kind === undefined || id === null) throw new HttpProblem("not-found", "There is no such entity.")
      return { kind, id }
    }
    const audited = ({ principal, requestId }: Exchange, action: string, kind: Kind, id: string) =>
      audit.record({ actor: principal.id, action, kind: kind.name, id, request: requestId })

    const queueSize = Effect.gen(function*() {
      const size = yield* queue.size, { events, seconds } = yield* lag.now
      return { queue: "sync_retry_queue", ...size, relayLagEvents: events, relayLagSeconds: seconds }
    })

    const stats = Effect.gen(function*() {
      const size = yield* queueSize, { epoch } = yield* ledger.snapshot, last = yield* verification.last
      const shadowed = shadow.report()
      return {
        ...metrics.summary(),
        breaker: access.state(),
        queue: size,
        relay: { lagEvents: size.relayLagEvents, lagSeconds: size.relayLagSeconds },
        lastVerification: last === null ? null : verificationOf(last),
        providers: { cache: { name: cache.name, capabilities: cache.capabilities }, database: { ...database, capabilities: [...database.capabilities, ...followed()] } },
        epoch,
        ...shadowed === null ? {} : { shadow: shadowed }
      }
    })

    const list = async (exchange: Exchange): Promise<Reply> => {
      const { limit: size, cursor: after, state } = queryOf(exchange, narrowing)
      const rows = await run(queue.list({ after, limit: size + 1, state }))
      const items = rows.slice(0, size).map(({ kind, id, version, reason, attempts, firstFailedAt, nextAttemptAt, state: is }) =>
        ({ kind, id, versionId: version, reason, attempts, firstFailedAt, nextAttemptAt, state: is }))
      const nextCursor = rows.length > size ? formatCursor(`${items.at(-1)!.kind} ${items.at(-1)!.id}`) : null
      return json(200, { items, nextCursor }, { ...headers, ...nextLink(exchange, { state, limit: String(size), cursor: nextCursor }) })
    }

    const replayNow = async (exchange: Exchange): Promise<Reply> => {
      const { kind, id, dryRun } = valid(replayOf, (await bodyOf(exchange, ["application/json"])).json)
      if ((kind === undefined) !== (id === undefined)) throw invalid([{ pointer: kind === undefined ? "#/kind" : "#/id", detail: "is required beside the other" }])
      const selection = kind === undefined ? null : { kind, id: uuid(id!)! }
      return dryRun === true
        ? json(200, await run(replay.preview(selection)), headers)
        : json(202, { selected: await run(queue.release(selection, selection !== null)) }, headers)
    }

    const discard = async (exchange: Exchange): Promise<Reply> => {
      const { kind, id } = named(exchange)
      const outcome = await run(Effect.tap(queue.discard({ kind: kind.name, id }), (is) =>
        is === "discarded" ? audited(exchange, "retry row discarded", kind, id) : Effect.void))
      if (outcome === "gone") throw new HttpProblem("not-found", "The queue has no such row.")
      if (outcome === "alive") throw new HttpProblem("invalid", "Only a dead row can be discarded; this one is still replayed.")
      return noContent(204, headers)
    }

    const explain = async (exchange: Exchange): Promise<Reply> => {
      const { kind, id } = named(exchange)
      const [{ rows }, queued, described] = await run(Effect.all([
        ledger.rows(kind, [id]),
        queue.select({ kind: kind.name, id }, 1),
        access.work((of) => of.describe(keyspace.keyOf(kind.name, id)))
      ], { concurrency: "unbounded" }))
      const row = rows.get(id)
      const records = await run(outbox.history(kind, id, Math.max(0, (row?.version ?? 0) - LAST_EVENTS), Number.MAX_SAFE_INTEGER, LAST_EVENTS))
      const { value, ttlMilliseconds } = described
      const lease = value !== null && isLease(value)
      // One that is older than what this process has seen is explained as what it is: behind.
      const entry = value === null ? null : entries.open(kind, id, value)
      return json(200, {
        row: row === undefined ? null : { versionId: row.version, updatedAtNs: row.updatedAtNs, deleted: row.state === null },
        entry: entry === null ? null : {
          present: true,
          epoch: entry.epoch,
          versionId: entry.version,
          sequence: entry.sequence,
          tier: kind.tier,
          keyId: entry.keyId,
          tombstone: entry.what === "deleted",
          ttlSeconds: Math.round(ttlMilliseconds! / 1000),
          bytes: value!.length
        },
        lease,
        queued: queued.length > 0,
        events: records.map(({ position, version, event, recordedAt }) => ({ position: formatPosition(position), versionId: version, type: event.type, recordedAt })),
        transitions: transitions.of(keyspace.keyOf(kind.name, id)),
        verdict: verdictOf(row, entry, value !== null && !lease && entry === null)
      }, headers)
    }

    const evict = async (exchange: Exchange): Promise<Reply> => {
      const { kind, id } = named(exchange)
      const key = keyspace.keyOf(kind.name, id)
      await run(Effect.andThen(access.work((of) => of.evict(key)), audited(exchange, "entry evicted", kind, id)))
      transitions.record(key, "evict", null, "asked for")
      return noContent(204, headers)
    }

    return [
      { method: "GET", path: "/ops/queue-size", scopes: read, ops: true, about: queueSizeOperation, handle: async () => json(200, await run(queueSize), headers) },
      { method: "GET", path: "/ops/stats", scopes: read, ops: true, about: statsOperation(kinds), handle: async () => json(200, await run(stats), headers) },
      { method: "GET", path: "/ops/retry-queue", scopes: read, ops: true, about: retryQueueOperation(kinds, narrowing), handle: list },
      { method: "POST", path: "/ops/retry-queue/replay", scopes: write, ops: true, about: replayOperation(replayOf), handle: replayNow },
      { method: "DELETE", path: "/ops/retry-queue/:kind/:id", scopes: write, ops: true, about: discardOperation, handle: discard },
      { method: "GET", path: "/ops/entries/:kind/:id", scopes: read, ops: true, about: explainOperation, handle: explain },
      { method: "DELETE", path: "/ops/entries/:kind/:id", scopes: write, ops: true, about: evictOperation, handle: evict }
    ] satisfies readonly Route[]
  })
