import { createHash } from "node:crypto"
import type { Kind } from "../../domain/Kind.ts"
import type { Change, OtherChange } from "../../domain/ledger/Ledger.ts"
import { columnsOf, remainsOf, tableOf, valuesOf } from "./columns.ts"
import type { Statement, Values } from "./Postgres.ts"
import { EPOCH, keeping, nextVersion, NOW_NS, OWE, recordedAt } from "./statements.ts"

/** The rows of one kind that are locked: an id, and the version that the row must have; null where it only must be living. */
interface Locked { readonly kind: Kind; readonly versions: ReadonlyMap<string, number | null> }
interface Others { readonly kind: Kind; readonly changes: readonly OtherChange[] }

const isShared = ({ versions }: Locked) => [...versions.values()].every((version) => version === null)
const inOrder = <A extends { readonly kind: Kind }>(groups: ReadonlyMap<string, A>): readonly A[] =>
  [...groups.values()].sort((a, b) => a.kind.name < b.kind.name ? -1 : 1)

/**
 * Kinds by name, and within a kind ids: one order for every command, whatever part an entity has in it, so that no two
 * commits wait for each other in a circle. What is changed is not held as well: a lock that grows is such a circle.
 */
const locksOf = (change: Change): readonly Locked[] => {
  const groups = new Map<string, { kind: Kind; versions: Map<string, number | null> }>()
  const lock = (kind: Kind, id: string, version: number | null) => {
    const group = groups.get(kind.name) ?? { kind, versions: new Map() }
    if (!group.versions.has(id)) group.versions.set(id, version)
    groups.set(kind.name, group)
  }
  if (change.expected > 0) lock(change.kind, change.id, change.expected)
  for (const { kind, id, expected } of change.also) lock(kind, id, expected)
  for (const { kind, id } of change.holds) lock(kind, id, null)
  return inOrder(groups)
}

const othersOf = (change: Change): readonly Others[] =>
  inOrder(new Map([...Map.groupBy(change.also, ({ kind }) => kind.name)].map(([name, changes]) => [name, { kind: changes[0]!.kind, changes }])))

const textOf = (change: Change, locks: readonly Locked[], others: readonly Others[]): string => {
  let count = 0
  const take = (type: string) => `$${++count}::${type}`
  // The planner counts the items of an array that it sees, and would plan anew for every commit; what a subquery gives it does not see.
  const takeUnseen = (types: readonly string[]) => types.map((type) => `(select ${take(`${type}[]`)})`)
  const takeAll = (types: readonly string[]) => types.map(take)
  const [id, partition, type, data, metadata, owed] = takeAll(["uuid", "smallint", "text", "json", "json", "boolean"])
  const key = change.key === null ? [] : takeAll(["bytea", "bytea", "smallint"])
  const [expected, deleted] = change.expected === 0 ? [] : takeAll(["bigint", "boolean"])
  const own = columnsOf(change.kind), values = takeAll(own.map(({ type }) => type))

  // Each waits for the one before to be whole, so all rows are locked, in order, before anything is written.
  let complete = "true"
  const held = locks.map((locked) => {
    const table = tableOf(locked.kind), [ids, versions] = takeUnseen(["uuid", "bigint"])
    const text = `held_${table} as materialized (select r.id from ${table} r join unnest(${ids}, ${versions}) i(id, version) on i.id = r.id
      where r.deleted_at is null and r.version_id = coalesce(i.version, r.version_id) and ${complete}
      order by r.id for ${isShared(locked) ? "share" : "no key update"} of r)`
    complete = `(select count(*) from held_${table}) = cardinality(${ids})`
    return text
  })
  const ready = `ready as materialized (select where ${complete})`
  const go = change.key === null ? "ready" : "key"
  const keys = change.key === null ? [] : [keeping("ready, today", `${key.join(", ")}, '${change.kind.name}', ${id}, ${expected === undefined ? "1" : `${expected} + 1`}, null::uuid[]`)]

  // The version of the row itself stands there once more: without a key nothing else would use the parameter.
  const RETURNING = "returning r.id, r.version_id, r.updated_at_ns, r.event_seq"
  const changed = expected === undefined
    ? `changed as (insert into ${tableOf(change.kind)} as r (id, version_id, updated_at_ns, event_seq, ${own.map(({ name }) => name).join(", ")})
        select ${id}, 1, ${NOW_NS}, nextval('outbox_seq'), ${values.join(", ")} from ${go} ${RETURNING})`
    : `changed as (update ${tableOf(change.kind)} r set ${nextVersion(own, deleted!, values)}
        where r.id = ${id} and r.version_id = ${expected} and exists (select from ${go}) ${RETURNING})`
  const changedToo = others.map(({ kind }) => {
    const columns = columnsOf(kind)
    const items = takeUnseen(["uuid", "smallint", "text", "json", "boolean", ...columns.map(({ type }) => type)])
    return `changed_${tableOf(kind)} as (update ${tableOf(kind)} r set ${nextVersion(columns, "i.of_deleted", columns.map((_, n) => `i.of_${n}`))}
        from unnest(${items.join(", ")}) i(of_id, of_partition, of_type, of_data, of_deleted, ${columns.map((_, n) => `of_${n}`).join(", ")})
        where r.id = i.of_id and exists (select from ${go}) ${RETURNING}, i.of_partition, i.of_type, i.of_data)`
  })
  const written = `written (kind, id, version_id, updated_at_ns, event_seq, partition, type, data) as (
      select '${change.kind.name}', c.*, ${partition}, ${type}, ${data} from changed c
      ${others.map(({ kind }) => `union all select '${kind.name}', c.* from changed_${tableOf(kind)} c`).join("\n")})`
  const logged = `logged as (insert into outbox (recorded_at, epoch, seq, partition, kind, entity_id, version_id, type, data, metadata)
      select ${recordedAt("w.updated_at_ns")}, ${EPOCH}, w.event_seq, w.partition, w.kind, w.id, w.version_id, w.type, w.data, ${metadata} from written w
      returning kind, entity_id, xid, epoch)`
  const owe = `owed as (insert into sync_retry_queue (kind, entity_id, version_id, reason)
      select w.kind, w.id, w.version_id, 'cache unavailable at commit' from written w where ${owed} order by w.kind, w.id ${OWE})`

  return `with ${[...held, ready, ...keys, changed, ...changedToo, written, logged, owe].join(",\n    ")}
    select w.kind, w.id, w.version_id, w.updated_at_ns, w.event_seq, l.epoch, l.xid from written w join logged l on l.kind = w.kind and l.entity_id = w.id`
}

/** One column of values per column of the table: what `unnest` takes. */
const arraysOf = ({ kind, changes }: Others, partitionOf: (id: string) => number): Values => {
  const values = changes.map(({ before, after }) => valuesOf(kind, after ?? remainsOf(kind, before)))
  return [
    changes.map(({ id }) => id),
    changes.map(({ id }) => partitionOf(id)),
    changes.map(({ event }) => event.type),
    changes.map(({ event }) => JSON.stringify(event.data)),
    changes.map(({ after }) => after === null),
    ...columnsOf(kind).map((_, n) => values.map((of) => of[n]))
  ]
}

/**
 * Commits of an entity together with others. There is one text for each shape of them: which kind, new or changed, with
 * or without a key, which kinds are locked how, and which are changed too.
 *
 * Nothing is written unless every row is living and at its version. The versions were read before, in another
 * transaction: one that has an id never reads a version that it will write.
 */
export const jointCommits = (partitionOf: (id: string) => number) => {
  const made = new Map<string, Statement>()

  /** `first` and `own` are the values of the change itself, as a statement for it alone takes them. */
  return (change: Change, first: Values): { readonly statement: Statement; readonly values: Values } => {
    const locks = locksOf(change), others = othersOf(change)
    const shape = [
      change.kind.name, change.expected === 0 ? "create" : "change", change.key === null ? "" : "key",
      locks.map((locked) => `${isShared(locked) ? "share" : "lock"} ${locked.kind.name}`), others.map(({ kind }) => kind.name)
    ].join("|")
    let statement = made.get(shape)
    if (statement === undefined) {
      const text = textOf(change, locks, others)
      // Postgres tells names apart by their first 63 bytes, so a shape cannot be one.
      statement = { name: `joint commit ${createHash("sha256").update(text).digest("base64url")}`, text }
      made.set(shape, statement)
    }
    return {
      statement,
      values: [
        ...first,
        ...locks.flatMap(({ versions }) => [[...versions.keys()], [...versions.values()]]),
        ...others.flatMap((group) => arraysOf(group, partitionOf))
      ]
    }
  }
}
