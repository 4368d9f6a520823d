import type { JsonSchema } from "./Operation.ts"

/** What of a schema is read here. */
interface Known {
  readonly $ref?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly type?: string
  readonly format?: string
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly allOf?: readonly JsonSchema[]
  readonly not?: JsonSchema
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly default?: unknown
}

const range = (from: number | undefined, to: number | undefined, unit: string): readonly string[] =>
  from === undefined ? [] : to === undefined ? [`at least ${from}${unit}`] : [`${from} to ${to}${unit}`]

const text = (value: unknown) => JSON.stringify(value)

export const nameIn = (reference: string): string => reference.slice(reference.lastIndexOf("/") + 1)

/** A schema in words: `integer, 1 to 200`, `text, 1 to 200 characters, or null`, `list of Product`. */
export const typeOf = (schema: JsonSchema): string => {
  const known = schema as Known
  if (known.$ref !== undefined) return nameIn(known.$ref)
  if (known.const !== undefined) return text(known.const)
  const choices = known.anyOf ?? known.oneOf
  if (choices !== undefined) return choices.map(typeOf).join(", or ")
  return [
    ...known.enum !== undefined ? [`one of ${known.enum.map(text).join(", ")}`]
      : known.items !== undefined ? [`list of ${typeOf(known.items)}`]
      : known.type !== undefined ? [known.type === "string" ? "text" : known.type] : [],
    ...known.format === undefined ? [] : [known.format],
    ...range(known.minimum, known.maximum, ""),
    ...range(known.minLength, known.maxLength, " characters"),
    ...range(known.minItems, known.maxItems, " items"),
    ...(known.allOf ?? []).map(typeOf),
    ...known.not === undefined ? [] : [`not ${typeOf(known.not)}`],
    ...known.default === undefined ? [] : [`${text(known.default)} if not sent`]
  ].join(", ") || "anything"
}

export interface Member { readonly name: string; readonly type: string; readonly required: boolean }

/** The members of an object, and below them those of the objects in it: `lines[].quantity`. */
export const membersOf = (schema: JsonSchema, above = ""): readonly Member[] => {
  const { items, anyOf = [], properties = {}, required = [] } = schema as Known
  return [
    ...items === undefined ? [] : membersOf(items, `${above}[]`),
    ...anyOf.flatMap((choice) => membersOf(choice, above)),
    ...Object.entries(properties).flatMap(([name, member]) => {
      const path = above === "" ? name : `${above}.${name}`
      return [{ name: path, type: typeOf(member), required: required.includes(name) }].concat(membersOf(member, path))
    })
  ]
}
