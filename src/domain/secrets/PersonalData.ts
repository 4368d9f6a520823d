import { Context, Effect, Layer, Redacted } from "effect"
import { SEALED, indexOf, reveal } from "../Kind.ts"
import type { AnyEvent, Kind, Personal, State } from "../Kind.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { Deleted } from "../Refusal.ts"
import { Keyring } from "./Keyring.ts"
import { SubjectKeys } from "./SubjectKeys.ts"
import type { SubjectKey } from "./SubjectKeys.ts"

/** An event and the state after it, as they are kept. */
export interface Guarded { readonly event: AnyEvent; readonly after: State | null }

type Access<A> = Effect.Effect<A, DatabaseUnavailable | Deleted>

/** Personal fields on their way in and out: sealed under the person's own key, hidden from whatever prints, hashed under keys of their own. */
export class PersonalData extends Context.Service<PersonalData, {
  /** A kept state with its personal fields, hidden. Fails where the person was erased. */
  readonly open: (kind: Kind, id: string, state: State) => Access<State>
  /** As `open`, for somebody who looks at it: a person who was erased is not opened with a key that this process still holds. */
  readonly disclose: (kind: Kind, id: string, state: State) => Access<State>
  /** What `decide` answered, as it is kept. `before` is what `decide` saw: personal fields that the event leaves alone come from there. Fails where the person was erased. */
  readonly guard: (kind: Kind, id: string, event: AnyEvent, before: State | null) => Access<Guarded>
  /** A state folded from events, with its digests. Fails where the person was erased, at once. */
  readonly digested: (kind: Kind, id: string, state: State) => Access<State>
  /** The blind index of a value. */
  readonly lookup: (kind: Kind, field: string, value: string) => string
  /** Nothing was made under this id after all: a person's key that was made for it is taken back. */
  readonly abandon: (kind: Kind, id: string) => Effect.Effect<void>
}>()("holdfast/secrets/PersonalData") {
  static readonly layer = Layer.effect(PersonalData, make())
}

function make() {
  return Effect.gen(function*() {
    const keyring = yield* Keyring, keys = yield* SubjectKeys

    const subjectOf = ({ subject }: Personal, id: string, state: State): string => subject === "id" ? id : state[subject] as string
    const placeOf = (kind: Kind, id: string) => `${kind.name} ${id}`

    const keyOf = Effect.fnUntraced(function*(personal: Personal, id: string, state: State): Effect.fn.Return<SubjectKey, DatabaseUnavailable | Deleted> {
      return (yield* keys.find(subjectOf(personal, id, state))) ?? (yield* new Deleted())
    })

    /** The personal fields that are kept, in the clear. */
    const opened = Effect.fnUntraced(function*(kind: Kind, personal: Personal, id: string, state: State): Effect.fn.Return<State, DatabaseUnavailable | Deleted> {
      const sealed = state[SEALED] as string | null
      if (sealed === null) return Object.fromEntries(Object.keys(personal.fields).map((name) => [name, null]))
      const plain = (yield* keyOf(personal, id, state)).open(Buffer.from(sealed, "base64url"), placeOf(kind, id))
      // Under another key than the person's: nothing that the service has written.
      if (plain === null) return yield* Effect.die(new Error(`the personal data of a ${kind.name} cannot be opened`))
      return JSON.parse(Buffer.from(plain).toString()) as State
    })

    /** The keys that are held for a while do not say it. */
    const notErased = Effect.fnUntraced(function*(personal: Personal, id: string, state: State): Effect.fn.Return<void, DatabaseUnavailable | Deleted> {
      if (yield* keys.isErased(subjectOf(personal, id, state))) return yield* new Deleted()
    })

    const digest = (kind: Kind, { fields }: Personal, purpose: string, field: string, value: unknown): string | null =>
      value === null ? null : keyring.digest(`${purpose} ${kind.name}.${field}`, fields[field]!.normalise!(value))

    const digestsOf = (kind: Kind, personal: Personal, values: State): State => ({
      ...Object.fromEntries(Object.entries(personal.hashes).map(([name, field]) => [name, digest(kind, personal, "hash", field, values[field])])),
      ...Object.fromEntries(personal.lookups.map((field) => [indexOf(field), digest(kind, personal, "lookup", field, values[field])]))
    })

    const open = Effect.fnUntraced(function*(kind: Kind, id: string, state: State): Effect.fn.Return<State, DatabaseUnavailable | Deleted> {
      if (kind.personal === null) return state
      const values = yield* opened(kind, kind.personal, id, state)
      return { ...state, ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Redacted.make(value, { label: name })])) }
    })

    return PersonalData.of({
      open,

      disclose: (kind, id, state) => Effect.andThen(notErased(kind.personal!, id, state), open(kind, id, state)),

      guard: Effect.fnUntraced(function*(kind, id, event, before) {
        const { personal } = kind
        const standing = before === null || personal === null ? before : Object.fromEntries(Object.entries(before).filter(([name]) => name in kind.kept))
        const sent = personal === null ? [] : Object.entries(event.data).filter(([name]) => name in personal.fields)
        if (personal === null || sent.length === 0) return { event, after: kind.evolve(event, standing) }
        const rest = Object.fromEntries(Object.entries(event.data).filter(([name]) => !(name in personal.fields)))
        const values = Object.fromEntries(Object.keys(personal.fields).map((name) => [name, reveal((name in event.data ? event.data : before ?? {})[name]) ?? null]))
        const nothing = Object.values(values).every((value) => value === null)
        const subject = subjectOf(personal, id, { ...before, ...rest })
        const seal = Effect.fnUntraced(function*(): Effect.fn.Return<State, DatabaseUnavailable | Deleted> {
          const key = (yield* personal.subject === "id" ? keys.make(subject) : keys.find(subject)) ?? (yield* new Deleted())
          return {
            [SEALED]: Buffer.from(key.seal(Buffer.from(JSON.stringify(values)), placeOf(kind, id))).toString("base64url"),
            // Sealed anew with every change of what it leads to, so it is random, and tells nothing.
            [personal.reference]: Buffer.from(keyring.seal("reference", Buffer.from(placeOf(kind, id)), kind.name)).toString("base64url")
          }
        })
        const kept: AnyEvent = { type: event.type, data: { ...rest, ...nothing ? { [SEALED]: null, [personal.reference]: null } : yield* seal() } }
        const after = kind.evolve(kept, standing)
        return { event: kept, after: after === null ? null : { ...after, ...digestsOf(kind, personal, values) } }
      }),

      digested: Effect.fnUntraced(function*(kind, id, state) {
        const { personal } = kind
        if (personal === null || Object.keys(personal.hashes).length + personal.lookups.length === 0) return state
        yield* notErased(personal, id, state)
        return { ...state, ...digestsOf(kind, personal, yield* opened(kind, personal, id, state)) }
      }),

      lookup: (kind, field, value) => digest(kind, kind.personal!, "lookup", field, value)!,

      // A key that stays behind seals nothing.
      abandon: (kind, id) => kind.personal?.subject === "id" ? Effect.ignore(keys.discard(id)) : Effect.void
    })
  })
}
