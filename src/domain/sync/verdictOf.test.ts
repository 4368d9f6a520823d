import { expect, test } from "vitest"
import { absenceOf, entryOf } from "../cache/Entry.ts"
import type { Entry } from "../cache/Entry.ts"
import { product } from "../kinds/product.ts"
import { unencodable } from "../../../test/support/services.ts"
import type { Truth } from "./verdictOf.ts"
import { verdictOf } from "./verdictOf.ts"

const state = (name: string) => ({ sku: "a", name, description: null, price: { amount: 1, currency: "EUR" }, stock: 1, status: "active" })
const at = (version: number, epoch = 5, name = `v${version}`): Truth & { readonly row: NonNullable<Truth["row"]> } =>
  ({ epoch, row: { id: "a", version, updatedAtNs: "1000", sequence: version, epoch, state: state(name) } })
const nothing = (epoch = 5): Truth => ({ row: null, epoch })
const entry = (truth: ReturnType<typeof at>): Entry => entryOf(product, truth.row)
const some = Buffer.from("1")
const verdict = (before: Truth, of: Entry | null, after: Truth, kind = product) => verdictOf(kind, before, some, of, after)

test("nothing, and a lease in the entry's place, are absent; bytes that are no entry are undecodable", () => {
  expect(verdictOf(product, at(1), null, null, at(1))).toBe("absent")
  expect(verdictOf(product, at(1), Buffer.from("Labc"), null, at(1))).toBe("absent")
  expect(verdict(at(1), null, at(1))).toBe("undecodable")
})

test("an entry is behind if it is older than what was committed before it was looked at, whatever came since", () => {
  expect(verdict(at(2), entry(at(1)), at(2))).toBe("behind")
  expect(verdict(at(2), entry(at(1)), at(9))).toBe("behind")
  expect(verdict(at(1), absenceOf(5), at(1))).toBe("behind")
  expect(verdict(at(1, 6), entry(at(7, 5)), at(1, 6))).toBe("behind")
  expect(verdict(nothing(6), absenceOf(5), nothing(6))).toBe("behind")
})

test("an entry is ahead if it is newer than what was committed after it was looked at, even if it was not before", () => {
  expect(verdict(at(2), entry(at(3)), at(2))).toBe("ahead")
  expect(verdict(nothing(), entry(at(1)), nothing())).toBe("ahead")
  expect(verdict(at(2, 5), entry(at(1, 6)), at(2, 5))).toBe("ahead")
})

test("while the row moves an entry of any version on its way is fine", () => {
  for (const version of [2, 3, 4]) expect(verdict(at(2), entry(at(version)), at(4)), String(version)).toBe("fine")
  expect(verdict(nothing(), entry(at(1)), at(1))).toBe("fine")
})

test("of the row's version it is fine with the row's content, and different with any other, or another sequence, or as a tombstone", () => {
  const two = entry(at(2))
  expect(verdict(at(2), two, at(2))).toBe("fine")
  expect(verdict(at(2), entry(at(2, 5, "another")), at(2))).toBe("different")
  expect(verdict(at(2), entry(at(2, 5, "another")), at(3))).toBe("different")
  expect(verdict(at(2), { ...two, sequence: 7 }, at(2))).toBe("different")
  expect(verdict(at(2), { ...two, what: "deleted", payload: Buffer.alloc(0) }, at(2))).toBe("different")
  const deleted: Truth = { epoch: 5, row: { ...at(2).row, state: null } }
  expect(verdict(deleted, two, deleted)).toBe("different")
  expect(verdict(deleted, { ...two, what: "deleted", payload: Buffer.alloc(0) }, deleted)).toBe("fine")
})

test("of an id without a row an absence is fine, and what has content is different", () => {
  expect(verdict(nothing(), absenceOf(5), nothing())).toBe("fine")
  expect(verdict(nothing(), { ...absenceOf(5), what: "entity" }, nothing())).toBe("different")
})

test("of a row that is too large to be kept, or that nobody can encode, no entry is right", () => {
  const large: Truth = { epoch: 5, row: { ...at(2).row, state: state("x".repeat(70_000)) } }
  expect(verdict(large, entry(at(2)), large)).toBe("different")
  expect(verdict(at(2), entry(at(2)), at(2), unencodable)).toBe("different")
})
