import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { patient } from "../../test/support/patient.ts"
import { keyOf } from "../../test/support/requests.ts"
import { adjusting, creating, deleting, failing, freshDatabase, openServices, renaming, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Cache } from "./cache/Cache.ts"
import { CacheAccess } from "./cache/CacheAccess.ts"
import { decodeEntry } from "./cache/Entry.ts"
import { Keyspace } from "./cache/Keyspace.ts"
import { Commands } from "./Commands.ts"
import type { Answer } from "./Commands.ts"
import type { State } from "./Kind.ts"
import { product } from "./kinds/product.ts"
import { Ledger } from "./ledger/Ledger.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
let services: Services, commands: Commands["Service"]
beforeEach(async () => {
  database = await freshDatabase()
  services = await openServices({ database: patient(database.url) })
  commands = services.get(Commands)
})

const jsonOf = (answer: Answer) => JSON.parse(Buffer.from(answer.payload!).toString())
const rowOf = async (id: string) => (await run(services.get(Ledger).rows(product, [id]))).rows.get(id)
const create = async (fields: State = {}) => (await run(commands.create(creating(fields)))).id
const entryAt = async (id: string) => {
  const { value } = await services.get(Cache).describe(services.get(Keyspace).keyOf("product", id))
  return value === null ? null : decodeEntry(value)
}
/** Whether any key of the cache still holds a lease. */
const leases = async ({ get } = services) => {
  let found = 0
  for await (const keys of get(Cache).scan()) {
    for (const text of keys) if ((await get(Cache).describe({ text, partition: 0 })).value?.[0] === 0x4c) found++
  }
  return found
}

describe("a change", () => {
  test("answers with the entity as it then is, its version and a token, and the cache has it", async () => {
    const made = await run(commands.create(creating({ name: "Lamp", stock: 3 })))
    expect(made).toMatchObject({ status: 201, version: 1, synced: "stored", replayed: false })
    expect(jsonOf(made)).toMatchObject({ id: made.id, versionId: 1, name: "Lamp", stock: 3, status: "active", description: null })
    expect(made.token.transaction).not.toBeNull()
    const changed = await run(commands.change(renaming(made.id, "Torch")))
    expect(changed).toMatchObject({ status: 200, id: made.id, version: 2, synced: "stored" })
    expect(Buffer.from((await entryAt(made.id))!.payload).equals(changed.payload!)).toBe(true)
    const gone = await run(commands.change(deleting(made.id)))
    expect(gone).toMatchObject({ status: 204, version: 3, payload: null, synced: "stored" })
    expect(await entryAt(made.id)).toMatchObject({ what: "deleted", version: 3 })
  })

  test("of nothing that exists is not found, of what was deleted is deleted; neither keeps a lease", async () => {
    expect(await failing(commands.change(renaming(randomUUID(), "x")))).toMatchObject({ _tag: "NotFound" })
    expect(await failing(commands.change(renaming(null, "x")))).toMatchObject({ _tag: "NotFound" })
    expect(await failing(commands.change(renaming(null, "x", { key: keyOf("never used") })))).toMatchObject({ _tag: "NotFound" })
    const id = await create()
    await run(commands.change(deleting(id)))
    expect(await failing(commands.change(renaming(id, "x")))).toMatchObject({ _tag: "Deleted" })
    expect(await leases()).toBe(0)
  })

  test("that names other versions than the entity is at changes nothing", async () => {
    const id = await create()
    expect(await failing(commands.change(renaming(id, "x", { versions: [2, 3] })))).toMatchObject({ _tag: "VersionMismatch" })
    expect((await rowOf(id))!.version).toBe(1)
    expect(await run(commands.change(renaming(id, "x", { versions: [7, 1] })))).toMatchObject({ version: 2 })
  })

  test("that the domain refuses changes nothing", async () => {
    const id = await create({ stock: 1 })
    expect(await failing(commands.change(adjusting(id, -2)))).toMatchObject({ _tag: "Refused", problem: "insufficient-stock" })
    expect(await failing(commands.create(creating({ sku: (await rowOf(id))!.state!["sku"] as string })))).toMatchObject({ _tag: "Refused", problem: "sku-taken" })
    expect((await rowOf(id))!.version).toBe(1)
    expect(await leases()).toBe(0)
  })

  test("that changes nothing makes no version, and its token is of the version that stands", async () => {
    const id = await create({ name: "Lamp" })
    const answer = await run(commands.change(renaming(id, "Lamp")))
    expect(answer).toMatchObject({ status: 200, version: 1, synced: "nothing" })
    expect(answer.token).toMatchObject({ transaction: null, sequence: (await rowOf(id))!.sequence })
  })

  test("is decided on the database's state, whatever the cache holds", async () => {
    const id = await create({ stock: 5 })
    const key = services.get(Keyspace).keyOf("product", id)
    const before = (await services.get(Cache).describe(key)).value!
    await run(commands.change(adjusting(id, -5)))
    // An entry of the future, that says there are 5.
    const forged = Buffer.from(before)
    forged.write("ffffffffffffff", 13, "latin1")
    await run(services.get(CacheAccess).store([{ key, value: forged, lease: null, ttlMilliseconds: 60_000 }]))
    expect(await entryAt(id)).toMatchObject({ version: 0xff_ffff_ffff_ffff })
    expect(await failing(commands.change(adjusting(id, -1)))).toMatchObject({ problem: "insufficient-stock" })
  })
})

describe("with an idempotency key", () => {
  test("a repetition is answered as the first time, although the entity moved on, and another request is refused", async () => {
    const request = creating({}, { key: keyOf("k") })
    const first = await run(commands.create(request))
    await run(commands.change(renaming(first.id, "Torch")))
    const again = await run(commands.create(request))
    expect(again).toMatchObject({ status: 201, id: first.id, version: 1, replayed: true, synced: "nothing", token: first.token })
    expect(Buffer.from(again.payload!).equals(first.payload!)).toBe(true)
    expect(await failing(commands.create({ ...request, key: keyOf("k", "another request") }))).toMatchObject({ _tag: "KeyReused" })
  })

  test("a repetition of a deletion has no body, and one of a change that changed nothing has its token", async () => {
    const id = await create({ name: "Lamp" })
    const same = renaming(id, "Lamp", { key: keyOf("same") })
    const first = await run(commands.change(same))
    expect(await run(commands.change(same))).toMatchObject({ status: 200, version: 1, replayed: true, token: first.token })
    const gone = deleting(id, { key: keyOf("gone") })
    await run(commands.change(gone))
    expect(await run(commands.change(gone))).toMatchObject({ status: 204, version: 2, payload: null, replayed: true })
  })

  test("a key that was used is answered, or refused, also where the request names no entity", async () => {
    const first = await run(commands.create(creating({}, { key: keyOf("k") })))
    expect(await run(commands.change(renaming(null, "x", { key: keyOf("k") })))).toMatchObject({ id: first.id, replayed: true })
    expect(await failing(commands.change(renaming(null, "x", { key: keyOf("k", "another request") })))).toMatchObject({ _tag: "KeyReused" })
  })

  test("a repetition whose first answer is neither in the history nor in the row is deleted, not made up", async () => {
    const request = creating({}, { key: keyOf("k") })
    await run(commands.create(request))
    await database.query("truncate outbox, products")
    expect(await failing(commands.create(request))).toMatchObject({ _tag: "Deleted" })
  })

  test("one that meets its first attempt still running waits for it, two seconds at most", async () => {
    const holder = await database.connect(), { digest, request } = keyOf("k"), { get } = await openServices({ database: database.url })
    await holder.query("begin")
    await holder.query("insert into command_keys (day, digest, request, status, kind) values ((now() at time zone 'utc')::date, $1, $2, 201, 'product')", [digest, request])
    expect(await failing(get(Commands).create(creating({}, { key: keyOf("k") })))).toMatchObject({ _tag: "KeyInFlight" })
    await holder.query("rollback")
    expect(await run(commands.create(creating({}, { key: keyOf("k") })))).toMatchObject({ status: 201, replayed: false })
  })

  test("a refusal leaves the key free", async () => {
    const id = await create({ stock: 1 }), key = keyOf("k")
    await failing(commands.change(adjusting(id, -2, { key })))
    expect(await run(commands.change(adjusting(id, -1, { key })))).toMatchObject({ version: 2, replayed: false })
  })
})

describe("against others", () => {
  test("of many at once none is lost, from two processes", async () => {
    const other = (await openServices({ database: patient(database.url) })).get(Commands), id = await create({ stock: 0 })
    await Promise.all(Array.from({ length: 60 }, (_, i) => run((i % 2 ? commands : other).change(adjusting(id, 1)))))
    expect(await rowOf(id)).toMatchObject({ version: 61, state: { stock: 60 } })
  })

  test("one that waits for a row for two seconds is told that others hold it, and leaves no lease", async () => {
    // Its cache is its own, and holds nothing of the product: there is a lease to be given.
    const id = await create(), holder = await database.connect(), impatient = await openServices({ database: database.url })
    await holder.query("begin")
    await holder.query("select 1 from products where id = $1 for update", [id])
    expect(await failing(impatient.get(Commands).change(renaming(id, "x")))).toMatchObject({ _tag: "TooContended" })
    await holder.query("rollback")
    expect(await leases(impatient)).toBe(0)
  })

  /** Every update of a product loses its race, so many times: the version has moved when it comes. */
  const losing = (races: number) => database.query(`
    create sequence races;
    create function lose() returns trigger language plpgsql as $$ begin
      if nextval('races') <= ${races} then return null; end if;
      return new;
    end $$;
    create trigger losing before update on products for each row execute function lose()`)
  const raced = async () => Number((await database.query("select last_value from races"))[0].last_value)

  test("one that lost three races goes on alone among all processes, and wins", async () => {
    const id = await create()
    await losing(5)
    expect(await run(commands.change(renaming(id, "Torch")))).toMatchObject({ version: 2 })
    expect(await raced()).toBe(6)
  })

  test("one that lost a race keeps the lease that it has, and fills with it", async () => {
    const id = await create()
    await run(services.get(CacheAccess).evict(services.get(Keyspace).keyOf("product", id)))
    await losing(1)
    expect(await run(commands.change(renaming(id, "Torch")))).toMatchObject({ version: 2, synced: "stored" })
    expect(await entryAt(id)).toMatchObject({ version: 2 })
  })

  test("one that never wins gives up after twenty races", async () => {
    const id = await create()
    await losing(1_000)
    expect(await failing(commands.change(renaming(id, "Torch")))).toMatchObject({ _tag: "TooContended" })
    expect(await raced()).toBe(20)
    expect((await rowOf(id))!.version).toBe(1)
  })

  test("a change that changes nothing looks again where its key could not be kept", async () => {
    const id = await create({ name: "Lamp" })
    await database.query(`
      create sequence kept;
      create function lose() returns trigger language plpgsql as $$ begin
        if nextval('kept') <= 2 then return null; end if;
        return new;
      end $$;
      create trigger losing before insert on command_keys for each row execute function lose()`)
    expect(await run(commands.change(renaming(id, "Lamp", { key: keyOf("k") })))).toMatchObject({ version: 1, synced: "nothing" })
    expect(await database.query("select 1 from command_keys")).toHaveLength(1)
  })
})

test("a deletion frees the unique value", async () => {
  const id = await create({ sku: "once" })
  await run(commands.change(deleting(id)))
  expect(await create({ sku: "once" })).not.toBe(id)
})
