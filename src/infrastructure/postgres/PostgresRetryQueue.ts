import { Effect, Layer } from "effect"
import { RetryQueue } from "../../domain/sync/RetryQueue.ts"
import type { Owed, RetryRow, Selection } from "../../domain/sync/RetryQueue.ts"
import { Postgres } from "./Postgres.ts"
import type { Columns, Statement } from "./Postgres.ts"
import { owe } from "./statements.ts"

const OWED = "q.kind, q.entity_id, q.version_id, q.owed, q.attempts"
const STATE = "case when q.dead then 'dead' when q.next_attempt_at <= now() then 'due' else 'delayed' end"
const at = (column: string) => `to_char(q.${column} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

// Rows are locked in key order, as `owe` takes them: two who change the same rows cannot wait for each other.
const UNCHANGED = `held as (select q.kind, q.entity_id, s.* from sync_retry_queue q
  join given s on s.of_kind = q.kind and s.of_id = q.entity_id and s.of_owed = q.owed order by q.kind, q.entity_id for update of q)`

const DUE: Statement = {
  name: "retry.due",
  text: `select ${OWED} from sync_retry_queue q where not q.dead and q.next_attempt_at <= now() order by q.next_attempt_at limit $1`
}

const SETTLE: Statement = {
  name: "retry.settle",
  text: `with given as (select * from unnest($1::text[], $2::uuid[], $3::bigint[]) g(of_kind, of_id, of_owed)), ${UNCHANGED}
    delete from sync_retry_queue q using held h where q.kind = h.kind and q.entity_id = h.entity_id`
}

const POSTPONE: Statement = {
  name: "retry.postpone",
  // What was owed again meanwhile stays due.
  text: `with given as (select * from unnest($1::text[], $2::uuid[], $3::bigint[], $4::integer[], $5::float8[], $6::text[], $7::boolean[])
      g(of_kind, of_id, of_owed, of_attempts, delay, why, died)), ${UNCHANGED}
    update sync_retry_queue q set attempts = h.of_attempts + 1, next_attempt_at = now() + h.delay * interval '1 millisecond', reason = h.why, dead = h.died
    from held h where q.kind = h.kind and q.entity_id = h.entity_id`
}

const SELECTED = "case when $1::text is null then not q.dead or $3::boolean else q.kind = $1 and q.entity_id = $2::uuid end"

const RELEASE: Statement = {
  name: "retry.release",
  // What is due already is only counted. After an outage that is nearly all, and while it was written whoever owes would wait.
  text: `with held as (select q.kind, q.entity_id from sync_retry_queue q
      where ${SELECTED} and (q.dead or q.next_attempt_at > now())
      order by q.kind, q.entity_id for update),
    released as (update sync_retry_queue q set next_attempt_at = least(q.next_attempt_at, now()), attempts = case when q.dead then 0 else q.attempts end,
        dead = false
      from held h where q.kind = h.kind and q.entity_id = h.entity_id)
    select count(*)::integer as released from sync_retry_queue q where ${SELECTED}`
}

const SELECT: Statement = {
  name: "retry.select",
  text: `select ${OWED} from sync_retry_queue q where $1::text is null or (q.kind = $1 and q.entity_id = $2::uuid) order by q.kind, q.entity_id limit $3`
}

const SIZE: Statement = {
  name: "retry.size",
  text: `select count(*)::integer as size, (count(*) filter (where ${STATE} = 'due'))::integer as due,
      (count(*) filter (where ${STATE} = 'delayed'))::integer as delayed, (count(*) filter (where q.dead))::integer as dead,
      greatest(0, coalesce(extract(epoch from clock_timestamp() - min(q.first_failed_at)), 0))::float8 as oldest
    from sync_retry_queue q`
}

const LIST: Statement = {
  name: "retry.list",
  text: `select ${OWED}, q.reason, ${at("first_failed_at")} as first_failed_at, ${at("next_attempt_at")} as next_attempt_at, ${STATE} as state
    from sync_retry_queue q where ($1::text is null or (q.kind, q.entity_id) > ($1, $2::uuid)) and ($3::text is null or ${STATE} = $3)
    order by q.kind, q.entity_id limit $4`
}

const DISCARD: Statement = {
  name: "retry.discard",
  text: `with discarded as (delete from sync_retry_queue where kind = $1 and entity_id = $2 and dead returning 1)
    select case when exists (select from discarded) then 'discarded'
      when exists (select from sync_retry_queue where kind = $1 and entity_id = $2) then 'alive' else 'gone' end as outcome`
}

const owedOf = (columns: Columns): Owed => ({
  kind: columns["kind"],
  id: columns["entity_id"],
  version: Number(columns["version_id"]),
  owed: Number(columns["owed"]),
  attempts: columns["attempts"]
})

const rowOf = (columns: Columns): RetryRow => ({
  ...owedOf(columns),
  reason: columns["reason"],
  firstFailedAt: columns["first_failed_at"],
  nextAttemptAt: columns["next_attempt_at"],
  state: columns["state"]
})

const keyOf = (selection: Selection | null) => [selection?.kind ?? null, selection?.id ?? null]
const keysOf = (rows: readonly Owed[]) => [rows.map(({ kind }) => kind), rows.map(({ id }) => id), rows.map(({ owed }) => owed)]

export const layerPostgresRetryQueue = Layer.effect(RetryQueue, Effect.gen(function*() {
  const postgres = yield* Postgres
  // Each of these statements may be run twice: what is asked again because a connection had died does no harm.
  const ask = postgres.read
  return RetryQueue.of({
    owe: (debts) =>
      Effect.asVoid(ask(owe, [
        debts.map(({ kind }) => kind),
        debts.map(({ id }) => id),
        debts.map(({ version }) => version),
        debts.map(({ reason }) => reason)
      ])),
    due: (limit) => Effect.map(ask(DUE, [limit]), (rows) => rows.map(owedOf)),
    settle: (rows) => Effect.asVoid(ask(SETTLE, keysOf(rows))),
    postpone: (postponed) =>
      Effect.asVoid(ask(POSTPONE, [
        ...keysOf(postponed.map(({ row }) => row)),
        postponed.map(({ row }) => row.attempts),
        postponed.map(({ delayMilliseconds }) => delayMilliseconds),
        postponed.map(({ reason }) => reason),
        postponed.map(({ dead }) => dead)
      ])),
    release: (selection, dead) => Effect.map(ask(RELEASE, [...keyOf(selection), dead]), ([columns]) => columns!["released"]),
    select: (selection, limit) => Effect.map(ask(SELECT, [...keyOf(selection), limit]), (rows) => rows.map(owedOf)),
    size: Effect.map(ask(SIZE, []), ([columns]) => ({
      size: columns!["size"],
      due: columns!["due"],
      delayed: columns!["delayed"],
      dead: columns!["dead"],
      oldestAgeSeconds: columns!["oldest"]
    })),
    list: ({ after, limit, state }) => Effect.map(ask(LIST, [...keyOf(after), state, limit]), (rows) => rows.map(rowOf)),
    discard: ({ kind, id }) => Effect.map(ask(DISCARD, [kind, id]), ([columns]) => columns!["outcome"])
  })
}))
