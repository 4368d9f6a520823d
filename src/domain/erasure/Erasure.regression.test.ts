import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { registering, tombstoning } from "../../../test/support/requests.ts"
import { failing, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { Commands } from "../Commands.ts"
import { customer } from "../kinds/customer.ts"
import { kinds } from "../kinds/kinds.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { SubjectKeys } from "../secrets/SubjectKeys.ts"
import { Erasure } from "./Erasure.ts"

const TABLES = ["customers", "outbox", "subject_keys", "erased_subjects"]
type Database = Awaited<ReturnType<typeof freshDatabase>>
const save = async ({ query }: Database) => {
  for (const table of TABLES) await query(`create table saved_${table} as select * from ${table}`)
}
/** As by the promotion of a replica that had heard no more than that. */
const goBack = async ({ query }: Database) => {
  await query(`begin; ${TABLES.map((table) => `delete from ${table}; insert into ${table} select * from saved_${table};`).join(" ")} select begin_epoch(0, true); commit`)
}

/** Somebody's erasure, during which the database loses what came after `save`: when their key was destroyed, and before that is certified. */
const erasing = async (saved: "before the tombstone" | "before the key was destroyed") => {
  const database = await freshDatabase(), services = await openServices({ database: database.url }), keys = services.get(SubjectKeys)
  const { id } = await run(services.get(Commands).create(registering()))
  if (saved === "before the tombstone") await save(database)
  const destroy = (subject: string) => Effect.promise(() => saved === "before the tombstone" ? Promise.resolve() : save(database)).pipe(
    Effect.andThen(keys.destroy(subject)),
    Effect.andThen(Effect.promise(() => goBack(database))),
    // Whatever is asked next hears of it.
    Effect.andThen(Effect.asVoid(services.get(Ledger).snapshot))
  )
  const broken = await run(Effect.service(Erasure).pipe(Effect.provide(Erasure.layer({ kinds }).pipe(
    Layer.provide(Layer.succeed(SubjectKeys, SubjectKeys.of({ ...keys, destroy }))), Layer.provide(Layer.succeedContext(services.context))
  ))))
  expect(await failing(broken.erase(tombstoning(id)))).toMatchObject({ _tag: "UnknownOutcome" })
  const state = async () => (await database.query(`select deleted_at is not null as tombstone, certificate is not null as certificate,
    (select count(*)::int from subject_keys where subject = id) as keys, (select count(*)::int from erased_subjects where subject = id) as erased,
    (select count(*)::int from unfinished_erasures) as unfinished from customers where id = $1`, [id]))[0]
  return { id, erasure: services.get(Erasure), state }
}

test("an erasure whose destroyed key the new life has again is not certified, and is finished there", async () => {
  const { id, erasure, state } = await erasing("before the key was destroyed")
  expect(await state()).toEqual({ tombstone: true, certificate: false, keys: 1, erased: 0, unfinished: 0 })
  expect(await run(erasure.pending(0))).toEqual([{ kind: customer, id }])
  await run(erasure.finish({ kind: customer, id }))
  expect(await state()).toEqual({ tombstone: true, certificate: true, keys: 0, erased: 1, unfinished: 0 })
  expect(await run(erasure.pending(0))).toEqual([])
})

test("nor is one that the new life has not heard of at all: the person lives there, without a certificate, until they are erased again", async () => {
  const { id, erasure, state } = await erasing("before the tombstone")
  expect(await state()).toEqual({ tombstone: false, certificate: false, keys: 1, erased: 0, unfinished: 0 })
  expect(await run(erasure.pending(0))).toEqual([])
  expect(await run(erasure.erase(tombstoning(id)))).toMatchObject({ status: 200, version: 2 })
  expect(await state()).toEqual({ tombstone: true, certificate: true, keys: 0, erased: 1, unfinished: 0 })
})
