import { expect, test } from "vitest"
import { Count, Email, Flag, listOf, Money, optional, record, Reference, Text, tier1, tier2, tier3 } from "../../domain/Field.ts"
import { defineKind } from "../../domain/Kind.ts"
import { columnOf, columnsOf, remainsOf, rowOf, tableOf, uniqueColumnsOf, valuesOf } from "./columns.ts"

const personal = { subject: "id", reference: "detailsRef", hashes: { emailHash: "email" }, lookups: ["email"] } as const
const parcel = defineKind<{ ParcelSent: object }>()({
  name: "parcel",
  plural: "largeParcels",
  scope: "parcels",
  fields: {
    label: tier1(Text),
    weight: tier1(optional(Count)),
    fragile: tier1(Flag),
    orderId: tier2(Reference),
    stops: tier1(listOf(record("Stop", { town: Text, note: optional(Text) }), 0, 9)),
    customs: tier1(optional(record("Customs", { code: Text }))),
    price: tier1(Money),
    insured: tier1(optional(Money)),
    email: tier3(Email)
  },
  personal,
  unique: { label: "sku-taken", email: "email-taken" },
  filters: [],
  commands: {},
  decide: {},
  evolve: { ParcelSent: () => null }
})

const state = {
  label: "P-1", weight: 2 ** 53 - 1, fragile: false, orderId: "018f4e9a-0000-7000-8000-000000000000", stops: [{ town: "Kiel", note: null }], customs: { code: "x" },
  price: { amount: 5, currency: "EUR" }, insured: { amount: 7, currency: "USD" }, emailHash: "h", detailsRef: "r", emailIndex: "i", personal: "sealed"
}

test("a kind has a column for each thing that it keeps, two for money, and none for a personal field", () => {
  expect(tableOf(parcel)).toBe("large_parcels")
  expect(columnOf("shippingCountryCode")).toBe("shipping_country_code")
  expect(columnsOf(parcel).map(({ name, type }) => `${name} ${type}`)).toEqual([
    "label text", "weight bigint", "fragile boolean", "order_id uuid", "stops json", "customs json", "price_amount bigint", "price_currency text",
    "insured_amount bigint", "insured_currency text", "email_hash text", "details_ref text", "email_index text", "personal text"
  ])
})

test("of a personal field the blind index is unique", () => {
  expect(uniqueColumnsOf(parcel)).toEqual(["label", "email_index"])
})

/** As the driver gives what was written: large integers as text, json parsed. */
const driven = (values: readonly unknown[]) =>
  Object.fromEntries(columnsOf(parcel).map(({ name, type }, i) => {
    const value = values[i]
    return [name, value === null ? null : type === "bigint" ? (value as number).toString() : type === "json" ? JSON.parse(value as string) : value]
  }))
const place = { id: state.orderId, version_id: "3", updated_at_ns: "1", event_seq: "9", epoch: "4", deleted_at: null }

test.each([
  ["with values", state],
  ["with nulls", { ...state, weight: null, customs: null, insured: null, emailHash: null, detailsRef: null, emailIndex: null, personal: null }]
])("a state %s comes back as it was written, with its members in their order", (_, written) => {
  const row = rowOf(parcel, { ...place, ...driven(valuesOf(parcel, written)) })
  expect(row).toEqual({ id: state.orderId, version: 3, updatedAtNs: "1", sequence: 9, epoch: 4, state: written })
  expect(JSON.stringify(row.state)).toBe(JSON.stringify(written))
})

test("of a deleted entity nothing is left that stood for its personal fields", () => {
  expect(remainsOf(parcel, state)).toEqual({ ...state, emailHash: null, detailsRef: null, emailIndex: null, personal: null })
})
