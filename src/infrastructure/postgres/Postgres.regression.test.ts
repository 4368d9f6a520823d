import { expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { patient } from "../../../test/support/patient.ts"
import { cause, creating, failing, freshDatabase, openServices, run } from "../../../test/support/services.ts"
import { Commands } from "../../domain/Commands.ts"
import { product } from "../../domain/kinds/product.ts"
import { Epochs } from "../../domain/ledger/Epochs.ts"
import { Ledger } from "../../domain/ledger/Ledger.ts"

const WAITING = "select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())"

// Only the statements inside were held against the epoch: a COMMIT has none, and was believed.
test("a transaction whose COMMIT is answered by a server whose life is over is of unknown outcome", async () => {
  const database = await freshDatabase()
  // The lock is waited for as long as the test wants it to be.
  const services = await openServices({ database: patient(database.url) }), ledger = services.get(Ledger)
  const { id } = await run(services.get(Commands).create(creating())), row = (await run(ledger.rows(product, [id]))).rows.get(id)!
  await database.query("create function wait() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock_shared(42); return null; end'")
  await database.query("create constraint trigger wait after update on products deferrable initially deferred for each row execute function wait()")
  await database.query("select pg_advisory_lock(42)")
  const committing = failing(ledger.alone([{ kind: product, id }], ledger.commit({
    kind: product, id, expected: 1, epoch: row.epoch, event: { type: "ProductChanged", data: { name: "Torch" } }, before: row.state, after: { ...row.state!, name: "Torch" },
    key: null, status: 200, cause, also: [], holds: [], owed: false
  })))
  await eventually(async () => expect(await database.query(WAITING)).toHaveLength(1), { within: 10_000 })
  services.get(Epochs).seen(row.epoch + 1)
  await database.query("select pg_advisory_unlock(42)")
  expect(await committing).toMatchObject({ _tag: "UnknownOutcome" })
  // It was committed, there.
  expect(await database.query("select version_id::int as version from products where id = $1", [id])).toEqual([{ version: 2 }])
})
