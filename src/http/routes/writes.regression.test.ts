import { createHash } from "node:crypto"
import { expect, test } from "vitest"
import { openHttp } from "../../../test/support/http.ts"
import { freshDatabase } from "../../../test/support/services.ts"

const sha256 = (...parts: readonly string[]) => createHash("sha256").update(parts.join("")).digest("hex")

test("what is kept of an idempotency key and its request cannot be tried out by who has the database, nor without the key by who has the keyring too", async () => {
  const database = await freshDatabase(), http = await openHttp({ database: database.url })
  const person = { name: "Ada", email: "ada@example.org", marketingConsent: true }
  const { json: { id } } = await http.ask("POST", "/v1/customers", { body: person, headers: { "idempotency-key": "ada@example.org" } })
  const phone = { phone: "+49 30 1234567" }, without = { phone: null }, path = `/v1/customers/${id as string}`
  for (const [key, body] of [["a", phone], ["b", without], ["c", phone]] as const) {
    expect((await http.ask("PATCH", path, { body, headers: { "idempotency-key": key } })).status).toBe(200)
  }

  const kept = (await database.query("select encode(digest, 'hex') as digest, encode(request, 'hex') as request from command_keys order by version_id"))
  expect(kept).toHaveLength(4)
  const actors = (await database.query("select distinct metadata->>'actor' as actor from outbox")).map(({ actor }) => actor as string)
  const tried = [
    ...actors.map((actor) => sha256(actor, "\0", "ada@example.org")),
    sha256("POST /v1/customers\n", JSON.stringify(person)),
    sha256(`PATCH ${path}\n`, JSON.stringify(phone))
  ]
  for (const { digest, request } of kept) for (const guess of tried) expect([digest, request]).not.toContain(guess)
  // The same request under another key.
  expect(kept[1]!.request).not.toBe(kept[3]!.request)
})
