import { Effect, Layer } from "effect"
import { Audit } from "../../domain/audit/Audit.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import { Postgres } from "./Postgres.ts"

export const layerPostgresAudit = Layer.effect(Audit, Effect.gen(function*() {
  const postgres = yield* Postgres, identifiers = yield* Identifiers
  return Audit.of({
    record: ({ actor, action, kind, id, request }) =>
      Effect.suspend(() =>
        postgres.read({
          name: "audit.record",
          // Asked again where the connection had died, it may find its own row.
          text: "insert into audit_log (id, actor, action, kind, entity_id, request) values ($1, $2, $3, $4, $5, $6) on conflict do nothing"
        }, [identifiers.id(), actor, action, kind, id, request])
      ).pipe(Effect.asVoid)
  })
}))
