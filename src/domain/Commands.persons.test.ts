import { inspect } from "node:util"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../test/support/eventually.ts"
import { patient } from "../../test/support/patient.ts"
import { changingCustomer, keyOf, lineOf, placing, registering, tombstoning } from "../../test/support/requests.ts"
import { creating, failing, freshDatabase, openServices, run } from "../../test/support/services.ts"
import type { Services } from "../../test/support/services.ts"
import { Commands } from "./Commands.ts"
import type { Answer } from "./Commands.ts"
import { reveal, SEALED } from "./Kind.ts"
import type { State } from "./Kind.ts"
import { customer } from "./kinds/customer.ts"
import { Ledger } from "./ledger/Ledger.ts"
import { PersonalData } from "./secrets/PersonalData.ts"
import { SubjectKeys } from "./secrets/SubjectKeys.ts"

let database: Awaited<ReturnType<typeof freshDatabase>>
let services: Services, commands: Commands["Service"]
beforeEach(async () => {
  database = await freshDatabase()
  services = await openServices({ database: patient(database.url) })
  commands = services.get(Commands)
})

const address = { line1: "Lindenstraße 1", city: "Köln", country: "Deutschland" }
const ada = { name: "Ada Lovelace", email: "Ada@example.org", phone: "+49 30 1234", address, marketingConsent: true }
const register = (fields: State = ada) => run(commands.create(registering(fields)))
const jsonOf = (answer: Answer) => JSON.parse(Buffer.from(answer.payload!).toString())
const rowOf = async (id: string) => (await run(services.get(Ledger).rows(customer, [id]))).rows.get(id)!
/** Who the person is, out of the row. */
const personOf = async (id: string) => {
  const opened = await run(services.get(PersonalData).open(customer, id, (await rowOf(id)).state!))
  return Object.fromEntries(["name", "email", "phone", "address"].map((field) => [field, reveal(opened[field])]))
}
const subjects = async () => (await database.query("select subject from subject_keys")).map(({ subject }) => subject)
const events = (id: string): Promise<any[]> => database.query("select version_id::int as version, type, data from outbox where entity_id = $1 order by version_id", [id])
const terminateWaiting = () => eventually(async () =>
  (await database.query("select pg_terminate_backend(pid) from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and not granted")).length === 1)

describe("registering", () => {
  test("answers with digests and a reference, and keeps the person sealed: no text of them is in row or event", async () => {
    const made = await register()
    expect(made).toMatchObject({ status: 201, version: 1, synced: "stored" })
    expect(jsonOf(made)).toEqual({
      id: made.id, versionId: 1, updatedAtNs: expect.any(String), status: "active", marketingConsent: true,
      emailHash: expect.stringMatching(/^[0-9a-f]{64}$/), phoneHash: expect.stringMatching(/^[0-9a-f]{64}$/), piiRef: expect.any(String)
    })
    const all = JSON.stringify([await database.query("select * from customers"), await events(made.id), jsonOf(made)])
    for (const text of ["Ada", "Lovelace", "example.org", "1234", "Linden", "Köln"]) expect(all).not.toContain(text)
    expect(await personOf(made.id)).toEqual({ ...ada, marketingConsent: undefined, address: { ...address, name: null, line2: null, region: null, postcode: null } })
    expect(await subjects()).toEqual([made.id])
  })

  test("its event has neither digest nor blind index: they stand in the row alone", async () => {
    const { id } = await register()
    expect(await events(id)).toEqual([{ version: 1, type: "CustomerRegistered", data: { status: "active", marketingConsent: true, [SEALED]: expect.any(String), piiRef: expect.any(String) } }])
    expect((await rowOf(id)).state).toMatchObject({ emailIndex: expect.stringMatching(/^[0-9a-f]{64}$/) })
  })

  test("a taken e-mail is refused, however it is written, and gives the person's key back", async () => {
    const { id } = await register()
    expect(await failing(commands.create(registering({ email: " ADA@Example.org" })))).toMatchObject({ _tag: "Refused", problem: "email-taken", detail: expect.not.stringContaining("ada") })
    expect(await subjects()).toEqual([id])
  })

  test("of ten with one e-mail at once exactly one is registered, and only that one has a key", async () => {
    const answers = await Promise.allSettled(Array.from({ length: 10 }, () => register()))
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    expect(await subjects()).toEqual((await database.query("select id from customers")).map(({ id }) => id))
  })

  test("that waited too long gives the key back, and one whose outcome is unknown does not: it may have happened", async () => {
    const gate = await database.connect(), { get } = await openServices({ database: database.url })
    await gate.query("begin")
    await gate.query("lock table customers in exclusive mode")
    expect(await failing(get(Commands).create(registering(ada)))).toMatchObject({ _tag: "TooContended" })
    expect(await subjects()).toEqual([])
    const unknown = failing(commands.create(registering(ada)))
    await terminateWaiting()
    expect(await unknown).toMatchObject({ _tag: "UnknownOutcome" })
    expect(await subjects()).toHaveLength(1)
    await gate.query("rollback")
  })

  test("a repetition has the same bytes, and makes no key, also one that comes while the first is under way", async () => {
    const request = registering(ada, { key: keyOf("k") }), gate = await database.connect()
    await gate.query("begin")
    await gate.query("lock table customers in exclusive mode")
    const both = [run(commands.create(request)), run(commands.create(request))]
    await eventually(async () => (await database.query("select from pg_locks where pid in (select pid from pg_stat_activity where datname = current_database()) and not granted")).length === 2)
    await gate.query("commit")
    const [one, other] = await Promise.all(both)
    const third = await run(commands.create(request))
    expect([one!.replayed, other!.replayed].sort()).toEqual([false, true])
    for (const answer of [other!, third]) expect(Buffer.from(answer.payload!).toString()).toBe(Buffer.from(one!.payload!).toString())
    expect(await subjects()).toEqual([one!.id])
  })
})

describe("changing", () => {
  test("a name is sealed anew, with another reference; the digests stay, and so does what was not sent", async () => {
    const { id } = await register(), before = (await rowOf(id)).state!
    const changed = await run(commands.change(changingCustomer(id, { name: "Grace" })))
    expect(changed).toMatchObject({ status: 200, version: 2 })
    const after = (await rowOf(id)).state!
    expect(after).toEqual({ ...before, [SEALED]: expect.any(String), piiRef: expect.any(String) })
    expect([after[SEALED], after["piiRef"]]).not.toEqual([before[SEALED], before["piiRef"]])
    expect(await personOf(id)).toMatchObject({ name: "Grace", email: "Ada@example.org", phone: "+49 30 1234" })
    expect((await events(id))[1]).toEqual({ version: 2, type: "CustomerChanged", data: { [SEALED]: after[SEALED], piiRef: after["piiRef"] } })
  })

  test("what is not personal leaves what is sealed and its reference as they are", async () => {
    const { id } = await register(), before = (await rowOf(id)).state!
    await run(commands.change(changingCustomer(id, { marketingConsent: false })))
    expect((await rowOf(id)).state).toEqual({ ...before, marketingConsent: false })
    expect((await events(id))[1].data).toEqual({ marketingConsent: false })
  })

  test("an e-mail and a phone have new digests, null has none; the one that was given up is free", async () => {
    const { id } = await register(), before = (await rowOf(id)).state!
    await run(commands.change(changingCustomer(id, { email: "grace@example.org", phone: null })))
    const after = (await rowOf(id)).state!
    expect(after["phoneHash"]).toBeNull()
    for (const name of ["emailHash", "emailIndex"]) expect(after[name], name).not.toBe(before[name])
    const second = await register()
    expect((await rowOf(second.id)).state).toMatchObject({ emailHash: before["emailHash"], emailIndex: before["emailIndex"] })
    expect(await failing(commands.change(changingCustomer(id, { email: "ADA@example.org" })))).toMatchObject({ problem: "email-taken" })
  })

  test("another way of writing an e-mail or a phone is a change that keeps their digests", async () => {
    const { id } = await register(), before = (await rowOf(id)).state!
    expect(await run(commands.change(changingCustomer(id, { email: "ADA@EXAMPLE.ORG", phone: "+49-30-1234" })))).toMatchObject({ version: 2 })
    expect((await rowOf(id)).state).toMatchObject({ emailHash: before["emailHash"], phoneHash: before["phoneHash"], emailIndex: before["emailIndex"] })
    expect(await personOf(id)).toMatchObject({ email: "ADA@EXAMPLE.ORG", phone: "+49-30-1234" })
  })

  test("merges inside the address, and what would not be whole is invalid by what it lacks", async () => {
    const { id } = await register()
    await run(commands.change(changingCustomer(id, { address: { city: "Bonn", line2: "Hinterhaus" } })))
    expect((await personOf(id))["address"]).toEqual({ ...address, name: null, region: null, postcode: null, city: "Bonn", line2: "Hinterhaus" })
    await run(commands.change(changingCustomer(id, { address: null })))
    expect((await personOf(id))["address"]).toBeNull()
    expect(await failing(commands.change(changingCustomer(id, { address: { city: "Bonn" } })))).toMatchObject({ _tag: "Invalid", faults: [{ pointer: "#/address/line1" }, { pointer: "#/address/country" }] })
    expect((await rowOf(id)).version).toBe(3)
  })

  test("nothing makes no version, also with all that they are", async () => {
    const { id } = await register()
    for (const fields of [{}, ada]) expect(await run(commands.change(changingCustomer(id, fields)))).toMatchObject({ status: 200, version: 1, synced: "nothing" })
    expect(await events(id)).toHaveLength(1)
  })

  test("a repetition has the bytes of then, with the digests of then, although they changed since", async () => {
    const { id } = await register(), request = changingCustomer(id, { email: "grace@example.org" }, { key: keyOf("k") })
    const first = await run(commands.change(request))
    await run(commands.change(changingCustomer(id, { email: "mary@example.org", phone: null })))
    const again = await run(commands.change(request))
    expect(again).toMatchObject({ version: 2, replayed: true })
    expect(Buffer.from(again.payload!).toString()).toBe(Buffer.from(first.payload!).toString())
  })

  test("of two who swap their e-mails at once both are told that they are taken, also the one whom Postgres takes out of the circle", async () => {
    const swap = [await register({ ...ada, email: "ada@example.org" }), await register({ ...ada, email: "bob@example.org" })].map(({ id }) => id)
    // Circles are looked for soon, and both have written their row, and wait, before either looks whether the e-mail is free.
    for (const text of [
      `alter database ${new URL(database.url).pathname.slice(1)} set deadlock_timeout = '50ms'`,
      "create function gate(text) returns text immutable language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(7777); return $1; end $$",
      "create index customers_gate on customers (gate(status))",
      "drop index customers_email_key", "create unique index customers_email_key on customers (email_index) where deleted_at is null"
    ]) await database.query(text)
    const { get } = await openServices({ database: patient(database.url) })
    const swapping = (by: Commands["Service"], id: string, email: string) => failing(by.change(changingCustomer(id, { email })))
    for (let n = 0; n < 3; n++) {
      await database.query("select pg_advisory_lock(7777)")
      const both = Promise.all([swapping(commands, swap[0]!, "bob@example.org"), swapping(get(Commands), swap[1]!, "ada@example.org")])
      await eventually(async () => (await database.query("select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())")).length === 2)
      await database.query("select pg_advisory_unlock(7777)")
      expect(await both).toMatchObject([{ problem: "email-taken" }, { problem: "email-taken" }])
    }
    for (const id of swap) expect((await rowOf(id)).version).toBe(1)
  })

  test("of many at once none is lost", async () => {
    const { id } = await register()
    await Promise.all(Array.from({ length: 12 }, (_, n) => run(commands.change(changingCustomer(id, { name: `Ada ${n}` })))))
    expect((await rowOf(id)).version).toBe(13)
    expect(await personOf(id)).toMatchObject({ name: expect.stringMatching(/^Ada \d+$/), email: "Ada@example.org" })
  })
})

describe("the tombstone of an erasure", () => {
  test("answers 200 without a body, takes what names the person out of the row, and says nothing in its event", async () => {
    const { id } = await register()
    expect(await run(commands.change(tombstoning(id)))).toMatchObject({ status: 200, version: 2, payload: null })
    expect(await database.query("select email_hash, phone_hash, pii_ref, email_index, personal from customers")).toEqual([{ email_hash: null, phone_hash: null, pii_ref: null, email_index: null, personal: null }])
    expect((await events(id))[1]).toEqual({ version: 2, type: "CustomerErased", data: {} })
    expect(await failing(commands.change(changingCustomer(id, { name: "x" })))).toMatchObject({ _tag: "Deleted" })
    expect((await register()).id).not.toBe(id)
  })

  test("once the key is destroyed no kept answer of the person is given any more", async () => {
    const registration = registering(ada, { key: keyOf("r") }), { id } = await run(commands.create(registration))
    const change = changingCustomer(id, { name: "Grace" }, { key: keyOf("c") })
    await run(commands.change(change))
    await run(commands.change(tombstoning(id)))
    await run(services.get(SubjectKeys).destroy(id))
    expect(await failing(commands.create(registration))).toMatchObject({ _tag: "Deleted" })
    expect(await failing(commands.change(change))).toMatchObject({ _tag: "Deleted" })
    // And nobody asked for a key for one who is erased.
    expect(await subjects()).toEqual([])
  })

  test("a person whose key is gone is not changed, although they still stand", async () => {
    const { id } = await register()
    await run(services.get(SubjectKeys).destroy(id))
    expect(await failing(commands.change(changingCustomer(id, { name: "Grace" })))).toMatchObject({ _tag: "Deleted" })
    expect((await rowOf(id)).version).toBe(1)
    expect(await run(commands.change(tombstoning(id)))).toMatchObject({ version: 2 })
  })

  test("nothing new is sealed for a person whose key is gone, also where nothing stood that had to be opened", async () => {
    const { id } = await register()
    await database.query("update customers set personal = null, pii_ref = null where id = $1", [id])
    await run(services.get(SubjectKeys).destroy(id))
    expect(await failing(commands.change(changingCustomer(id, { name: "Grace" })))).toMatchObject({ _tag: "Deleted" })
    expect((await rowOf(id)).version).toBe(1)
  })
})

test("the order of a person has a key of nobody's own: its refusal takes none away", async () => {
  const [{ id }, lamp] = [await register(), await run(commands.create(creating({ stock: 0 })))]
  expect(await failing(commands.create(placing(id, [lineOf(lamp.id)])))).toMatchObject({ problem: "insufficient-stock" })
  expect(await subjects()).toEqual([id])
})

test("no error and no answer prints who the person is", async () => {
  const { id } = await register()
  const seen = [
    await failing(commands.create(registering(ada))), await failing(commands.change(changingCustomer(id, { name: "Ada Lovelace" }, { versions: [7] }))),
    registering(ada).input, await run(commands.change(changingCustomer(id, { name: "Grace Hopper" })))
  ]
  for (const one of seen) for (const text of [inspect(one, { depth: 9 }), JSON.stringify(one, (_, value) => typeof value === "bigint" ? String(value) : value)]) {
    for (const secret of ["Lovelace", "Hopper", "example.org", "1234", "Linden"]) expect(text).not.toContain(secret)
  }
})
