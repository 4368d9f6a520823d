import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { patient } from "../../test/support/patient.ts"
import { cancelling, keyOf, lineOf, paying, placing, registering, shipping, shippingAddress, tombstoning } from "../../test/support/requests.ts"
import { adjusting, creating, deleting, failing, freshDatabase, openServices, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Cache } from "./cache/Cache.ts"
import { decodeEntry } from "./cache/Entry.ts"
import { Keyspace } from "./cache/Keyspace.ts"
import { Commands } from "./Commands.ts"
import type { Answer } from "./Commands.ts"
import { Identifiers } from "./Identifiers.ts"
import type { Kind, State } from "./Kind.ts"
import { customer } from "./kinds/customer.ts"
import { order } from "./kinds/order.ts"
import { product } from "./kinds/product.ts"
import { Ledger } from "./ledger/Ledger.ts"
import { entityDigest } from "./ledger/Token.ts"
import { SubjectKeys } from "./secrets/SubjectKeys.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
let services: Services, commands: Commands["Service"]
beforeEach(async () => {
  database = await freshDatabase()
  services = await openServices({ database: patient(database.url) })
  commands = services.get(Commands)
})
const another = async () => (await openServices({ database: patient(database.url) })).get(Commands)

const stocked = async (stock = 10, fields: State = {}) => (await run(commands.create(creating({ stock, ...fields })))).id
const person = async () => (await run(commands.create(registering()))).id
const rowOf = async (kind: Kind, id: string) => (await run(services.get(Ledger).rows(kind, [id]))).rows.get(id)!
const jsonOf = (answer: Answer) => JSON.parse(Buffer.from(answer.payload!).toString())
const entryAt = async (kind: Kind, id: string) => {
  const { value } = await services.get(Cache).describe(services.get(Keyspace).keyOf(kind.name, id))
  return value === null ? null : decodeEntry(value)
}
const many = <A>(count: number, make: (n: number) => Promise<A>): Promise<A[]> => Promise.all(Array.from({ length: count }, (_, n) => make(n)))
/** How often it came to what: `placed`, or the problem or tag of a refusal. */
const tally = async (attempts: Promise<Answer>[]) => {
  const outcomes = (await Promise.allSettled(attempts)).map((one) => one.status === "fulfilled" ? "placed" : one.reason.problem ?? one.reason._tag ?? String(one.reason))
  return Object.fromEntries([...Map.groupBy(outcomes, (outcome) => outcome as string)].map(([outcome, { length }]) => [outcome, length]))
}
const waiting = async (count: number) => {
  await eventually(async () => (await database.query("select from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and not granted")).length >= count)
}
/** Events as the outbox has them, in order of position. */
const events = () => database.query("select kind, entity_id as id, version_id::int as version, type, data, o.xid::text as xid, seq::int as seq from outbox o order by o.xid, o.seq")

describe("placing an order", () => {
  test("reserves its products in the transaction of the order: one event each, and the smallest sequence in its token", async () => {
    const [ada, lamp, bulb] = [await person(), await stocked(10), await stocked(5)]
    const placed = await run(commands.create(placing(ada, [lineOf(lamp, 2), lineOf(bulb, 5), lineOf(lamp, 1)])))
    expect(placed).toMatchObject({ status: 201, version: 1, synced: "stored", replayed: false })
    expect(jsonOf(placed)).toMatchObject({ id: placed.id, versionId: 1, customerId: ada, status: "placed", payment: null, shipment: null, total: { amount: 8 * 1250, currency: "EUR" }, shippingAddressRef: expect.any(String) })
    expect([await rowOf(product, lamp), await rowOf(product, bulb)]).toMatchObject([{ version: 2, state: { stock: 7 } }, { version: 2, state: { stock: 0 } }])
    const written = (await events()).filter(({ xid }) => xid === String(placed.token.transaction))
    expect(written.map(({ kind, id, version, type }) => [kind, id, version, type]).sort()).toEqual([
      ["order", placed.id, 1, "OrderPlaced"], ["product", lamp, 2, "StockReserved"], ["product", bulb, 2, "StockReserved"]
    ].sort())
    expect(written.find(({ id }) => id === lamp)!.data).toEqual({ quantity: 3, order: placed.id })
    expect(placed.token).toMatchObject({ entity: entityDigest("order", placed.id, services.get(Identifiers).authenticate), sequence: Math.min(...written.map(({ seq }) => seq)) })
    // Who it is about stays as they are.
    expect((await rowOf(customer, ada)).version).toBe(1)
  })

  test("stores the order and every product", async () => {
    const [ada, lamp, bulb] = [await person(), await stocked(), await stocked()]
    const { id } = await run(commands.create(placing(ada, [lineOf(lamp), lineOf(bulb)])))
    expect([await entryAt(order, id), await entryAt(product, lamp), await entryAt(product, bulb)]).toMatchObject([{ version: 1 }, { version: 2 }, { version: 2 }])
  })

  test("keeps the address sealed: neither row nor event has it, nor its answer", async () => {
    const [ada, lamp] = [await person(), await stocked()]
    const placed = await run(commands.create(placing(ada, [lineOf(lamp)])))
    const all = JSON.stringify([await database.query("select * from orders"), await events(), jsonOf(placed)])
    for (const text of Object.values(shippingAddress)) expect(all).not.toContain(text)
  })

  test("that is refused changes nothing of any product", async () => {
    const [ada, lamp, bulb] = [await person(), await stocked(), await stocked(1)]
    expect(await failing(commands.create(placing(ada, [lineOf(lamp), lineOf(bulb, 2)])))).toMatchObject({ _tag: "Refused", problem: "insufficient-stock" })
    for (const id of [lamp, bulb]) expect((await rowOf(product, id)).version).toBe(1)
    expect(await database.query("select from orders")).toEqual([])
  })

  test("that names whom nobody knows is invalid, by all its places", async () => {
    const [lamp, nobody] = [await stocked(), randomUUID()]
    expect(await failing(commands.create(placing(nobody, [lineOf(lamp), lineOf(nobody)])))).toMatchObject({ _tag: "Invalid", faults: [{ pointer: "#/customerId" }, { pointer: "#/lines/1/productId" }] })
  })

  test("with the scope sets its own price, without it is refused", async () => {
    const [ada, lamp] = [await person(), await stocked()]
    const lines = [lineOf(lamp, 1, { unitPrice: { amount: 1, currency: "EUR" } })]
    expect(await failing(commands.create(placing(ada, lines)))).toMatchObject({ problem: "price-changed" })
    expect(jsonOf(await run(commands.create(placing(ada, lines, { granted: (scope) => scope === "orders:import" }))))).toMatchObject({ total: { amount: 1 } })
  })

  test("takes a thousand products at once, and a cancellation gives them back", async () => {
    const ada = await person()
    const { results } = await run(commands.createMany({ ...creating(), items: Array.from({ length: 1_000 }, () => ({ input: creating({ stock: 2 }).input })) }))
    const ids = results.map((result) => result.status === 201 ? result.id : "")
    const { id } = await run(commands.create(placing(ada, ids.map((productId) => lineOf(productId)))))
    expect(await database.query("select distinct version_id::int as version, stock::int as stock from products")).toEqual([{ version: 2, stock: 1 }])
    await run(commands.change(cancelling(id)))
    expect(await database.query("select distinct version_id::int as version, stock::int as stock from products")).toEqual([{ version: 3, stock: 2 }])
  })
})

describe("an idempotency key over several entities", () => {
  test("places the order once; a repetition has the same bytes and token, although its products went on and were deleted", async () => {
    const [ada, lamp] = [await person(), await stocked()]
    const request = placing(ada, [lineOf(lamp, 3)], { key: keyOf("k") })
    const first = await run(commands.create(request))
    await run(commands.change(paying(first.id)))
    await run(commands.change(deleting(lamp)))
    const again = await run(commands.create(request))
    expect(again).toMatchObject({ status: 201, id: first.id, version: 1, replayed: true, synced: "nothing", token: first.token })
    expect(Buffer.from(again.payload!).toString()).toBe(Buffer.from(first.payload!).toString())
    expect(await failing(commands.create({ ...request, key: keyOf("k", "another request") }))).toMatchObject({ _tag: "KeyReused" })
    expect(await database.query("select from orders")).toHaveLength(1)
  })

  test("of ten at once, from two processes, one places it and all have its answer", async () => {
    const [ada, lamp, other] = [await person(), await stocked(), await another()]
    const request = placing(ada, [lineOf(lamp)], { key: keyOf("k") })
    const answers = await many(10, (n) => run((n % 2 ? commands : other).create(request)))
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
    expect(await rowOf(product, lamp)).toMatchObject({ version: 2, state: { stock: 9 } })
  })

  test("a cancellation counts once", async () => {
    const [ada, lamp] = [await person(), await stocked()]
    const { id } = await run(commands.create(placing(ada, [lineOf(lamp, 4)])))
    const first = await run(commands.change(cancelling(id, { key: keyOf("c") })))
    expect(await run(commands.change(cancelling(id, { key: keyOf("c") })))).toMatchObject({ version: 2, replayed: true, token: { sequence: (await events()).find(({ type }) => type === "OrderCancelled")!.seq } })
    expect(first.replayed).toBe(false)
    expect(await rowOf(product, lamp)).toMatchObject({ version: 3, state: { stock: 10 } })
  })

  test("a refusal leaves it free", async () => {
    const [ada, lamp] = [await person(), await stocked(1)]
    const request = placing(ada, [lineOf(lamp, 2)], { key: keyOf("k") })
    expect(await failing(commands.create(request))).toMatchObject({ problem: "insufficient-stock" })
    await run(commands.change(adjusting(lamp, 1)))
    expect(await run(commands.create(request))).toMatchObject({ status: 201, replayed: false })
  })
})

describe("a cancellation", () => {
  test("returns the stock in its own transaction, of a deleted product none", async () => {
    const [ada, lamp, gone] = [await person(), await stocked(), await stocked()]
    const { id } = await run(commands.create(placing(ada, [lineOf(lamp, 4), lineOf(gone, 4)])))
    await run(commands.change(deleting(gone)))
    const cancelled = await run(commands.change(cancelling(id)))
    expect(cancelled).toMatchObject({ status: 200, version: 2 })
    expect(jsonOf(cancelled)).toMatchObject({ status: "cancelled" })
    expect(await rowOf(product, lamp)).toMatchObject({ version: 3, state: { stock: 10 } })
    expect(await rowOf(product, gone)).toMatchObject({ version: 3, state: null })
    const written = (await events()).filter(({ xid }) => xid === String(cancelled.token.transaction))
    expect(written.map(({ type }) => type).sort()).toEqual(["OrderCancelled", "StockReturned"])
    expect(cancelled.token.sequence).toBe(Math.min(...written.map(({ seq }) => seq)))
  })

  test("of two at once exactly one counts", async () => {
    const [ada, lamp, other] = [await person(), await stocked(), await another()]
    const { id } = await run(commands.create(placing(ada, [lineOf(lamp, 4)])))
    expect(await tally([run(commands.change(cancelling(id))), run(other.change(cancelling(id)))])).toEqual({ placed: 1, "order-not-cancellable": 1 })
    expect((await rowOf(product, lamp)).state).toMatchObject({ stock: 10 })
  })

  test("against a shipment, exactly one counts", async () => {
    const [ada, lamp] = [await person(), await stocked()]
    const { id } = await run(commands.create(placing(ada, [lineOf(lamp, 4)])))
    await run(commands.change(paying(id)))
    const outcome = await tally([run(commands.change(cancelling(id))), run(commands.change(shipping(id)))])
    expect(outcome["placed"]).toBe(1)
    expect((await rowOf(product, lamp)).state).toMatchObject({ stock: (await rowOf(order, id)).state!["status"] === "cancelled" ? 10 : 6 })
  })
})

describe("against others", () => {
  test("of fifty orders for the last piece exactly one is placed, from two processes; the others are told that there is none", async () => {
    const [ada, lamp, other] = [await person(), await stocked(1), await another()]
    const outcome = await tally(Array.from({ length: 50 }, (_, n) => run((n % 2 ? commands : other).create(placing(ada, [lineOf(lamp)])))))
    expect(outcome).toEqual({ placed: 1, "insufficient-stock": 49 })
    expect(await rowOf(product, lamp)).toMatchObject({ version: 2, state: { stock: 0 } })
  })

  test("sixteen writers over the same three products, in every order of lines, lose none, and the sum is exact", async () => {
    const [ada, other] = [await person(), await another()], products = await many(3, () => stocked(200))
    await many(16, async (writer) => {
      for (let n = 0; n < 4; n++) {
        const turned = [...products.slice((writer + n) % 3), ...products.slice(0, (writer + n) % 3)]
        const { id } = await run((writer % 2 ? commands : other).create(placing(ada, (writer % 4 < 2 ? turned : turned.toReversed()).map((productId) => lineOf(productId, 2)))))
        if (n === 3) await run((writer % 2 ? other : commands).change(cancelling(id)))
      }
    })
    for (const id of products) expect(await rowOf(product, id)).toMatchObject({ version: 1 + 16 * 5, state: { stock: 200 - 16 * 3 * 2 } })
    // For each entity the order of positions is the order of versions.
    const versions = Map.groupBy(await events(), ({ id }) => id)
    for (const of of versions.values()) expect(of.map(({ version }) => version)).toEqual(of.map((_, n) => n + 1))
  })

  test("one that meets another's change of a product looks again, and reserves from what is there then", async () => {
    const [ada, lamp] = [await person(), await stocked(10)], holder = await database.connect()
    await holder.query("begin")
    await holder.query("update products set stock = 3, version_id = 2 where id = $1", [lamp])
    const placed = run(commands.create(placing(ada, [lineOf(lamp, 3)])))
    await waiting(1)
    await holder.query("commit")
    expect(await placed).toMatchObject({ status: 201, version: 1 })
    expect(await rowOf(product, lamp)).toMatchObject({ version: 3, state: { stock: 0 } })
  })

  test("one that loses again and again queues for all that it is about, alone among all processes, and wins", async () => {
    const [ada, lamp, bulb] = [await person(), await stocked(10), await stocked(10)]
    // Its key is not kept, five times: as if another had used it meanwhile.
    await database.query(`
      create sequence looks;
      create table alone_seen (n bigint, locks bigint[]);
      create function outdate() returns trigger language plpgsql as $$ begin
        insert into alone_seen values (nextval('looks'), array(select objid::bigint as lock from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() order by lock));
        return case when currval('looks') <= 5 then null else new end;
      end $$;
      create trigger outdating before insert on command_keys for each row execute function outdate()`)
    const placed = await run(commands.create(placing(ada, [lineOf(lamp), lineOf(bulb)], { key: keyOf("k") })))
    expect(placed).toMatchObject({ status: 201, replayed: false })
    // The order itself, its customer and its two products. Of 1,024 locks two of them may have the same.
    const [{ all }] = await database.query(
      "select array(select distinct hashtextextended(e, 0) & 1023 as lock from unnest($1::text[]) e order by lock) as all",
      [[`order:${placed.id}`, `customer:${ada}`, `product:${lamp}`, `product:${bulb}`]]
    )
    expect(await database.query("select n::int, locks from alone_seen order by n")).toEqual([
      { n: 1, locks: [] }, { n: 2, locks: [] }, { n: 3, locks: [] }, { n: 4, locks: all }, { n: 5, locks: all }, { n: 6, locks: all }
    ])
  })

  test("one that waits for a product for two seconds is told that others hold it, and nothing was changed", async () => {
    const [ada, lamp, bulb] = [await person(), await stocked(), await stocked()], holder = await database.connect(), { get } = await openServices({ database: database.url })
    await holder.query("begin")
    await holder.query("select from products where id = $1 for update", [lamp])
    expect(await failing(get(Commands).create(placing(ada, [lineOf(lamp), lineOf(bulb)])))).toMatchObject({ _tag: "TooContended" })
    await holder.query("rollback")
    expect(await rowOf(product, bulb)).toMatchObject({ version: 1 })
  })
})

describe("an order that meets the erasure of its customer", () => {
  test("is refused where the erasure is committed first, although the person stood there when it looked", async () => {
    const [ada, lamp] = [await person(), await stocked()], eraser = await database.connect()
    await eraser.query("begin")
    await eraser.query("update customers set deleted_at = now(), version_id = 2 where id = $1", [ada])
    const refused = failing(commands.create(placing(ada, [lineOf(lamp)])))
    await waiting(1)
    await eraser.query("commit")
    expect(await refused).toMatchObject({ _tag: "Refused", problem: "customer-erased" })
    expect(await rowOf(product, lamp)).toMatchObject({ version: 1 })
  })

  test("holds the person until it is committed: the erasure comes after it", async () => {
    const [ada, lamp] = [await person(), await stocked()], gate = await database.connect()
    await gate.query("begin")
    await gate.query("select from products where id = $1 for update", [lamp])
    const placed = run(commands.create(placing(ada, [lineOf(lamp)])))
    await waiting(1)
    const erased = run(commands.change(tombstoning(ada)))
    await waiting(2)
    await gate.query("commit")
    const [{ token }, tombstone] = await Promise.all([placed, erased])
    expect(tombstone).toMatchObject({ status: 200, version: 2, payload: null })
    expect(tombstone.token.sequence).toBeGreaterThan(token.sequence)
  })

  test("does not keep others from ordering for the same person meanwhile", async () => {
    const [ada, lamp, bulb] = [await person(), await stocked(), await stocked()], gate = await database.connect()
    await gate.query("begin")
    await gate.query("select from products where id = $1 for update", [lamp])
    const first = run(commands.create(placing(ada, [lineOf(lamp)])))
    await waiting(1)
    await run(commands.create(placing(ada, [lineOf(bulb)])))
    await gate.query("commit")
    await first
  })

  test("is refused where the person's key went after it looked: it looks again", async () => {
    const [ada, lamp, gate] = [await person(), await stocked(), await database.connect()]
    await gate.query("begin")
    await gate.query("lock table subject_keys in access exclusive mode")
    // A process that has not unwrapped the key yet.
    const other = await another(), order = failing(other.create(placing(ada, [lineOf(lamp)])))
    await waiting(1)
    await run(commands.change(tombstoning(ada)))
    await gate.query("delete from subject_keys where subject = $1", [ada])
    await gate.query("commit")
    expect(await order).toMatchObject({ _tag: "Refused", problem: "customer-erased" })
  })

  test("is not placed where the key is gone and the person still stands: nobody could ever read its address", async () => {
    const [ada, lamp] = [await person(), await stocked()]
    await run(services.get(SubjectKeys).destroy(ada))
    expect(await failing(commands.create(placing(ada, [lineOf(lamp)])))).toMatchObject({ _tag: "TooContended" })
    expect(await rowOf(product, lamp)).toMatchObject({ version: 1 })
  })
})

test("an order goes on after its customer's erasure, and its first answer is still given: there were never more than references in it", async () => {
  const [ada, lamp] = [await person(), await stocked()]
  const request = placing(ada, [lineOf(lamp)], { key: keyOf("k") })
  const first = await run(commands.create(request))
  await run(commands.change(tombstoning(ada)))
  await run(services.get(SubjectKeys).destroy(ada))
  expect(Buffer.from((await run(commands.create(request))).payload!).toString()).toBe(Buffer.from(first.payload!).toString())
  await run(commands.change({ ...paying(first.id), command: "EraseAddress", input: {} }))
  expect(await rowOf(order, first.id)).toMatchObject({ version: 2, state: { shippingAddressRef: null, personal: null, status: "placed" } })
  expect(jsonOf(await run(commands.change(cancelling(first.id))))).toMatchObject({ status: "cancelled", versionId: 3, shippingAddressRef: null })
  expect((await rowOf(product, lamp)).state).toMatchObject({ stock: 10 })
})
