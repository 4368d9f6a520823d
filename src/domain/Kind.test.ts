import { Schema } from "effect"
import { expect, test } from "vitest"
import { Count, optional, Text, tier1, tier2, tier3 } from "./Field.ts"
import { defineKind, happened, nothing, refused } from "./Kind.ts"

const define = (secret: typeof tier1) =>
  defineKind<{ NoteMade: { text: string; hint: string | null; size: number }; NoteChanged: { text?: string; hint?: string | null }; NoteGone: object }>()({
    name: "note",
    plural: "notes",
    scope: "notes",
    fields: { text: tier1(Text), hint: secret(optional(Text)), size: tier1(Count) },
    unique: {},
    filters: ["size"],
    commands: {
      MakeNote: { at: "create", input: { text: Text, hint: optional(Text) } },
      ChangeNote: { at: "change", input: { text: Text, hint: optional(Text) } },
      SealNote: { at: { action: "seals" }, input: {} },
      RemoveNote: { at: "delete", input: {} }
    },
    decide: {
      MakeNote: ({ text, hint }) => happened("NoteMade", { text, hint: hint ?? null, size: text.length }),
      ChangeNote: (wanted) => Object.keys(wanted).length === 0 ? nothing : happened("NoteChanged", wanted),
      SealNote: () => refused("invalid", "Notes are not sealed."),
      RemoveNote: () => happened("NoteGone", {})
    },
    evolve: { NoteMade: (made) => made, NoteChanged: (changes, note) => ({ ...note, ...changes }), NoteGone: () => null }
  })

test.each([[1, tier1], [2, tier2], [3, tier3]] as const)("a kind has the tier of its most sensitive field: %i", (tier, of) => {
  expect(define(of).tier).toBe(tier)
})

test("each command knows where it stands, and what it takes", () => {
  const { commands } = define(tier1)
  expect(Object.values(commands).map(({ name, at }) => [name, at])).toEqual([
    ["MakeNote", "create"], ["ChangeNote", "change"], ["SealNote", { action: "seals" }], ["RemoveNote", "delete"]
  ])
  const takes = (command: string, input: unknown) => Schema.is(commands[command]!.input)(input)
  expect(takes("MakeNote", { text: "a" })).toBe(true)
  expect(takes("MakeNote", { hint: "a" })).toBe(false)
  // In a change every field may be left out, and none may be null but an optional one.
  expect(takes("ChangeNote", {})).toBe(true)
  expect(takes("ChangeNote", { hint: null })).toBe(true)
  expect(takes("ChangeNote", { text: null })).toBe(false)
})

test("a command answers an event, nothing, or a refusal; an event gives the state that follows, none after the last", () => {
  const note = define(tier1)
  const made = note.decide("MakeNote", { text: "abc" }, null)
  expect(made).toEqual({ outcome: "happened", event: { type: "NoteMade", data: { text: "abc", hint: null, size: 3 } } })
  const state = note.evolve({ type: "NoteMade", data: { text: "abc", hint: null, size: 3 } }, null)
  expect(note.decide("ChangeNote", {}, state)).toEqual({ outcome: "nothing" })
  expect(note.decide("SealNote", {}, state)).toEqual({ outcome: "refused", problem: "invalid", detail: "Notes are not sealed." })
  expect(note.evolve({ type: "NoteChanged", data: { hint: "x" } }, state)).toEqual({ text: "abc", hint: "x", size: 3 })
  expect(note.evolve({ type: "NoteGone", data: {} }, state)).toBeNull()
})
