import { Context, Effect, Layer } from "effect"
import { Keyspace } from "../../domain/cache/Keyspace.ts"
import { DatabaseUnavailable, Ledger, UnknownOutcome } from "../../domain/ledger/Ledger.ts"
import type { Batch, Cause, Change, Committed, Contended, EntityName, IdempotencyKey, KeptAnswer, Row, Taken } from "../../domain/ledger/Ledger.ts"
import { durable, parseSnapshot } from "../../domain/ledger/Snapshot.ts"
import { columnOf, columnsOf, remainsOf, rowOf, tableOf, valuesOf } from "./columns.ts"
import { jointCommits } from "./jointCommit.ts"
import { Deadlocked, Postgres } from "./Postgres.ts"
import type { Columns, Statement, Values } from "./Postgres.ts"
import { listBy, rowsBy, statementsByKind } from "./readings.ts"
import { EPOCH, LAST } from "./statements.ts"

const keptOf = (columns: Columns): KeptAnswer | null => columns["kept_request"] === null ? null : {
  request: columns["kept_request"],
  status: columns["kept_status"],
  id: columns["kept_entity"],
  version: columns["kept_version"] === null ? null : Number(columns["kept_version"]),
  items: columns["kept_items"]
}

const changedOf = (columns: Columns, state: Row["state"]): Row => ({
  id: columns["id"],
  version: Number(columns["version_id"]),
  updatedAtNs: columns["updated_at_ns"],
  sequence: Number(columns["event_seq"]),
  epoch: Number(columns["epoch"]),
  state
})
const committedOf = (columns: Columns, state: Row["state"], also: Committed["also"] = []): Committed =>
  ({ row: changedOf(columns, state), also, transaction: BigInt(columns["xid"]) })

/** Null where nothing was written. */
const jointlyOf = (change: Change, rows: readonly Columns[]): Committed | null => {
  if (rows.length === 0) return null
  const nameOf = (kind: string, id: string) => `${kind} ${id}`
  const written = new Map(rows.map((columns) => [nameOf(columns["kind"], columns["id"]), columns]))
  const of = ({ kind, id }: EntityName) => written.get(nameOf(kind.name, id))!
  return committedOf(of(change), change.after, change.also.map((other) => ({ kind: other.kind, row: changedOf(of(other), other.after) })))
}

const keyValues = (key: IdempotencyKey | null, status: number) => key === null ? [] : [key.digest, key.request, status]
const metadataOf = (cause: Cause) => JSON.stringify(cause)

/**
 * Gives out no transaction id, so the versions that are read after it are read before there is one. In the order of the
 * locks, so that nobody waits in a circle. Of 1,024 locks, because the server has room for some thousands only, and an
 * order may take a thousand: who is alone by accident with others' entities waits a little longer.
 */
const ALONE: Statement = {
  name: "alone",
  text: `select pg_advisory_xact_lock(l.lock) from (select distinct hashtextextended(e, 0) & 1023 as lock from unnest($1::text[]) e order by 1) l`
}

/** After a deadlock the transaction goes on from here, still alone. */
const LOOKS: Statement = { name: "looks", text: "savepoint looks" }
const LOOKS_AGAIN: Statement = { name: "looks again", text: "rollback to savepoint looks" }
/** Where one is alone, a transaction is under way that has to outlive a deadlock. */
const Alone = Context.Reference<boolean>("holdfast/postgres/Alone", { defaultValue: () => false })

const MINUTE = 60_000

export const layerPostgresLedger = Layer.effect(Ledger, Effect.gen(function*() {
  const postgres = yield* Postgres, keyspace = yield* Keyspace, { epochs } = postgres
  const isNow = ([columns]: readonly Columns[]) => columns === undefined || columns["epoch"] === null || epochs.seen(Number(columns["epoch"]))
  /** An answer of a server whose life is over, as became known while it was under way, is none. */
  const ask = (statement: Statement, values: Values) =>
    Effect.filterOrFail(postgres.read(statement, values), isNow, () => new DatabaseUnavailable({ reason: "a new life of the database began meanwhile" }))
  /** What such a server wrote went with it, or not: the same idempotency key finds out. */
  const write = (statement: Statement, values: Values, epoch?: number) =>
    Effect.filterOrFail(postgres.write(statement, values, epoch), isNow, () => new UnknownOutcome())
  const statements = statementsByKind(), rowsNow = rowsBy(ask, statements)
  const joint = jointCommits(keyspace.partitionOf)

  let clock = { readAt: -MINUTE, ahead: 0 }
  // Another server has another clock.
  epochs.onChange(() => { clock = { readAt: -MINUTE, ahead: 0 } })

  const commit = Effect.fnUntraced(function*(change: Change): Effect.fn.Return<Committed | null, DatabaseUnavailable | UnknownOutcome | Contended | Taken> {
    const { kind, id, event, key, status, expected, after } = change, of = statements(kind), isNew = expected === 0
    const values = [
      id, keyspace.partitionOf(id), event.type, JSON.stringify(event.data), metadataOf(change.cause), change.owed, ...keyValues(key, status),
      ...isNew ? [] : [expected, after === null], ...valuesOf(kind, after ?? remainsOf(kind, change.before!))
    ]
    if (change.also.length + change.holds.length > 0) {
      const { statement, values: all } = joint(change, values)
      return jointlyOf(change, yield* write(statement, all, change.epoch))
    }
    const statement = isNew ? key === null ? of.create : of.createWithKey : key === null ? of.change : of.changeWithKey
    const [columns] = yield* write(statement, values, change.epoch)
    return columns === undefined ? null : committedOf(columns, after)
  })

  const commitBatch = Effect.fnUntraced(function*({ kind, items, ids, key, cause, owed }: Batch) {
    const of = statements(kind), width = columnsOf(kind).length
    const values = items.map((item) => valuesOf(kind, item.state))
    const rows = yield* write(key === null ? of.batch : of.batchWithKey, [
      items.map((item) => item.id),
      items.map((item) => keyspace.partitionOf(item.id)),
      items.map((item) => JSON.stringify(item.event.data)),
      items[0]?.event.type ?? "",
      metadataOf(cause),
      owed,
      ...keyValues(key, 200),
      ...key === null ? [] : [ids],
      ...Array.from({ length: width }, (_, column) => values.map((of) => of[column]))
    ])
    if (key !== null && rows[0]!["kept"] === "0") return null
    const states = new Map(items.map((item) => [item.id, item.state]))
    return rows.filter((columns) => columns["id"] !== null).map((columns) => committedOf(columns, states.get(columns["id"])!))
  })

  return Ledger.of({
    load: (kind, id, key) =>
      Effect.map(ask(statements(kind).load, [id, key?.digest ?? null]), ([columns]) => ({
        row: columns!["id"] === null ? null : rowOf(kind, columns!),
        kept: keptOf(columns!)
      })),
    // Two who give each other a unique value wait for each other in a circle. Who is taken out of it did nothing, and may look again.
    commit: (change) => Effect.catchIf(commit(change), (error) => error instanceof Deadlocked, () =>
      Effect.flatMap(Alone, (alone) => Effect.as(alone ? postgres.write(LOOKS_AGAIN, []) : Effect.void, null))),
    keep: (kind, id, version, key, epoch) =>
      Effect.map(write(statements(kind).keep, [id, version, key.digest, key.request], epoch), (rows) => rows.length > 0),
    // The unique value of a batch's item is left out, never an error.
    commitBatch: (batch) => Effect.catchTag(commitBatch(batch), "Taken", Effect.die),
    alone: (entities, work) =>
      postgres.transaction(Effect.flatMap(
        Effect.catchTag(postgres.write(ALONE, [entities.map(({ kind, id }) => `${kind.name}:${id}`)]), "Taken", Effect.die),
        () => Effect.andThen(postgres.read(LOOKS, []), Effect.provideService(work, Alone, true))
      )),
    rows: (kind, ids) => Effect.suspend(() => {
      const began = performance.now()
      return Effect.map(rowsNow(kind, ids), ({ now, epoch, rows }) => {
        // The database read its clock after the question was sent, so this is never too little.
        clock = { readAt: began, ahead: now - began }
        return { epoch, rows }
      })
    }),
    find: (kind, column, value) =>
      Effect.map(postgres.read(statements(kind).find(columnOf(column)), [value]), ([columns]) => columns === undefined ? null : columns["id"] as string),
    everyId: (kind, after, limit) =>
      Effect.map(postgres.read(statements(kind).everyId, [after, limit]), (rows) => rows.map((columns) => columns["id"] as string)),
    list: listBy(postgres.read, statements),
    reachable: postgres.reachable,
    clock: () => performance.now() - clock.readAt > MINUTE ? Infinity : performance.now() + clock.ahead,
    snapshot: Effect.map(
      ask({
        name: "snapshot",
        // statement_timestamp() is from before the snapshot was taken.
        text: `select ${EPOCH} as epoch, pg_current_snapshot()::text as snapshot, ${LAST} as last, floor(extract(epoch from statement_timestamp()) * 1000)::text as time`
      }, []),
      ([columns]) => {
        const snapshot = parseSnapshot(columns!["snapshot"])
        return { epoch: Number(columns!["epoch"]), snapshot: durable(snapshot, BigInt(columns!["last"])), next: snapshot.xmax, time: Number(columns!["time"]) }
      }
    ),
    remembers: (kind, id, position) => {
      const known = "transaction" in position
      return Effect.map(
        postgres.read({
          name: known ? "remembers change" : `${tableOf(kind)}.remembers read`,
          text: known
            ? `select 1 where exists (select from outbox where epoch = $1 and xid = $2::xid8 and seq = $3)
                or exists (select from pruned_events where (epoch, xid, seq) >= ($1, $2::xid8, $3))`
            // A read is of the epoch that it was made in, and what it read may have been written before that. Where the first
            // events were pruned, it may have been of one of them: of none that is later than the first that is kept, or the row.
            : `select 1 where exists (select from outbox where kind = $3 and entity_id = $4 and epoch <= $1 and seq = $2)
                or (exists (select from pruned_events) and $2 <= coalesce(
                  (select seq from outbox where kind = $3 and entity_id = $4 order by version_id limit 1),
                  (select event_seq from ${tableOf(kind)} where id = $4)))`
        }, known ? [position.epoch, String(position.transaction), position.sequence] : [position.epoch, position.sequence, kind.name, id]),
        (rows) => rows.length > 0
      )
    }
  })
}))
