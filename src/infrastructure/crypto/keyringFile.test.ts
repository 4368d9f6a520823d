import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { keyringIn, readKeyring, writeKeyring } from "./keyringFile.ts"

let folder: string, path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-keyring-"))
  path = join(folder, "keyring.json")
})
afterEach(() => rmSync(folder, { recursive: true }))

const key = (byte: number, length = 32) => Buffer.alloc(length, byte).toString("base64")
const given = (content: unknown) => writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))

test("a keyring that was made has one key of 32 random bytes, and is its owner's alone", () => {
  writeKeyring(path)
  const { primary, keys } = readKeyring(path)
  expect([primary, [...keys.keys()], keys.get(1)!.length]).toEqual([1, [1], 32])
  expect(statSync(path).mode & 0o777).toBe(0o600)
  writeKeyring(`${path}.other`)
  expect(readKeyring(`${path}.other`).keys.get(1)).not.toEqual(keys.get(1))
})

test("a keyring is never overwritten: what its key sealed would open nothing any more", () => {
  writeKeyring(path)
  const before = readFileSync(path, "utf8")
  expect(() => writeKeyring(path)).toThrow("EEXIST")
  expect(readFileSync(path, "utf8")).toBe(before)
})

test("one with several keys has them by their numbers, and the primary that it names", () => {
  given({ primary: 7, keys: { 7: key(7), 65_535: key(9) }, index: key(1) })
  const { primary, keys } = readKeyring(path)
  expect(primary).toBe(7)
  expect([...keys].map(([number, bytes]) => [number, bytes[0], bytes.length])).toEqual([[7, 7, 32], [65_535, 9, 32]])
})

test.each<[string, unknown, string]>([
  ["no JSON", "{", "it is not JSON"],
  ["nothing", "null", "its primary names none of its keys"],
  ["no keys", {}, "its primary names none of its keys"],
  ["a primary that is none of them", { primary: 2, keys: { 1: key(1) } }, "its primary names none of its keys"],
  ["a primary as text", { primary: "1", keys: { 1: key(1) } }, "its primary names none of its keys"],
  ["a key that is too short", { primary: 1, keys: { 1: key(1, 31) } }, "key 1 has to be 32 bytes in base64, numbered from 1 to 65535"],
  ["a key that is no text", { primary: 1, keys: { 1: null } }, "key 1 has to be 32 bytes"],
  ["the number 0", { primary: 1, keys: { 0: key(1) } }, "key 0 has to be"],
  ["a number that is too great", { primary: 1, keys: { 65_536: key(1) } }, "key 65536 has to be"],
  ["no index key", { primary: 1, keys: { 1: key(1) } }, "its index has to be 32 bytes in base64"],
  ["a name instead of a number", { primary: 1, keys: { one: key(1) } }, "key NaN has to be"]
])("%s is refused, and no key is quoted", (_, content, message) => {
  given(content)
  expect(() => readKeyring(path)).toThrow(message)
  try {
    readKeyring(path)
  } catch (error) {
    expect((error as Error).message).not.toContain(key(1).slice(0, 8))
  }
})

test("a file that is not there is an error of its own", () => {
  expect(() => readKeyring(join(folder, "nowhere"))).toThrow("ENOENT")
})

test("the keyring of a folder is made once, and that is told", () => {
  const made: string[] = []
  for (const _ of [1, 2]) expect(keyringIn(folder, (at) => void made.push(at))).toBe(path)
  expect(made).toEqual([path])
  expect(() => keyringIn(join(folder, "nowhere"), () => undefined)).toThrow("ENOENT")
})
