import { Schema } from "effect"
import { CURRENCIES } from "./Currency.ts"
import type { Tier } from "./Tier.ts"

/** How a database keeps a value: `money` takes two columns, an amount and a currency; everything else takes one. */
export type Storage = "text" | "integer" | "money"

/** A type of value: how it is checked when it comes in, and how it is kept. */
export interface FieldType<A> {
  readonly schema: Schema.Codec<A>
  /** What a merge patch (RFC 7396) may send for it: of an object some members. */
  readonly patch?: Schema.Codec<Partial<A>>
  readonly storage: Storage
  readonly optional: boolean
}

/** A value with its tier. Only these can stand in a kind's `fields`, so a field without a tier does not compile. */
export interface Field<A> extends FieldType<A> {
  readonly tier: Tier
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

/** A value that may be absent: `null` in an answer, and `null` or nothing at all in a request. */
export const optional = <A>(type: FieldType<A>): FieldType<A | null> => ({ ...type, schema: Schema.NullOr(type.schema), optional: true })

const withTier = (tier: Tier) => <A>(type: FieldType<A>): Field<A> => ({ ...type, tier })
export const tier1 = withTier(1)
export const tier2 = withTier(2)
export const tier3 = withTier(3)
