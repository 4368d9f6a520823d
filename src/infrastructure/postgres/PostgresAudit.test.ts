import { Effect, Layer, ManagedRuntime } from "effect"
import { expect, test } from "vitest"
import { createDatabase, dropDatabase } from "../../../test/support/database.ts"
import { Audit } from "../../domain/audit/Audit.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import { Log } from "../../domain/observe/Log.ts"
import { migrate } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"
import { layerPostgresAudit } from "./PostgresAudit.ts"

const quiet = () => undefined
const log = Log.of({ debug: quiet, info: quiet, warn: quiet, error: quiet })

test("a record is durable when it succeeds, under an id of its own", async () => {
  const url = await createDatabase()
  await Effect.runPromise(migrate(url, { partitions: 64, log }))
  let ids = 0
  const identifiers = Identifiers.of({
    id: () => `01900000-0000-7000-8000-00000000000${++ids}`, token: () => "", mark: () => "", random: () => 0, authenticate: (bytes) => bytes
  })
  const runtime = ManagedRuntime.make(Layer.provide(
    Layer.provideMerge(layerPostgresAudit, Postgres.layer({ url, poolMax: 1 })),
    Layer.merge(Layer.succeed(Log, log), Layer.succeed(Identifiers, identifiers))
  ))
  const audit = await runtime.runPromise(Audit), { pool } = await runtime.runPromise(Postgres)
  const record = audit.record({ actor: "bootstrap", action: "entry evicted", kind: "product", id: "42", request: "r-1" })
  await Effect.runPromise(record)
  await Effect.runPromise(record)
  expect((await pool.query("select id, actor, action, kind, entity_id, request from audit_log order by id")).rows).toEqual([1, 2].map((n) => ({
    id: `01900000-0000-7000-8000-00000000000${n}`, actor: "bootstrap", action: "entry evicted", kind: "product", entity_id: "42", request: "r-1"
  })))
  await runtime.dispose()
  await dropDatabase(url)
})
