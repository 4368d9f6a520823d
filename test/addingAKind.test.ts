import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { Kind } from "../src/domain/Kind.ts"
import { kinds } from "../src/domain/kinds/kinds.ts"
import { openApps } from "./support/apps.ts"
import type { TestApps } from "./support/apps.ts"

const WALK = new URL("../docs/adding-a-kind.md", import.meta.url)
const block = (text: string, language: string): string => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(text)![1]!

let apps: TestApps, folder: string
beforeAll(async () => {
  const walk = await readFile(WALK, "utf8")
  folder = await mkdtemp(join(tmpdir(), "holdfast-kind-"))
  const file = join(folder, "supplier.ts")
  await writeFile(file, block(walk, "ts").replaceAll(`"../`, `"${new URL("../src/domain/", import.meta.url).href}`))
  const { supplier } = await import(file) as { readonly supplier: Kind }
  apps = await openApps({ kinds: [...kinds, supplier] })
  await apps.query(block(walk, "sql"))
})
afterAll(async () => {
  await apps.stop()
  await rm(folder, { recursive: true })
})

const send = async (method: string, path: string, body?: unknown) => {
  const answer = await apps.call(method, path, body === undefined ? {} : { body: JSON.stringify(body) })
  const text = await answer.text()
  return { status: answer.status, text, json: text === "" ? null : JSON.parse(text) }
}
const add = async () => (await send("POST", "/v1/suppliers", { code: crypto.randomUUID(), company: "Lamps & Sons", terms: "30 days", contact: "ada@example.org" })).json

test("the documented kind has its routes, from creation to deletion", async () => {
  const made = await add(), path = `/v1/suppliers/${made.id}`
  expect(made).toEqual({ id: made.id, versionId: 1, updatedAtNs: made.updatedAtNs, code: made.code, company: "Lamps & Sons", terms: "30 days", status: "active", contactHash: made.contactHash, contactRef: made.contactRef })
  expect(await send("GET", path)).toMatchObject({ status: 200, json: made })
  expect((await send("PATCH", path, { company: "Lamps" })).json).toMatchObject({ versionId: 2, company: "Lamps", contactRef: made.contactRef })
  expect((await send("POST", `${path}/block`, {})).json).toMatchObject({ versionId: 3, status: "blocked" })
  expect((await send("POST", `${path}/block`, {})).json).toMatchObject({ type: "/problems/invalid" })
  expect((await send("GET", "/v1/suppliers?status=blocked")).json.items.map(({ id }: { id: string }) => id)).toContain(made.id)
  expect((await send("GET", `${path}?version=1`)).json).toEqual(made)
  expect((await send("POST", "/v1/suppliers", { code: made.code, company: "Other" })).json).toMatchObject({ type: "/problems/sku-taken" })
  expect((await send("DELETE", path)).status).toBe(204)
  expect((await send("GET", path)).status).toBe(410)
})

test("what is personal of it is in no answer but the full view, and follows a change", async () => {
  const made = await add(), path = `/v1/suppliers/${made.id}`
  expect(JSON.stringify([made, (await send("GET", `${path}/events`)).json])).not.toContain("ada@")
  expect((await send("GET", `${path}?view=full`)).json).toMatchObject({ contact: "ada@example.org" })
  const changed = (await send("PATCH", path, { contact: null })).json
  expect(changed).toMatchObject({ versionId: 2, contactHash: null, contactRef: null })
  expect((await send("GET", `${path}?view=full`)).json).toMatchObject({ contact: null })
})

test("the operators' routes and the document know it", async () => {
  const { id } = await add()
  expect((await send("GET", `/ops/entries/supplier/${id}`)).json).toMatchObject({ verdict: "consistent", entry: { tier: 3 } })
  expect((await send("GET", "/openapi.json")).json.paths).toHaveProperty("/v1/suppliers/{id}")
})
