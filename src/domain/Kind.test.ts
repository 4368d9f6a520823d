import { inspect } from "node:util"
import { Redacted, Schema } from "effect"
import { describe, expect, test } from "vitest"
import { check } from "./check.ts"
import { Count, optional, record, Reference, Text, tier1, tier2, tier3 } from "./Field.ts"
import { defineKind, happened, indexOf, invalid, nothing, refused, reveal, SEALED } from "./Kind.ts"
import type { State, World } from "./Kind.ts"

const alone: World = { id: "n-1", find: () => undefined, granted: () => false }

const define = (secret: typeof tier1 | typeof tier2) =>
  defineKind<{ NoteMade: { text: string; hint: string | null; size: number }; NoteChanged: { text?: string; hint?: string | null }; NoteGone: object }>()({
    name: "note",
    plural: "notes",
    scope: "notes",
    fields: { text: tier1(Text), hint: secret(optional(Text)), size: tier1(Count) },
    unique: {},
    filters: ["size"],
    commands: {
      MakeNote: { at: "create", input: { text: Text, hint: optional(Text) }, batch: true },
      ChangeNote: { at: "change", input: { text: Text, hint: optional(Text) } },
      SealNote: { at: { action: "seals" }, input: {}, refuses: ["invalid"] },
      CountNote: { at: { action: "counts" }, input: {} },
      RemoveNote: { at: "delete", input: {} }
    },
    decide: {
      MakeNote: ({ text, hint }) => happened("NoteMade", { text, hint: hint ?? null, size: text.length }),
      ChangeNote: (wanted) => Object.keys(wanted).length === 0 ? nothing : happened("NoteChanged", wanted),
      SealNote: () => refused("invalid", "Notes are not sealed."),
      CountNote: () => invalid([{ pointer: "#/count", detail: "cannot be counted" }]),
      RemoveNote: () => happened("NoteGone", {})
    },
    evolve: { NoteMade: (made) => made, NoteChanged: (changes, note) => ({ ...note, ...changes }), NoteGone: () => null }
  })

describe("a kind", () => {
  test.each([[1, tier1], [2, tier2]] as const)("has the tier of its most sensitive field: %i", (tier, of) => {
    expect(define(of).tier).toBe(tier)
  })

  test("without personal fields keeps and shows its fields as they are", () => {
    const note = define(tier2)
    expect(note.personal).toBeNull()
    expect(note.kept).toBe(note.fields)
    expect(note.shown).toEqual(["text", "hint", "size"])
  })

  test("each command knows where it stands, what it takes, and what it is refused with; it touches nobody else unless it says so", () => {
    const { commands } = define(tier1)
    expect(Object.values(commands).map(({ name, at, takes, refuses, batch }) => [name, at, takes, refuses, batch])).toEqual([
      ["MakeNote", "create", ["text", "hint"], [], true], ["ChangeNote", "change", ["text", "hint"], [], false],
      ["SealNote", { action: "seals" }, [], ["invalid"], false], ["CountNote", { action: "counts" }, [], [], false], ["RemoveNote", "delete", [], [], false]
    ])
    for (const command of Object.values(commands)) expect(command.touches({}, null)).toEqual([])
    const takes = (command: string, input: unknown) => Schema.is(commands[command]!.input)(input)
    expect(takes("MakeNote", { text: "a" })).toBe(true)
    expect(takes("MakeNote", { hint: "a" })).toBe(false)
    // In a change every field may be left out, and none may be null but an optional one.
    expect(takes("ChangeNote", {})).toBe(true)
    expect(takes("ChangeNote", { hint: null })).toBe(true)
    expect(takes("ChangeNote", { text: null })).toBe(false)
  })

  test("a command that takes nothing refuses every member by its place, and what is no object", () => {
    const { input } = define(tier1).commands["SealNote"]!
    expect(check(input, {})).toEqual({ value: {} })
    expect(check(input, { note: "x", count: null })).toEqual({ faults: [{ pointer: "#/note", detail: "is not known here" }, { pointer: "#/count", detail: "is not known here" }] })
    for (const bad of [[], "x", 7, null]) expect(check(input, bad)).toMatchObject({ faults: [{ pointer: "#" }] })
  })

  test("a command answers an event, nothing, a refusal, or what is wrong; an event gives the state that follows, none after the last", () => {
    const note = define(tier1)
    const made = note.decide("MakeNote", { text: "abc" }, null, alone)
    expect(made).toEqual({ outcome: "happened", event: { type: "NoteMade", data: { text: "abc", hint: null, size: 3 } }, also: [], holds: [] })
    const state = note.evolve({ type: "NoteMade", data: { text: "abc", hint: null, size: 3 } }, null)
    expect(note.decide("ChangeNote", {}, state, alone)).toEqual({ outcome: "nothing" })
    expect(note.decide("SealNote", {}, state, alone)).toEqual({ outcome: "refused", problem: "invalid", detail: "Notes are not sealed." })
    expect(note.decide("CountNote", {}, state, alone)).toEqual({ outcome: "invalid", faults: [{ pointer: "#/count", detail: "cannot be counted" }] })
    expect(note.evolve({ type: "NoteChanged", data: { hint: "x" } }, state)).toEqual({ text: "abc", hint: "x", size: 3 })
    expect(note.evolve({ type: "NoteGone", data: {} }, state)).toBeNull()
  })
})

const Home = record("Home", { street: Text, floor: optional(Count), city: Text })
type Seen = { readonly input: State; readonly state: State; readonly world: World }
const seen: Seen[] = [], evolved: object[] = []

/** Somebody with a name, a home and a club; `decide` writes down what it saw. */
const member = defineKind<{ MemberJoined: { club: string; points: number }; MemberChanged: { club?: string }; PointsGiven: { points: number }; MemberForgotten: object; MemberLeft: object }>()({
  name: "member",
  plural: "members",
  scope: "members",
  fields: { points: tier1(Count), name: tier3(Text), club: tier2(Reference), home: tier3(optional(Home)) },
  personal: { subject: "club", reference: "nameRef", hashes: { nameHash: "name" }, lookups: ["name"] },
  unique: {},
  filters: [],
  commands: {
    Join: { at: "create", input: { club: Reference, name: Text, home: optional(Home) }, touches: ({ club }: { readonly club: string }) => [{ kind: define(tier1), ids: [club] }] },
    ChangeMember: { at: "change", input: { club: Reference, name: Text, home: optional(Home) } },
    Leave: { at: "delete", input: {} }
  },
  decide: {
    Join: (input, state, world) => {
      seen.push({ input, state, world })
      return happened("MemberJoined", { points: 0, club: input.club })
    },
    ChangeMember: (input, state, world) => {
      seen.push({ input, state, world })
      return happened("MemberChanged", input)
    },
    Leave: () => happened("MemberLeft", {})
  },
  evolve: {
    MemberJoined: (joined) => {
      evolved.push(joined)
      return joined
    },
    MemberChanged: (changes, state) => ({ ...state, ...changes }),
    PointsGiven: ({ points }, state) => ({ ...state, points: state.points + points }),
    MemberForgotten: (_, state) => state,
    MemberLeft: () => null
  }
})

const CLUB = "F47AC10B-58CC-4372-A567-0E02B2C3D479", club = CLUB.toLowerCase()
const home = { street: "Lindenstraße 1", floor: 3, city: "Köln" }
const hidden = (value: unknown) => Redacted.make(value)
const revealed = (state: State) => Object.fromEntries(Object.entries(state).map(([name, value]) => [name, reveal(value)]))
const JOINED = { points: 0, club }, SEAL = { [SEALED]: "sealed-1", nameRef: "ref-1" }
const DIGESTS = { nameHash: "hash-1", nameIndex: "index-1" }
const joined = { ...JOINED, ...SEAL, ...DIGESTS }

describe("a kind with personal fields", () => {
  test("keeps in their place digests, a reference, the blind index and one sealed text, and shows all but the last two", () => {
    expect(member.tier).toBe(3)
    expect(Object.keys(member.kept)).toEqual(["points", "club", "nameHash", "nameRef", "nameIndex", SEALED])
    expect(member.shown).toEqual(["points", "club", "nameHash", "nameRef"])
    expect(indexOf("name")).toBe("nameIndex")
    for (const name of ["nameHash", "nameRef", "nameIndex", SEALED]) expect(member.kept[name]).toMatchObject({ tier: 3, optional: true, storage: "text" })
    expect(member.kept["points"]).toBe(member.fields["points"])
  })

  test("knows which fields those are, whose, and how they are found", () => {
    expect(member.personal).toMatchObject({ subject: "club", reference: "nameRef", hashes: { nameHash: "name" }, lookups: ["name"] })
    expect(Object.keys(member.personal!.fields)).toEqual(["name", "home"])
  })

  test("has commands that say whom they touch", () => {
    expect(member.commands["Join"]!.touches({ club }, null)).toMatchObject([{ kind: { name: "note" }, ids: [club] }])
  })
})

describe("what was sent", () => {
  test("reaches a command complete, and hidden where it is personal", () => {
    const read = member.commands["Join"]!.read({ club: CLUB, name: "Ada", home: { city: "Köln", street: "Lindenstraße 1" } })
    expect(read["club"]).toBe(club)
    expect(Redacted.isRedacted(read["name"]) && Redacted.isRedacted(read["home"])).toBe(true)
    expect(JSON.stringify(revealed(read))).toBe(JSON.stringify({ club, name: "Ada", home: { street: "Lindenstraße 1", floor: null, city: "Köln" } }))
  })

  test("null stays null, hidden too", () => {
    expect(revealed(member.commands["Join"]!.read({ club, name: "Ada", home: null }))["home"]).toBeNull()
  })

  test("of a patch stays in pieces until it is merged, but whole values are complete", () => {
    expect(revealed(member.commands["ChangeMember"]!.read({ club: CLUB, home: { floor: 2 } }))).toEqual({ club, home: { floor: 2 } })
  })

  test("and is personal is not to be seen in whatever is printed of it", () => {
    const read = member.commands["Join"]!.read({ club, name: "Ada Lovelace", home })
    const printed = [JSON.stringify(read), inspect(read, { depth: 9, showHidden: true }), String(read["name"]), String(read["home"]), inspect(new Error("x", { cause: read }))]
    for (const text of printed) for (const secret of ["Ada", "Linden", "Köln"]) expect(text).not.toContain(secret)
    expect(printed[2]).toBe("<redacted:name>")
  })

  test("is given to decide with the state and the world, as they are", () => {
    const read = member.commands["Join"]!.read({ club, name: "Ada" })
    member.decide("Join", read, null, alone)
    expect(seen.pop()).toEqual({ input: read, state: null, world: alone })
  })
})

describe("a merge patch inside a personal field", () => {
  const state = { ...joined, name: hidden("Ada"), home: hidden(home) }
  const change = (sent: State, of: State = state) => member.decide("ChangeMember", member.commands["ChangeMember"]!.read(sent), of, alone)
  const merged = (sent: State, of: State = state): State => {
    const decision = change(sent, of)
    if (decision.outcome !== "happened") throw new Error(JSON.stringify(decision))
    return decision.event.data
  }

  test("leaves the members that were not sent, takes away those that are null, and keeps their order", () => {
    expect(JSON.stringify(reveal(merged({ home: { city: "Bonn" } })["home"]))).toBe(JSON.stringify({ street: "Lindenstraße 1", floor: 3, city: "Bonn" }))
    expect(reveal(merged({ home: { floor: null } })["home"])).toEqual({ street: "Lindenstraße 1", floor: null, city: "Köln" })
    expect(reveal(merged({ home: {} })["home"])).toEqual(home)
  })

  test("stays hidden", () => {
    const { home } = merged({ home: { city: "Bonn" } })
    expect(Redacted.isRedacted(home)).toBe(true)
    expect(inspect(home)).toBe("<redacted:home>")
  })

  test("null takes the whole away, and a value that has no members is replaced", () => {
    expect(revealed(merged({ home: null, name: "Grace" }))).toEqual({ home: null, name: "Grace" })
  })

  test("where there is none yet it has to be whole", () => {
    const homeless = { ...state, home: hidden(null) }
    expect(reveal(merged({ home: { street: "a", city: "b" } }, homeless)["home"])).toEqual({ street: "a", floor: null, city: "b" })
    expect(change({ home: { floor: 1 } }, homeless)).toEqual({ outcome: "invalid", faults: [
      { pointer: "#/home/street", detail: "is required" }, { pointer: "#/home/city", detail: "is required" }
    ] })
  })

  test("what is incomplete afterwards is not decided on", () => {
    seen.length = 0
    change({ name: "Grace", home: { floor: 1 } }, { ...state, home: hidden(null) })
    expect(seen).toEqual([])
  })
})

describe("a kept event", () => {
  const after = (type: string, data: State, state: State | null = joined) => member.evolve({ type, data }, state)

  test("that makes the entity leaves its sealed fields and their reference beside the rest; digests are not made here", () => {
    expect(after("MemberJoined", { ...JOINED, ...SEAL }, null)).toEqual({ ...JOINED, ...SEAL })
  })

  test("without sealed fields leaves those that stand, and their reference and digests", () => {
    expect(after("PointsGiven", { points: 5 })).toEqual({ ...joined, points: 5 })
  })

  test("with others replaces them and the reference", () => {
    const sealed = { [SEALED]: "sealed-2", nameRef: "ref-2" }
    expect(after("MemberChanged", sealed)).toEqual({ ...joined, ...sealed })
  })

  test("with null takes them away, and the reference with them", () => {
    const gone = { [SEALED]: null, nameRef: null }
    expect(after("MemberForgotten", gone)).toMatchObject({ ...JOINED, ...gone })
    // And what is gone stays gone.
    expect(after("PointsGiven", { points: 5 }, { ...joined, ...gone })).toMatchObject({ points: 5, ...gone })
  })

  test("folded onto a state without digests has null for them, never nothing", () => {
    expect(after("PointsGiven", { points: 5 }, { ...JOINED, ...SEAL })).toEqual({ ...JOINED, points: 5, ...SEAL, nameHash: null, nameIndex: null })
    expect(after("PointsGiven", { points: 5 }, { points: 0, club })).toMatchObject({ [SEALED]: null, nameRef: null })
  })

  test("does not show what is sealed to the kind's own evolve", () => {
    after("MemberJoined", { ...JOINED, ...SEAL }, null)
    expect(evolved.pop()).toEqual(JOINED)
  })

  test("that is the last leaves nothing", () => {
    expect(after("MemberLeft", {})).toBeNull()
  })
})

test("a kind with a field of tier 3 that does not say whose it is cannot be defined: it would be kept in the clear", () => {
  const fields = { name: tier3(Text) }
  expect(() => defineKind<{ Made: object }>()({ name: "person", plural: "people", scope: "people", fields, unique: {}, filters: [], commands: {}, decide: {}, evolve: { Made: () => ({}) } })).toThrow("tier 3")
})
