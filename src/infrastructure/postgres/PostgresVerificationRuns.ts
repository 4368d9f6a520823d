import { Effect, Layer } from "effect"
import { Identifiers } from "../../domain/Identifiers.ts"
import { VerificationRuns } from "../../domain/sync/VerificationRuns.ts"
import type { Run } from "../../domain/sync/VerificationRuns.ts"
import { Postgres } from "./Postgres.ts"
import type { Columns, Values } from "./Postgres.ts"
import { EPOCH } from "./statements.ts"

const at = (column: string) => `to_char(v.${column} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ${column}`
const COLUMNS = `v.id, v.work, v.kind, v.sample, v.repair, v.reason, v.actor, v.moves, v.at_kind, v.at_id, v.tally, ${at("asked_at")}, ${at("started_at")}, ${at("finished_at")}`
const RUN = `select ${COLUMNS} from verifications v`

const runOf = (columns: Columns): Run => ({
  id: columns["id"],
  work: columns["work"],
  kind: columns["kind"],
  sample: columns["sample"],
  repair: columns["repair"],
  reason: columns["reason"],
  actor: columns["actor"],
  moves: Number(columns["moves"]),
  place: columns["at_kind"] === null ? null : { kind: columns["at_kind"], after: columns["at_id"] },
  tally: columns["tally"],
  askedAt: columns["asked_at"],
  startedAt: columns["started_at"],
  finishedAt: columns["finished_at"]
})

export const layerPostgresVerificationRuns = Layer.effect(VerificationRuns, Effect.gen(function*() {
  const postgres = yield* Postgres, identifiers = yield* Identifiers
  // Each of these statements may be run twice: what is asked again because a connection had died does no harm.
  const ask = (name: string, text: string, values: Values = []) => postgres.read({ name: `verifications.${name}`, text }, values)
  const one = (name: string, where: string, values: Values = []) =>
    Effect.map(ask(name, `${RUN} where ${where} limit 1`, values), ([columns]) => columns === undefined ? null : runOf(columns))

  return VerificationRuns.of({
    start: Effect.fnUntraced(function*({ work, kind, sample, repair, reason, actor }) {
      const id = identifiers.id()
      // Two at the same moment may each make one, which does no harm. Told by the statement that made it: the next one may be of another life, without it.
      const [answer] = yield* ask("start", `with standing as (select v.* from verifications v
          where v.finished_at is null and v.started_at is null and v.work = $2 and v.kind is not distinct from $3 and v.sample = $4 and v.repair = $5 and v.reason = $6 and v.epoch = ${EPOCH}
          order by v.asked_at, v.id limit 1),
        made as (insert into verifications (id, work, kind, sample, repair, reason, actor, epoch)
          select $1::uuid, $2, $3, $4, $5, $6, $7, ${EPOCH} where not exists (select from standing) on conflict do nothing returning *)
        select ${COLUMNS} from (select * from standing union all select * from made) v`, [id, work, kind, sample, repair, reason, actor])
      // Where it was not put in, that of the epoch stands there, or what was asked before the connection died.
      return answer !== undefined ? runOf(answer) : (yield* one("started", "v.id = $1 or ($2 = 'epoch' and v.reason = 'epoch') order by v.id = $1 desc, v.epoch desc", [id, reason]))!
    }),
    startOfEpoch: Effect.suspend(() => Effect.asVoid(ask("start of epoch", `insert into verifications (id, work, sample, repair, reason, actor, epoch)
      select $1, 'verification', 1, true, 'epoch', 'holdfast', e.epoch from (select max(epoch) as epoch, count(*) as lives from database_epochs) e
      where e.lives > 1 and not exists (select from verifications v where v.reason = 'epoch' and v.epoch = e.epoch) on conflict do nothing`, [identifiers.id()]))),
    find: (id) => one("find", "v.id = $1", [id]),
    next: (kinds, withCache) => one("next", `v.finished_at is null and coalesce(v.kind = any($1::text[]), true) and coalesce(v.at_kind = any($1::text[]), true)
      and ($2 or v.work = 'rows') order by v.reason = 'epoch' desc, v.asked_at, v.id`, [kinds, withCache]),
    begin: ({ id }) => Effect.asVoid(ask("begin", "update verifications set started_at = clock_timestamp() where id = $1 and started_at is null", [id])),
    last: one("last", "v.work = 'verification' and v.finished_at is not null order by v.finished_at desc"),
    move: ({ id, moves }, place, tally) => Effect.asVoid(ask("move", `update verifications set moves = moves + 1, at_kind = $3, at_id = $4, tally = $5::json,
        finished_at = case when $3::text is null then clock_timestamp() end
      where id = $1 and moves = $2 and finished_at is null`, [id, moves, place?.kind ?? null, place?.after ?? null, JSON.stringify(tally)]))
  })
}))
