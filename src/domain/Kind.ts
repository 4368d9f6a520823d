import { Redacted, Schema } from "effect"
import type { Fault } from "./check.ts"
import { check } from "./check.ts"
import { optional, Text } from "./Field.ts"
import type { Field, Fields, FieldTypes, ValuesOf } from "./Field.ts"
import type { Problem } from "./Problem.ts"
import type { Tier } from "./Tier.ts"

/** What may be written to an entity: where the command stands in the HTTP interface, and what it takes. */
export interface CommandType<I extends FieldTypes> {
  /**
   * `create`: POST on the kind; `change`: PATCH on the entity; `delete`: DELETE; `erase`: DELETE of a person, with a
   * certificate; `scrub`: no request, but what the erasure of its person does to the entity; `{ action }`: POST on a sub-resource.
   */
  readonly at: "create" | "change" | "delete" | "erase" | "scrub" | { readonly action: string }
  readonly input: I
  /** What `decide` can refuse it with. A value that is taken is not named: `unique` does that. */
  readonly refuses?: readonly Problem[]
  /** Whether many can be sent at once, each for itself. */
  readonly batch?: boolean
  /** Other entities that it is decided on. An entity that the command changes stands here too. */
  touches?(input: State, state: State): readonly Touched[]
}

export interface Touched { readonly kind: Kind; readonly ids: readonly string[] }

type Tagged<T extends Readonly<Record<string, unknown>>> = { [N in keyof T & string]: { readonly type: N; readonly data: T[N] } }[keyof T & string]

/** A fact about one entity, in the past tense. */
export interface AnyEvent { readonly type: string; readonly data: Readonly<Record<string, unknown>> }

/** What else a command does: at most one event of each other entity. */
export interface Effects {
  readonly also?: readonly { readonly kind: Kind; readonly id: string; readonly event: AnyEvent }[]
  /** Entities that must not be deleted while the command is committed. */
  readonly holds?: readonly { readonly kind: Kind; readonly id: string }[]
}

/** A command's answer: an event, nothing (the state is already so), a refusal, or what is wrong with it; the last two change nothing. */
export type Decision<E> =
  | { readonly outcome: "happened"; readonly event: E; readonly also: NonNullable<Effects["also"]>; readonly holds: NonNullable<Effects["holds"]> }
  | { readonly outcome: "nothing" }
  | { readonly outcome: "refused"; readonly problem: Problem; readonly detail: string }
  | { readonly outcome: "invalid"; readonly faults: readonly Fault[] }

export const nothing: Decision<never> = { outcome: "nothing" }
export const refused = (problem: Problem, detail: string): Decision<never> => ({ outcome: "refused", problem, detail })
export const invalid = (faults: readonly Fault[]): Decision<never> => ({ outcome: "invalid", faults })
export const happened = <const T extends string, const D>(type: T, data: D, { also = [], holds = [] }: Effects = {}): Decision<{ readonly type: T; readonly data: D }> =>
  ({ outcome: "happened", event: { type, data }, also, holds })

export type State = Readonly<Record<string, unknown>>

/** Another entity as a command finds it. `state` is null once it is deleted; of personal fields it has nothing. */
export interface Other { readonly version: number; readonly state: State | null }

/** What a command is decided on beside its input and its entity's state. */
export interface World {
  /** Of the entity itself. */
  readonly id: string
  /** Undefined where there is no such entity, or it was not named by `touches`. */
  readonly find: (kind: Kind, id: string) => Other | undefined
  /** Whether who sent the command has a scope. */
  readonly granted: (scope: string) => boolean
}

/** How the personal fields (tier 3) of a kind are kept. */
interface PersonalShape<F extends Fields> {
  /** Whose data they are: the entity's own id, or a field with the id of the person. */
  readonly subject: "id" | (keyof F & string)
  /** The field under which `GET` shows that there are any: an opaque, random text that leads to them. */
  readonly reference: string
  /** Fields with keyed digests, and of what. */
  readonly hashes: Readonly<Record<string, keyof F & string>>
  /** Fields by which the person can be found, through a blind index. */
  readonly lookups: readonly (keyof F & string)[]
}

/** Personal fields reach `decide` hidden: nothing prints them. */
type Hidden<F extends FieldTypes, P extends Fields> = { readonly [K in keyof F]: K extends keyof P ? P[K]["tier"] extends 3 ? Redacted.Redacted<ValuesOf<F>[K]> : ValuesOf<F>[K] : ValuesOf<F>[K] }

interface Shape<F extends Fields, C extends Readonly<Record<string, FieldTypes>>, E extends Readonly<Record<string, object>>> {
  /** Singular; in keys, paths of operators and events. */
  readonly name: string
  /** In the paths of the HTTP interface. */
  readonly plural: string
  /** Scopes are `<scope>:read` and `<scope>:write`. */
  readonly scope: string
  readonly fields: F
  /** Needed where a field is of tier 3. */
  readonly personal?: PersonalShape<F>
  /** Fields whose value only one living entity may have, and the problem of a second one. */
  readonly unique: { readonly [K in keyof F]?: Problem }
  /** Fields by which a list can be narrowed. */
  readonly filters: readonly (keyof F & string)[]
  readonly commands: { readonly [N in keyof C]: CommandType<C[N]> }
  /** Pure: what follows from a command in a state. A create sees no state. A command of type `change` has the given fields only. */
  readonly decide: { readonly [N in keyof C]: (input: Hidden<C[N], F>, state: Hidden<F, F>, world: World) => Decision<Tagged<E>> }
  /** Pure: the state after an event; null once the entity is deleted. The first event sees no state. Personal fields are not there: they are kept beside. */
  readonly evolve: { readonly [N in keyof E]: (data: E[N], state: ValuesOf<F>) => object | null }
}

/** How personal fields are kept: the machinery's view. */
export interface Personal {
  readonly subject: string
  readonly reference: string
  readonly hashes: Readonly<Record<string, string>>
  readonly lookups: readonly string[]
  /** The personal fields themselves. */
  readonly fields: Fields
}

/** In a row and in an event: the personal fields, sealed under the person's key; null where there are none. */
export const SEALED = "personal"
/** The blind index of a field that a person can be looked up by. */
export const indexOf = (field: string): string => `${field}Index`

/** A kind as the machinery sees it. */
export interface Kind {
  readonly name: string
  readonly plural: string
  readonly scope: string
  readonly tier: Tier
  /** As declared. */
  readonly fields: Fields
  readonly personal: Personal | null
  /** What a row keeps, and in which order: of personal fields the reference, the digests, the blind index and what is sealed. */
  readonly kept: Fields
  /** What `GET` shows of that, in order. */
  readonly shown: readonly string[]
  readonly unique: Readonly<Record<string, Problem | undefined>>
  readonly filters: readonly string[]
  readonly commands: Readonly<Record<string, Command>>
  /** `state` has the personal fields too, hidden, if the command takes any. */
  readonly decide: (command: string, input: State, state: State | null, world: World) => Decision<AnyEvent>
  /** Folds an event as it is kept. Digests and blind index are not made here: they need keys. */
  readonly evolve: (event: AnyEvent, state: State | null) => State | null
}

export interface Command {
  readonly name: string
  readonly at: CommandType<FieldTypes>["at"]
  readonly input: Schema.Codec<State>
  /** The names of its input. */
  readonly takes: readonly string[]
  readonly refuses: readonly Problem[]
  readonly batch: boolean
  readonly touches: (input: State, state: State | null) => readonly Touched[]
  /** What was sent, as `decide` takes it: complete, and hidden where it is personal. */
  readonly read: (input: State) => State
}

/** A struct without members would take whatever is sent. */
const Nothing = Schema.Record(Schema.String, Schema.Never.annotate({ message: "is not known here" }))

const inputSchema = (command: CommandType<FieldTypes>): Schema.Codec<State> => {
  const members = Object.entries(command.input).map(([name, type]) =>
    [name, command.at === "change" ? Schema.optionalKey(type.patch ?? type.schema) : type.optional ? Schema.optionalKey(type.schema) : type.schema])
  return (members.length === 0 ? Nothing : Schema.Struct(Object.fromEntries(members))) as unknown as Schema.Codec<State>
}

export const reveal = (value: unknown): unknown => Redacted.isRedacted(value) ? Redacted.value(value) : value
const isPersonal = (fields: Fields, name: string) => fields[name]?.tier === 3
const hide = (fields: Fields, name: string, value: unknown): unknown => isPersonal(fields, name) ? Redacted.make(value, { label: name }) : value
const mapValues = (of: State, by: (name: string, value: unknown) => unknown): State => Object.fromEntries(Object.entries(of).map(([name, value]) => [name, by(name, value)]))
const completed = (type: FieldTypes[string], value: unknown): unknown => value === null || type.complete === undefined ? value : type.complete(value)

/** RFC 7396: members that were sent of an object go into the one that stands. What is then not whole is a fault. */
const merged = (fields: Fields, patch: State, state: State): { readonly input: State } | { readonly faults: readonly Fault[] } => {
  const faults: Fault[] = []
  const input = mapValues(patch, (name, sent) => {
    const field = fields[name]!, value = reveal(sent)
    if (field.patch === undefined || value === null) return sent
    const whole = { ...reveal(state[name]) as object, ...value as object }
    const checked = check(field.schema, whole, `#/${name}`)
    if ("faults" in checked) faults.push(...checked.faults)
    else return hide(fields, name, completed(field, checked.value))
    return sent
  })
  return faults.length > 0 ? { faults } : { input }
}

/** That of what its entry shows. Personal fields of somebody else, such as an order's address, are not in it, unless by digests. */
const tierOf = (fields: Fields, personal: Personal | null): Tier => {
  const isBeside = personal !== null && personal.subject !== "id" && Object.keys(personal.hashes).length === 0
  return Math.max(...Object.values(fields).map(({ tier }) => isBeside ? Math.min(tier, 2) : tier)) as Tier
}

const text = (tier: Tier): Field<string | null> => ({ ...optional(Text), tier })

/** What a row keeps: the personal fields give way to what may stand in their place. */
const keptOf = (fields: Fields, personal: Personal | null): { readonly kept: Fields; readonly shown: readonly string[] } => {
  if (personal === null) return { kept: fields, shown: Object.keys(fields) }
  const shown = {
    ...Object.fromEntries(Object.entries(fields).filter(([, { tier }]) => tier < 3)),
    ...Object.fromEntries(Object.keys(personal.hashes).map((name) => [name, text(3)])),
    [personal.reference]: text(3)
  }
  return {
    kept: { ...shown, ...Object.fromEntries(personal.lookups.map((name) => [indexOf(name), text(3)])), [SEALED]: text(3) },
    shown: Object.keys(shown)
  }
}

/** A kind of entity, from one description; its events are given as types: `defineKind<{ ProductCreated: {…} }>()({ … })`. */
export const defineKind = <E extends Readonly<Record<string, object>>>() =>
  <const F extends Fields, C extends Readonly<Record<string, FieldTypes>>>(shape: Shape<F, C, E>): Kind => {
    const { fields, commands } = shape
    const { decide, evolve } = shape as unknown as {
      decide: Record<string, (input: State, state: State | null, world: World) => Decision<AnyEvent>>
      evolve: Record<string, (data: State, state: State | null) => State | null>
    }
    const personal = shape.personal === undefined ? null
      : { ...shape.personal, fields: Object.fromEntries(Object.entries(fields).filter(([, { tier }]) => tier === 3)) }
    if (personal === null && Object.values(fields).some(({ tier }) => tier === 3)) throw new Error(`the kind ${shape.name} has fields of tier 3, and does not say whose they are: it needs "personal"`)
    const { kept, shown } = keptOf(fields, personal)
    const beside = personal === null ? [] : Object.keys(kept).filter((name) => !(name in fields))

    return {
      name: shape.name,
      plural: shape.plural,
      scope: shape.scope,
      tier: tierOf(fields, personal),
      fields,
      personal,
      kept,
      shown,
      unique: shape.unique as Readonly<Record<string, Problem | undefined>>,
      filters: shape.filters,
      commands: Object.fromEntries(Object.entries<CommandType<FieldTypes>>(commands).map(([name, command]) => [name, {
        name,
        at: command.at,
        input: inputSchema(command),
        takes: Object.keys(command.input),
        refuses: command.refuses ?? [],
        batch: command.batch ?? false,
        touches: (input, state) => command.touches?.(input, state!) ?? [],
        // A patch is whole only once it is merged.
        read: (input) => mapValues(input, (field, value) =>
          hide(fields, field, command.at === "change" && command.input[field]!.patch !== undefined ? value : completed(command.input[field]!, value)))
      }])),
      decide: (command, sent, state, world) => {
        // Done before: an erasure repeats its steps.
        if (commands[command]!.at === "scrub" && state![SEALED] === null) return nothing
        const ready = commands[command]!.at === "change" ? merged(fields, sent, state!) : { input: sent }
        return "faults" in ready ? { outcome: "invalid", faults: ready.faults } : decide[command]!(ready.input, state, world)
      },
      evolve: (event, state) => {
        if (personal === null) return evolve[event.type]!(event.data, state)
        const { [SEALED]: sealed, [personal.reference]: reference, ...data } = event.data
        const after = evolve[event.type]!(data, state)
        if (after === null) return null
        const carried = Object.fromEntries(beside.map((name) => [name, state?.[name] ?? null]))
        return { ...after, ...sealed === undefined ? carried : { [personal.reference]: reference, [SEALED]: sealed } }
      }
    }
  }
