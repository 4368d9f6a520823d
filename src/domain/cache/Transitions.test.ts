import { Effect } from "effect"
import { expect, test } from "vitest"
import { Transitions } from "./Transitions.ts"

const open = (most?: number) => Effect.runSync(Effect.provide(Transitions, Transitions.layer({ process: "7@here", ...most === undefined ? {} : { most } })))
const key = (text: string) => ({ text, partition: 0 })

test("a key's transitions are told oldest first, with the time, who, which version, what came of it, and which process", () => {
  const { record, of } = open(), began = Date.now()
  record(key("a"), "lease", null, "given")
  record(key("b"), "store", 1, "stored")
  record(key("a"), "fill", 3, "older")
  expect(of(key("a"))).toMatchObject([{ by: "lease", versionId: null, outcome: "given", process: "7@here" }, { by: "fill", versionId: 3, outcome: "older", process: "7@here" }])
  for (const { at } of of(key("a"))) {
    expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(Math.abs(Date.parse(at) - began)).toBeLessThan(60_000)
  }
  expect(of(key("c"))).toEqual([])
})

test("of puts the version is read from the header", () => {
  const { puts, of } = open()
  const value = Buffer.from(`1${"0".repeat(12)}${(300).toString(16).padStart(14, "0")}${"0".repeat(18)}e{}`)
  puts("replay", [{ key: key("a"), value, lease: null, ttlMilliseconds: 1 }, { key: key("b"), value, lease: null, ttlMilliseconds: 1 }], ["stored", "absent"])
  expect([of(key("a")), of(key("b"))]).toMatchObject([[{ by: "replay", versionId: 300, outcome: "stored" }], [{ versionId: 300, outcome: "absent" }]])
})

test("of one key the last twenty are kept, however often it is moved, and those of the others stay", () => {
  const { record, of } = open(30)
  record(key("quiet"), "fill", 1, "stored")
  for (let version = 1; version <= 100; version++) record(key("busy"), "store", version, "stored")
  expect(of(key("busy")).map(({ versionId }) => versionId)).toEqual(Array.from({ length: 20 }, (_, i) => 81 + i))
  expect(of(key("quiet"))).toHaveLength(1)
})

test("over all keys so many are kept: the key that was moved longest ago goes first", () => {
  const { record, of } = open(4)
  for (const text of ["a", "a", "b", "c", "a", "d"]) record(key(text), "store", 1, "stored")
  expect(["a", "b", "c", "d"].map((text) => of(key(text)).length)).toEqual([3, 0, 0, 1])
  for (let i = 0; i < 4; i++) record(key(`e${i}`), "store", 1, "stored")
  expect(["a", "d", "e0", "e3"].map((text) => of(key(text)).length)).toEqual([0, 0, 1, 1])
})

test("if nobody says otherwise ten thousand are kept", () => {
  const { record, of } = open()
  for (let i = 0; i < 10_001; i++) record(key(String(i)), "store", 1, "stored")
  expect([0, 1, 10_000].map((i) => of(key(String(i))).length)).toEqual([0, 1, 1])
})
