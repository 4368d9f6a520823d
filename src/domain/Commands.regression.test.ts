import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { registering } from "../../test/support/requests.ts"
import { freshDatabase, openServices, run } from "../../test/support/services.ts"
import { Commands } from "./Commands.ts"
import { customer } from "./kinds/customer.ts"
import { Epochs } from "./ledger/Epochs.ts"
import { Ledger } from "./ledger/Ledger.ts"
import { PersonalData } from "./secrets/PersonalData.ts"
import { SubjectKeys } from "./secrets/SubjectKeys.ts"

// A new entity had been read in no life, so it was committed in any: the person stood there, and nothing could open them.
test("a person is not committed in a new life under a key that was made in the one before, and lost with it", async () => {
  const database = await freshDatabase(), services = await openServices({ database: database.url }), keys = services.get(SubjectKeys), ledger = services.get(Ledger)
  const before = services.get(Epochs).newest()
  let made = 0
  const newLife = Effect.andThen(
    Effect.promise(() => database.query("with lost as (delete from subject_keys) select begin_epoch(0, true)")),
    // Whatever is asked next hears of it.
    ledger.snapshot
  )
  const parts = Layer.succeed(SubjectKeys, SubjectKeys.of({ ...keys, make: (subject) => Effect.tap(keys.make(subject), () => made++ === 0 ? newLife : Effect.void) }))
  const commands = await run(Effect.service(Commands).pipe(Effect.provide(Commands.layer.pipe(
    Layer.provide(PersonalData.layer), Layer.provide(parts), Layer.provide(Layer.succeedContext(services.context))
  ))))
  const { id, status, token } = await run(commands.create(registering({ name: "Ada" })))
  expect([status, token.epoch]).toEqual([201, services.get(Epochs).newest()])
  expect(token.epoch).toBeGreaterThan(before)
  expect(await database.query("select subject from subject_keys")).toEqual([{ subject: id }])
  // By a process that keeps no key.
  const other = await openServices({ database: database.url }), { state } = (await run(other.get(Ledger).rows(customer, [id]))).rows.get(id)!
  expect(await run(other.get(PersonalData).open(customer, id, state!))).toHaveProperty("name")
})
