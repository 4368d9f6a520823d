import { randomBytes } from "node:crypto"
import { Effect, ManagedRuntime } from "effect"
import fc from "fast-check"
import { expect, test } from "vitest"
import { Keyring } from "../../domain/secrets/Keyring.ts"
import { layerFileKeyring } from "./FileKeyring.ts"
import type { KeyringFile } from "./keyringFile.ts"

const ring = (primary: number, ...numbers: readonly number[]): KeyringFile =>
  ({ primary, keys: new Map(numbers.map((number) => [number, Buffer.alloc(32, number)])), index: Buffer.alloc(32, 99) })
const open = (file: KeyringFile, most?: number) => ManagedRuntime.make(layerFileKeyring(file, most)).runPromise(Effect.service(Keyring))

const plain = Buffer.from("maria.anders@example.com 😀")

test("what is sealed opens again, for the same purpose and the same place alone", async () => {
  const keyring = await open(ring(1, 1))
  const sealed = keyring.seal("session", plain, "hf-session:a")
  expect(keyring.open("session", sealed, "hf-session:a")).toEqual(plain)
  expect(keyring.open("session", sealed, "hf-session:b")).toBeNull()
  expect(keyring.open("order", sealed, "hf-session:a")).toBeNull()
})

test("no byte of the plain text is in the sealed one, and two of the same differ", async () => {
  const keyring = await open(ring(1, 1))
  const one = keyring.seal("session", plain, "a"), other = keyring.seal("session", plain, "a")
  expect(Buffer.from(one).includes("maria")).toBe(false)
  expect(one).not.toEqual(other)
})

test("a sealed value that was altered in any byte or cut anywhere opens nothing", async () => {
  const keyring = await open(ring(1, 1))
  const sealed = keyring.seal("session", plain, "a")
  for (let at = 0; at < sealed.length; at++) {
    const altered = Buffer.from(sealed)
    altered[at]! ^= 1
    expect(keyring.open("session", altered, "a")).toBeNull()
    expect(keyring.open("session", sealed.subarray(0, at), "a")).toBeNull()
  }
})

test("after a rotation the old key still opens; once it is retired it does not", async () => {
  const sealed = (await open(ring(1, 1))).seal("session", plain, "a")
  const rotated = await open(ring(2, 1, 2))
  expect(rotated.primary).toBe(2)
  expect(rotated.open("session", sealed, "a")).toEqual(plain)
  expect((await open(ring(2, 2))).open("session", sealed, "a")).toBeNull()
})

test("digests are keyed, of one purpose, and the same after a rotation", async () => {
  const before = await open(ring(1, 1)), after = await open(ring(2, 1, 2))
  expect(before.digest("session id", "abc")).toMatch(/^[0-9a-f]{64}$/)
  expect(after.digest("session id", "abc")).toBe(before.digest("session id", "abc"))
  expect(before.digest("e-mail", "abc")).not.toBe(before.digest("session id", "abc"))
  expect((await open({ ...ring(1, 1), index: randomBytes(32) })).digest("session id", "abc")).not.toBe(before.digest("session id", "abc"))
})

test("any bytes come back unchanged", async () => {
  const keyring = await open(ring(1, 1))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (bytes, place) => {
    expect(new Uint8Array(keyring.open("x", keyring.seal("x", bytes, place), place)!)).toEqual(bytes)
  }))
})

test("a key that has sealed as much as it may seals no more, and still opens", async () => {
  const keyring = await open(ring(1, 1), 2)
  const sealed = [keyring.seal("session", plain, "a"), keyring.seal("session", plain, "a")]
  expect(() => keyring.seal("session", plain, "a")).toThrow("rotate")
  expect(keyring.open("session", sealed[0]!, "a")).toEqual(plain)
  // Another purpose has another key.
  expect(keyring.seal("order", plain, "a").length).toBeGreaterThan(plain.length)
})
