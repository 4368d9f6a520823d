import { Effect, Layer } from "effect"
import { ErasureRecords } from "../../domain/erasure/ErasureRecords.ts"
import type { Kind } from "../../domain/Kind.ts"
import { DatabaseUnavailable, UnknownOutcome } from "../../domain/ledger/Ledger.ts"
import { tableOf } from "./columns.ts"
import { Postgres } from "./Postgres.ts"

/** Certificates stand in the rows of the persons; what is owed beyond them, in a table of its own. */
export const layerPostgresErasures = Layer.effect(ErasureRecords, Effect.map(Postgres, (postgres) => {
  // Every statement can be repeated, so a reply that was lost is as none.
  const ask = (kind: Kind, name: string, text: string, values: readonly unknown[]) => postgres.read({ name: `${tableOf(kind)}.${name}`, text }, values)

  const find = (kind: Kind, id: string) =>
    // json keeps the text as it was written.
    Effect.map(ask(kind, "certificate", `select certificate::text from ${tableOf(kind)} where id = $1`, [id]), ([columns]) => (columns?.["certificate"] ?? null) as string | null)

  return ErasureRecords.of({
    pending: (kind, olderThanSeconds, limit) => Effect.map(
      ask(kind, "unfinished", `
        (select id, 1 as turn from ${tableOf(kind)} where deleted_at is not null and certificate is null and deleted_at <= now() - $1 * interval '1 second' order by id limit $2)
        union all (select entity_id, 2 from unfinished_erasures where kind = '${kind.name}' order by since limit $2)
        order by turn limit $2`, [olderThanSeconds, limit]),
      (rows) => rows.map((columns) => columns["id"] as string)
    ),
    keep: Effect.fnUntraced(function*(kind, id, certificate, finished, epoch) {
      const owed = finished
        ? `delete from unfinished_erasures where kind = '${kind.name}' and entity_id = $1`
        : `insert into unfinished_erasures (kind, entity_id) select '${kind.name}', id from ${tableOf(kind)} where id = $1 and deleted_at is not null on conflict do nothing`
      const name = `${tableOf(kind)}.${finished ? "certify" : "certify with a rest"}`
      yield* Effect.catchTags(postgres.write({ name, text: `with owed as (${owed})
        update ${tableOf(kind)} set certificate = $2::text::json where id = $1 and certificate is null and deleted_at is not null` }, [id, certificate], epoch), {
        Contended: () => Effect.fail(new DatabaseUnavailable({ reason: "others hold the row" })),
        Taken: Effect.die
      })
      // The tombstone was of a life of the database that is over.
      return (yield* find(kind, id)) ?? (yield* new UnknownOutcome())
    }),
    find
  })
}))
