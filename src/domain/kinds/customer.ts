import { Redacted } from "effect"
import { Email, Flag, LongText, oneOf, optional, Phone, record, Text, tier2, tier3 } from "../Field.ts"
import { defineKind, happened, nothing, reveal } from "../Kind.ts"

const place = { line1: LongText, line2: optional(Text), city: Text, region: optional(Text), postcode: optional(Text), country: Text }
/** Where a parcel goes, and to whom. */
export const ShippingAddress = record("ShippingAddress", { name: Text, ...place })
/** Where somebody lives: the name is the customer's own unless another is given. */
const Address = record("Address", { name: optional(Text), ...place })

// Whoever sees this state has no personal data: those are sealed apart, under the person's own key.
interface CustomerState { status: "active"; marketingConsent: boolean }

const same = (a: unknown, b: unknown) => JSON.stringify(reveal(a)) === JSON.stringify(reveal(b))
const given = <A>(value: Redacted.Redacted<A | null> | undefined): Redacted.Redacted<A | null> => value ?? Redacted.make(null)

export const customer = defineKind<{
  CustomerRegistered: CustomerState
  CustomerChanged: Partial<CustomerState>
  CustomerErased: object
}>()({
  name: "customer",
  plural: "customers",
  scope: "customers",
  fields: {
    status: tier2(oneOf("active")),
    marketingConsent: tier2(Flag),
    name: tier3(Text),
    email: tier3(Email),
    phone: tier3(optional(Phone)),
    address: tier3(optional(Address))
  },
  personal: { subject: "id", reference: "piiRef", hashes: { emailHash: "email", phoneHash: "phone" }, lookups: ["email"] },
  unique: { email: "email-taken" },
  filters: [],
  commands: {
    RegisterCustomer: { at: "create", input: { name: Text, email: Email, phone: optional(Phone), address: optional(Address), marketingConsent: Flag } },
    ChangeCustomer: { at: "change", input: { name: Text, email: Email, phone: optional(Phone), address: optional(Address), marketingConsent: Flag } },
    EraseCustomer: { at: "erase", input: {} }
  },
  decide: {
    RegisterCustomer: ({ marketingConsent, name, email, phone, address }) =>
      happened("CustomerRegistered", { status: "active", marketingConsent, name, email, phone: given(phone), address: given(address) }),
    ChangeCustomer: (wanted, customer) => {
      const changes = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => !same(value, customer[name as keyof typeof customer])))
      return Object.keys(changes).length === 0 ? nothing : happened("CustomerChanged", changes)
    },
    EraseCustomer: () => happened("CustomerErased", {})
  },
  evolve: {
    CustomerRegistered: (registered) => registered,
    CustomerChanged: (changes, customer) => ({ ...customer, ...changes }),
    CustomerErased: () => null
  }
})
