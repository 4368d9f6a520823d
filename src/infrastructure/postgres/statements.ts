import type { Kind } from "../../domain/Kind.ts"
import { columnOf, columnsOf, tableOf, uniqueColumnsOf } from "./columns.ts"
import type { Column } from "./columns.ts"
import type { Statement } from "./Postgres.ts"

/** The epoch of the statement that says it. */
export const EPOCH = "(select max(epoch) from database_epochs)"
const LAST_PRUNED = `(select p.xid from pruned_events p where p.epoch = ${EPOCH} order by p.xid desc limit 1)`
/** The transaction of the last event that was pruned: above it nothing was. */
export const PRUNED = `coalesce(${LAST_PRUNED}::text, '0')`
/** The transaction of the last event, one that was pruned too: it committed, and so it outlives a crash. */
export const LAST = `coalesce(greatest((select o.xid from outbox o where o.epoch = ${EPOCH} order by o.xid desc limit 1), ${LAST_PRUNED})::text, '0')`
/** Never earlier than the version before, whatever the clock does; microseconds, so that recorded_at is the same instant. */
export const NOW_NS = "(extract(epoch from clock_timestamp()) * 1000000)::bigint * 1000"
export const recordedAt = (ns: string) => `timestamptz 'epoch' + (${ns} / 1000) * interval '1 microsecond'`

const TODAY = "today as (select (now() at time zone 'utc')::date as day, (now() at time zone 'utc')::time < time '00:01' as early)"

/**
 * Keeps the key, if `source` has a row and nobody kept it. The table is partitioned by day, so its uniqueness ends with
 * the day: in the first minute of a day the key is kept in the day before as well (`eve`), where it meets an attempt
 * that began before midnight; no attempt runs for a minute.
 */
export const keeping = (source: string, selected: string) => {
  const columns = "(day, digest, request, status, kind, entity_id, version_id, items)"
  return `${TODAY},
    eve as (insert into command_keys ${columns} select day - 1, ${selected} from ${source} where early on conflict do nothing returning 1),
    key as (insert into command_keys ${columns} select day, ${selected} from ${source} where not early or exists (select from eve)
            on conflict do nothing returning 1)`
}

export const OWE = "on conflict (kind, entity_id) do update set owed = excluded.owed, dead = false, reason = excluded.reason, " +
  "version_id = greatest(sync_retry_queue.version_id, excluded.version_id), next_attempt_at = least(sync_retry_queue.next_attempt_at, excluded.next_attempt_at)"

export const owe: Statement = {
  name: "owe",
  // In key order: two writers who owe the same entities cannot wait for each other.
  text: `insert into sync_retry_queue (kind, entity_id, version_id, reason)
    select * from unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[]) order by 1, 2 ${OWE}`
}

/** What a change sets in a row `r`; `values` are those of the kind's own columns. */
export const nextVersion = (columns: readonly Column[], deleted: string, values: readonly string[]) =>
  `version_id = r.version_id + 1, updated_at_ns = greatest(${NOW_NS}, r.updated_at_ns + 1000), event_seq = nextval('outbox_seq'),
        deleted_at = case when ${deleted} then clock_timestamp() end, ${columns.map(({ name }, i) => `${name} = ${values[i]}`).join(", ")}`

const logged = (changed: string) =>
  `logged as (insert into outbox (recorded_at, epoch, seq, partition, kind, entity_id, version_id, type, data, metadata)
      select ${recordedAt("c.updated_at_ns")}, ${EPOCH}, c.event_seq, ${changed} returning entity_id, xid, epoch)`

const owed = (kind: Kind, when: string) =>
  `owed as (insert into sync_retry_queue (kind, entity_id, version_id, reason)
      select '${kind.name}', c.id, c.version_id, 'cache unavailable at commit' from changed c where ${when} order by c.id ${OWE})`

const COMMITTED = "c.id, c.version_id, c.updated_at_ns, c.event_seq, l.epoch, l.xid"
const RESULT = `select ${COMMITTED} from changed c join logged l on l.entity_id = c.id`

const ROW = (kind: Kind) =>
  ["id", "version_id", "updated_at_ns", "event_seq", "deleted_at", ...columnsOf(kind).map(({ name }) => name)].map((name) => `r.${name}`).join(", ")

/** The statements of a kind. Parameters are numbered as `PostgresLedger` gives them. */
export const statementsOf = (kind: Kind) => {
  const table = tableOf(kind), columns = columnsOf(kind)
  const names = columns.map(({ name }) => name)
  const statement = (name: string, text: string): Statement => ({ name: `${table}.${name}`, text })
  const KEY = `$7::bytea, $8::bytea, $9::smallint, '${kind.name}'`
  const FIRST = 10
  const EVENT = `$2::smallint, '${kind.name}', c.id, c.version_id, $3::text, $4::json, $5::json from changed c`

  const create = (withKey: boolean) => statement(withKey ? "create with key" : "create", `with
    ${withKey ? `${keeping("today", `${KEY}, $1::uuid, 1, null::uuid[]`)},` : ""}
    changed as (insert into ${table} (id, version_id, updated_at_ns, event_seq, ${names.join(", ")})
      select $1::uuid, 1, ${NOW_NS}, nextval('outbox_seq'), ${columns.map(({ type }, i) => `$${(withKey ? FIRST : 7) + i}::${type}`).join(", ")}
      ${withKey ? "from key" : ""} returning id, version_id, updated_at_ns, event_seq),
    ${logged(EVENT)},
    ${owed(kind, "$6::boolean")}
    ${RESULT}`)

  // $10 expected version, $11 whether it is deleted, $12 … the new values
  const change = (withKey: boolean) => {
    const first = withKey ? FIRST : 7
    return statement(withKey ? "change with key" : "change", `with
    held as (select id from ${table} where id = $1 and version_id = $${first}::bigint and deleted_at is null for no key update),
    ${withKey ? `${keeping("held, today", `${KEY}, held.id, $${first}::bigint + 1, null::uuid[]`)},` : ""}
    changed as (update ${table} r set ${nextVersion(columns, `$${first + 1}::boolean`, columns.map(({ type }, i) => `$${first + 2 + i}::${type}`))}
      from held where r.id = held.id ${withKey ? "and exists (select from key)" : ""}
      returning r.id, r.version_id, r.updated_at_ns, r.event_seq),
    ${logged(EVENT)},
    ${owed(kind, "$6::boolean")}
    ${RESULT}`)
  }

  // Per item: $1 ids, $2 partitions, $3 data, then a column each; taken values are left out, in the order of the unique one.
  const batch = (withKey: boolean) => {
    const first = withKey ? 11 : 7
    const unique = uniqueColumnsOf(kind)
    const items = `unnest($1::uuid[], $2::smallint[], $3::text[], ${columns.map(({ type }, i) => `$${first + i}::${type}[]`).join(", ")})
      with ordinality as i(id, partition, data, ${names.join(", ")}, place)`
    return statement(withKey ? "batch with key" : "batch", `with
    ${withKey ? `${keeping("today", `$7::bytea, $8::bytea, $9::smallint, '${kind.name}', null::uuid, null::bigint, $10::uuid[]`)},` : ""}
    changed as (insert into ${table} (id, version_id, updated_at_ns, event_seq, ${names.join(", ")})
      select i.id, 1, ${NOW_NS}, nextval('outbox_seq'), ${names.map((name) => `i.${name}`).join(", ")}
      from ${items} ${withKey ? "where exists (select from key)" : ""} order by ${[...unique, "place"].map((name) => `i.${name}`).join(", ")}
      ${unique.map((name) => `on conflict (${name}) where deleted_at is null do nothing`).join("")} returning id, version_id, updated_at_ns, event_seq),
    ${logged(`i.partition, '${kind.name}', c.id, c.version_id, $4::text, i.data::json, $5::json from changed c join ${items} on i.id = c.id`)},
    ${owed(kind, "$6::boolean")}
    ${withKey
      ? `select (select count(*) from key) as kept, ${COMMITTED} from (select) one left join (changed c join logged l on l.entity_id = c.id) on true`
      : RESULT}`)
  }

  return {
    load: statement("load", `select ${EPOCH} as epoch, ${ROW(kind)}, k.request as kept_request, k.status as kept_status,
        k.entity_id as kept_entity, k.version_id as kept_version, k.items as kept_items
      from (select) one left join ${table} r on r.id = $1
      left join lateral (select * from command_keys where digest = $2 and day >= (now() at time zone 'utc')::date - 1 order by day desc limit 1) k on true`),
    rows: statement("rows", `select ${EPOCH} as epoch, extract(epoch from clock_timestamp()) * 1000 as now, ${ROW(kind)} from (select) one left join ${table} r on r.id = any($1::uuid[])`),
    create: create(false),
    createWithKey: create(true),
    change: change(false),
    changeWithKey: change(true),
    batch: batch(false),
    batchWithKey: batch(true),
    /** A change that changes nothing keeps its key alone. */
    keep: statement("keep", `with held as (select id from ${table} where id = $1 and version_id = $2::bigint and deleted_at is null),
      ${keeping("held, today", `$3::bytea, $4::bytea, 200, '${kind.name}', held.id, $2::bigint, '{}'::uuid[]`)}
      select ${EPOCH} as epoch from key`),
    find: (column: string) => statement(`find ${column}`, `select id from ${table} where ${column} = $1 and deleted_at is null`),
    // Each half by its own index, and no more of it than may be needed.
    everyId: statement("every id", `select id from (
        (select id from ${table} where id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') order by id limit $2)
        union (select entity_id from outbox where kind = '${kind.name}' and version_id = 1
          and entity_id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') order by entity_id limit $2)
      ) every order by id limit $2`),
    list: (filters: readonly string[]) =>
      statement(`list ${filters.join()}`, `select id from ${table} where deleted_at is null and id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000')
        ${filters.map((field, i) => `and ${columnOf(field)} = $${3 + i}`).join(" ")} order by id limit $2`)
  }
}
