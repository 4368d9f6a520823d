import { Effect, Layer } from "effect"
import { HistoryPruned, Outbox } from "../../domain/ledger/Outbox.ts"
import type { Pending, Recorded } from "../../domain/ledger/Outbox.ts"
import type { Position } from "../../domain/ledger/Position.ts"
import { durable, formatSnapshot, parseSnapshot } from "../../domain/ledger/Snapshot.ts"
import { EPOCH, LAST, PRUNED } from "./statements.ts"
import { Postgres } from "./Postgres.ts"
import type { Columns } from "./Postgres.ts"
import type { Read } from "./readings.ts"

// `order by o.xid`, never the output column: as text "999" comes after "1000".
/** A lag of more records is told as so many. */
const MOST_COUNTED = 100_000

const RECORDED = `o.epoch, o.xid, o.seq, o.kind, o.entity_id, o.version_id, o.type, o.data,
  to_char(o.recorded_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as recorded,
  ((extract(epoch from o.recorded_at) * 1000000)::bigint * 1000)::text as updated_at_ns`

const SINCE = `with now as materialized (
    select ${EPOCH} as epoch, pg_current_snapshot()::text as snapshot, ${LAST} as last, ${PRUNED} as pruned, floor(extract(epoch from statement_timestamp()) * 1000)::text as time
  ), pending as (
    (select o.xid, o.seq, o.kind, o.entity_id, o.partition, o.version_id, o.recorded_at from outbox o
      where o.epoch = $1 and o.xid = any(array(select pg_snapshot_xip($2::pg_snapshot))) and o.partition = any($3::smallint[])
      order by o.xid, o.seq limit $4)
    union all
    (select o.xid, o.seq, o.kind, o.entity_id, o.partition, o.version_id, o.recorded_at from outbox o
      where o.epoch = $1 and o.xid >= pg_snapshot_xmax($2::pg_snapshot) and o.partition = any($3::smallint[])
      order by o.xid, o.seq limit $4)
  )
  select n.*, p.xid, p.seq, p.kind, p.entity_id, p.partition, p.version_id, floor(extract(epoch from p.recorded_at) * 1000)::text as recorded
  from now n left join pending p on true`

const positionOf = (columns: Columns): Position => ({ epoch: Number(columns["epoch"]), transaction: BigInt(columns["xid"]), sequence: Number(columns["seq"]) })

const recordedOf = (columns: Columns): Recorded => ({
  position: positionOf(columns),
  kind: columns["kind"],
  id: columns["entity_id"],
  version: Number(columns["version_id"]),
  event: { type: columns["type"], data: columns["data"] },
  recordedAt: columns["recorded"],
  updatedAtNs: columns["updated_at_ns"]
})

const byTransaction = (a: Columns, b: Columns) => Number(BigInt(a["xid"]) - BigInt(b["xid"])) || Number(a["seq"]) - Number(b["seq"])

const pendingOf = (columns: Columns): Pending => ({
  transaction: BigInt(columns["xid"]),
  kind: columns["kind"],
  id: columns["entity_id"],
  partition: columns["partition"],
  version: Number(columns["version_id"]),
  recordedAt: Number(columns["recorded"])
})

/** What a replica answers too. */
export const historiesBy = (read: Read): Pick<Outbox["Service"], "history" | "pruned"> => ({
  history: (kind, id, after, upTo, limit) =>
    Effect.map(read({
      name: "history",
      text: `select ${RECORDED} from outbox o where o.kind = $1 and o.entity_id = $2 and o.version_id > $3 and o.version_id <= $4
          order by o.version_id limit $5`
    }, [kind.name, id, after, upTo, limit]), (rows) => rows.map(recordedOf)),
  pruned: Effect.map(
    read({ name: "pruned", text: "select p.epoch, p.xid, p.seq from pruned_events p order by p.epoch desc, p.xid desc, p.seq desc limit 1" }, []),
    ([columns]) => columns === undefined ? null : positionOf(columns)
  )
})

export const layerPostgresOutbox = Layer.effect(Outbox, Effect.gen(function*() {
  const postgres = yield* Postgres
  return Outbox.of({
    since: (epoch, snapshot, partitions, limit) =>
      Effect.map(postgres.read({ name: "since", text: SINCE }, [epoch, formatSnapshot(snapshot), partitions, limit]), (rows) => ({
        epoch: Number(rows[0]!["epoch"]),
        snapshot: parseSnapshot(rows[0]!["snapshot"]),
        last: BigInt(rows[0]!["last"]),
        pruned: BigInt(rows[0]!["pruned"]),
        time: Number(rows[0]!["time"]),
        // Append may run its branches in any order: first what was open, then what is new, each as it is ordered.
        pending: rows.filter((columns) => columns["xid"] !== null).sort(byTransaction).map(pendingOf).slice(0, limit)
      })),
    ...historiesBy(postgres.read),
    first: (kind, ids) =>
      Effect.map(postgres.read({
        name: "first",
        text: `select ${RECORDED} from outbox o where o.kind = $1 and o.entity_id = any($2::uuid[]) and o.version_id = 1`
      }, [kind.name, ids]), (rows) => rows.map(recordedOf)),
    feed: (kinds, after, limit) =>
      Effect.flatMap(postgres.read({
        name: "feed",
        // Only below the fence: above it a transaction may still commit an earlier position. What was pruned is asked by the
        // same statement, so that a drop in between leaves no gap.
        text: `select f.* from (select ${RECORDED}, false as pruned from outbox o
            where (o.epoch, o.xid, o.seq) > ($1::bigint, $2::xid8, $3::bigint)
              and (o.epoch < ${EPOCH} or o.xid < pg_snapshot_xmin(pg_current_snapshot())) and o.kind = any($4::text[])
            order by o.epoch, o.xid, o.seq limit $5) f
          union all
          (select null, null, null, null, null, null, null, null, null, null, true from pruned_events p
            where (p.epoch, p.xid, p.seq) > ($1::bigint, $2::xid8, $3::bigint) limit 1)`
      }, [after.epoch, String(after.transaction), after.sequence, kinds, limit]), (rows) =>
        rows.some((columns) => columns["pruned"]) ? Effect.fail(new HistoryPruned()) : Effect.succeed(rows.map(recordedOf))),
    end: Effect.map(
      postgres.read({ name: "end", text: `select ${EPOCH} as epoch, pg_current_snapshot()::text as snapshot, ${LAST} as last` }, []),
      ([columns]) => {
        const snapshot = durable(parseSnapshot(columns!["snapshot"]), BigInt(columns!["last"]))
        return { position: { epoch: Number(columns!["epoch"]), transaction: snapshot.xmin, sequence: 0 }, snapshot }
      }
    ),
    lag: (checkpoints) =>
      Effect.map(postgres.read({
        name: "lag",
        // Counted up to a limit: where a checkpoint is lost, all the log is behind it.
        text: `select count(*)::text as events, coalesce(extract(epoch from clock_timestamp() - min(late.recorded_at)), 0)::float8 as seconds
          from (select o.recorded_at from unnest($1::smallint[], $2::text[]) c(partition, snapshot) join outbox o on o.partition = c.partition
            where o.epoch = ${EPOCH} and o.xid >= $3::xid8 and not pg_visible_in_snapshot(o.xid, c.snapshot::pg_snapshot) limit ${MOST_COUNTED}) late`
      }, [
        checkpoints.map(({ partition }) => partition),
        checkpoints.map(({ snapshot }) => formatSnapshot(snapshot)),
        String(checkpoints.reduce((least, { snapshot }) => snapshot.xmin < least ? snapshot.xmin : least, 1n << 62n))
      ]), ([columns]) => ({ events: Number(columns!["events"]), seconds: Math.max(0, columns!["seconds"]) }))
  })
}))
