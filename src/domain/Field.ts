import { Schema } from "effect"
import { CURRENCIES } from "./Currency.ts"
import type { Tier } from "./Tier.ts"

/** How a database keeps a value: `money` takes two columns, an amount and a currency; everything else takes one. `json` keeps the order of members. */
export type Storage = "text" | "integer" | "boolean" | "uuid" | "json" | "money"

/** A type of value: how it is checked when it comes in, and how it is kept. */
export interface FieldType<A> {
  readonly schema: Schema.Codec<A>
  /** What a merge patch (RFC 7396) may send for it: of an object some members. */
  readonly patch?: Schema.Codec<Partial<A>>
  readonly storage: Storage
  readonly optional: boolean
  /** A value as it is kept: with `null` for every member that was not sent, in the order of the members. */
  readonly complete?: (value: A) => A
  /** What two ways of writing the same value have in common: by it they are compared and hashed. */
  readonly normalise?: (value: A) => string
}

/** A value with its tier. Only these can stand in a kind's `fields`, so a field without a tier does not compile. */
export interface Field<A, T extends Tier = Tier> extends FieldType<A> {
  readonly tier: T
}

export type Fields = Readonly<Record<string, Field<any>>>
export type FieldTypes = Readonly<Record<string, FieldType<any>>>
export type ValuesOf<F extends FieldTypes> = { readonly [K in keyof F]: F[K] extends FieldType<infer A> ? A : never }

/** JSON holds integers exactly up to here, and so does a payload that is passed through. */
export const MAX_INTEGER = Number.MAX_SAFE_INTEGER

// U+0000 cannot be kept by Postgres, a lone surrogate not by UTF-8: either would come back changed.
const storable = Schema.makeFilter<string>((text) =>
  text.includes("\u0000") ? "must not contain U+0000" : text.isWellFormed() ? undefined : "must not contain a lone surrogate", {
  // Of surrogates a pattern cannot speak: without its flag `u`, which JSON Schema only recommends, it would refuse every emoji.
  toJsonSchema: () => ({ pattern: "^[^\\u0000]*$" })
})

const text = (longest: number): FieldType<string> => ({
  schema: Schema.String.check(
    Schema.isMinCodePoints(1, { message: "must not be empty" }),
    Schema.isMaxCodePoints(longest, { message: `must have at most ${longest} characters` }),
    storable
  ),
  storage: "text",
  optional: false
})

export const integer = (minimum: number, maximum: number): FieldType<number> => ({
  schema: Schema.Number.check(
    Schema.makeFilter((n: number) =>
      Number.isInteger(n) && n >= minimum && n <= maximum ? undefined : `must be an integer from ${minimum} to ${maximum}`, {
      // By this name Effect knows that it is finite, and that JSON needs no texts for infinity.
      representation: { id: "effect/schema/isInt", payload: null },
      toJsonSchema: () => ({ type: "integer", minimum, maximum })
    })
  ),
  storage: "integer",
  optional: false
})

/** A difference: any integer but zero. */
export const Delta: FieldType<number> = {
  ...integer(-MAX_INTEGER, MAX_INTEGER),
  schema: integer(-MAX_INTEGER, MAX_INTEGER).schema.pipe(Schema.check(Schema.makeFilter((n: number) => n === 0 ? "must not be 0" : undefined, { toJsonSchema: () => ({ not: { const: 0 } }) })))
}

export const Text = text(200)
export const LongText = text(2_000)
export const Count = integer(0, MAX_INTEGER)

const Currency = Schema.String.check(
  Schema.makeFilter((code: string) => CURRENCIES.has(code) ? undefined : "must be a currency code of ISO 4217, such as EUR", { toJsonSchema: () => ({ enum: [...CURRENCIES] }) })
).annotate({ identifier: "Currency" })

export interface Money { readonly amount: number; readonly currency: string }
export const Money: FieldType<Money> = {
  schema: Schema.Struct({ amount: Count.schema, currency: Currency }).annotate({ identifier: "Money", description: "An amount in minor units, such as cents." }),
  patch: Schema.Struct({ amount: Schema.optionalKey(Count.schema), currency: Schema.optionalKey(Currency) }).annotate({ identifier: "MoneyPatch" }) as unknown as Schema.Codec<Partial<Money>>,
  storage: "money",
  optional: false
}

export const oneOf = <const L extends readonly string[]>(...values: L): FieldType<L[number]> => ({
  schema: Schema.Literals(values),
  storage: "text",
  optional: false
})

export const Flag: FieldType<boolean> = { schema: Schema.Boolean, storage: "boolean", optional: false }

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** The id of another entity. */
export const Reference: FieldType<string> = {
  schema: Schema.String.check(Schema.makeFilter((text: string) => UUID.test(text) ? undefined : "must be an id, a UUID", { toJsonSchema: () => ({ format: "uuid" }) })),
  storage: "uuid",
  optional: false,
  complete: (text) => text.toLowerCase()
}

// Something on both sides of an @ is all that can be said of an address without writing to it.
export const Email: FieldType<string> = {
  ...Text,
  schema: Text.schema.pipe(Schema.check(Schema.makeFilter((text: string) => /\S\s*@\s*\S/u.test(text) ? undefined : "must be an e-mail address, such as ada@example.org", { toJsonSchema: () => ({}) }))),
  normalise: (text) => text.normalize("NFC").trim().toLowerCase()
}

export const Phone: FieldType<string> = {
  ...Text,
  // How digits are grouped does not make another number.
  normalise: (text) => text.normalize("NFC").replace(/[\s().\-/]/gu, "").toLowerCase()
}

const completed = (type: FieldType<any>, value: unknown): unknown => value === undefined || value === null ? null : type.complete === undefined ? value : type.complete(value)

/** An object of named members; optional ones are `null` where they were not sent. */
export const record = <F extends FieldTypes>(identifier: string, members: F): FieldType<ValuesOf<F>> => {
  const of = (every: (type: FieldType<unknown>) => boolean) => Object.fromEntries(Object.entries(members).map(([name, type]) => [name, every(type) ? type.schema : Schema.optionalKey(type.schema)]))
  return {
    schema: Schema.Struct(of(({ optional }) => !optional)).annotate({ identifier }) as unknown as Schema.Codec<ValuesOf<F>>,
    patch: Schema.Struct(of(() => false)).annotate({ identifier: `${identifier}Patch` }) as unknown as Schema.Codec<Partial<ValuesOf<F>>>,
    storage: "json",
    optional: false,
    complete: (value) => Object.fromEntries(Object.entries(members).map(([name, type]) => [name, completed(type, (value as Record<string, unknown>)[name])])) as ValuesOf<F>
  }
}

export const listOf = <A>(item: FieldType<A>, least: number, most: number): FieldType<readonly A[]> => ({
  schema: Schema.Array(item.schema).check(Schema.makeFilter(
    (items) => items.length >= least && items.length <= most ? undefined : `must have ${least} to ${most} items`,
    { toJsonSchema: () => ({ minItems: least, maxItems: most }) }
  )) as unknown as Schema.Codec<readonly A[]>,
  storage: "json",
  optional: false,
  complete: (items) => items.map((one) => completed(item, one) as A)
})

/** A value that may be absent: `null` in an answer, and `null` or nothing at all in a request. */
export const optional = <A>(type: FieldType<A>): FieldType<A | null> => ({ ...type, schema: Schema.NullOr(type.schema), ...type.patch && { patch: Schema.NullOr(type.patch) }, optional: true } as unknown as FieldType<A | null>)

const withTier = <T extends Tier>(tier: T) => <A>(type: FieldType<A>): Field<A, T> => ({ ...type, tier })
export const tier1 = withTier(1)
export const tier2 = withTier(2)
export const tier3 = withTier(3)
