import { Schema } from "effect"
import type { Fields, FieldTypes, ValuesOf } from "./Field.ts"
import type { Problem } from "./Problem.ts"
import type { Tier } from "./Tier.ts"

/** What may be written to an entity: where the command stands in the HTTP interface, and what it takes. */
export interface CommandType<I extends FieldTypes> {
  /** `create`: POST on the kind; `change`: PATCH on the entity; `delete`: DELETE; `{ action }`: POST on a sub-resource. */
  readonly at: "create" | "change" | "delete" | { readonly action: string }
  readonly input: I
  /** What `decide` can refuse it with. A value that is taken is not named: `unique` does that. */
  readonly refuses?: readonly Problem[]
}

type Tagged<T extends Readonly<Record<string, unknown>>> = { [N in keyof T & string]: { readonly type: N; readonly data: T[N] } }[keyof T & string]

/** A fact about one entity, in the past tense. */
export interface AnyEvent { readonly type: string; readonly data: Readonly<Record<string, unknown>> }

/** A command's answer: an event, nothing (the state is already so), or a refusal, which changes nothing. */
export type Decision<E> =
  | { readonly outcome: "happened"; readonly event: E }
  | { readonly outcome: "nothing" }
  | { readonly outcome: "refused"; readonly problem: Problem; readonly detail: string }

export const nothing: Decision<never> = { outcome: "nothing" }
export const refused = (problem: Problem, detail: string): Decision<never> => ({ outcome: "refused", problem, detail })
export const happened = <const T extends string, const D>(type: T, data: D): Decision<{ readonly type: T; readonly data: D }> =>
  ({ outcome: "happened", event: { type, data } })

interface Shape<F extends Fields, C extends Readonly<Record<string, FieldTypes>>, E extends Readonly<Record<string, object>>> {
  /** Singular; in keys, paths of operators and events. */
  readonly name: string
  /** In the paths of the HTTP interface. */
  readonly plural: string
  /** Scopes are `<scope>:read` and `<scope>:write`. */
  readonly scope: string
  readonly fields: F
  /** Fields whose value only one living entity may have, and the problem of a second one. */
  readonly unique: { readonly [K in keyof F]?: Problem }
  /** Fields by which a list can be narrowed. */
  readonly filters: readonly (keyof F & string)[]
  readonly commands: { readonly [N in keyof C]: CommandType<C[N]> }
  /** Pure: what follows from a command in a state. A create sees no state. A command of type `change` has the given fields only. */
  readonly decide: { readonly [N in keyof C]: (input: InputOf<C[N]>, state: ValuesOf<F>) => Decision<Tagged<E>> }
  /** Pure: the state after an event; null once the entity is deleted. The first event sees no state. */
  readonly evolve: { readonly [N in keyof E]: (data: E[N], state: ValuesOf<F>) => ValuesOf<F> | null }
}

/** Optional fields that were not sent arrive as `undefined`; a `change` has every field like that. */
export type InputOf<I extends FieldTypes> = ValuesOf<I>

export type State = Readonly<Record<string, unknown>>

/** A kind as the machinery sees it. */
export interface Kind {
  readonly name: string
  readonly plural: string
  readonly scope: string
  readonly tier: Tier
  readonly fields: Fields
  readonly unique: Readonly<Record<string, Problem | undefined>>
  readonly filters: readonly string[]
  readonly commands: Readonly<Record<string, Command>>
  readonly decide: (command: string, input: State, state: State | null) => Decision<AnyEvent>
  readonly evolve: (event: AnyEvent, state: State | null) => State | null
}

export interface Command {
  readonly name: string
  readonly at: CommandType<FieldTypes>["at"]
  readonly input: Schema.Codec<State>
  /** The names of its input. */
  readonly takes: readonly string[]
  readonly refuses: readonly Problem[]
}

const inputSchema = (command: CommandType<FieldTypes>): Schema.Codec<State> =>
  Schema.Struct(Object.fromEntries(Object.entries(command.input).map(([name, type]) =>
    [name, command.at === "change" ? Schema.optionalKey(type.patch ?? type.schema) : type.optional ? Schema.optionalKey(type.schema) : type.schema]
  ))) as unknown as Schema.Codec<State>

/** RFC 7396: members that were sent of an object go into the one that stands. */
const merged = (fields: Fields, patch: State, state: State): State =>
  Object.fromEntries(Object.entries(patch).map(([name, value]) =>
    [name, fields[name]!.patch === undefined ? value : { ...state[name] as object, ...value as object }]))

/** A kind of entity, from one description; its events are given as types: `defineKind<{ ProductCreated: {…} }>()({ … })`. */
export const defineKind = <E extends Readonly<Record<string, object>>>() =>
  <const F extends Fields, C extends Readonly<Record<string, FieldTypes>>>(shape: Shape<F, C, E>): Kind => {
    const { decide, evolve } = shape as unknown as {
      decide: Record<string, (input: State, state: State | null) => Decision<AnyEvent>>
      evolve: Record<string, (data: State, state: State | null) => State | null>
    }
    return {
      name: shape.name,
      plural: shape.plural,
      scope: shape.scope,
      tier: Math.max(...Object.values(shape.fields).map((field) => field.tier)) as Tier,
      fields: shape.fields,
      unique: shape.unique as Readonly<Record<string, Problem | undefined>>,
      filters: shape.filters,
      commands: Object.fromEntries(Object.entries<CommandType<FieldTypes>>(shape.commands).map(([name, command]) =>
        [name, { name, at: command.at, input: inputSchema(command), takes: Object.keys(command.input), refuses: command.refuses ?? [] }])),
      decide: (command, input, state) => decide[command]!(shape.commands[command]!.at === "change" ? merged(shape.fields, input, state!) : input, state),
      evolve: (event, state) => evolve[event.type]!(event.data, state)
    }
  }
