import { createHmac } from "node:crypto"
import { Effect } from "effect"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { Identifiers } from "../../domain/Identifiers.ts"
import { layerNodeIdentifiers } from "./NodeIdentifiers.ts"

const secret = new Uint8Array(32).fill(7)
let identifiers: Identifiers["Service"]
beforeEach(async () => {
  identifiers = await Effect.runPromise(Effect.provide(Identifiers, layerNodeIdentifiers({ secret })))
})
afterEach(() => void vi.useRealTimers())

const many = (make: () => string, count = 50_000) => Array.from({ length: count }, make)
const millisecondsOf = (id: string) => parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

test("an id is a UUIDv7 of the current millisecond", () => {
  const before = Date.now(), id = identifiers.id()
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(millisecondsOf(id)).toBeGreaterThanOrEqual(before)
  expect(millisecondsOf(id)).toBeLessThanOrEqual(Date.now() + 1)
})

test("later ids are greater, as text", () => {
  const ids = many(identifiers.id)
  expect(ids.every((id, i) => i === 0 || ids[i - 1]! < id)).toBe(true)
})

test("ids go on upwards while the clock stands still or goes back", () => {
  const first = identifiers.id()
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 })
  const ids = many(identifiers.id)
  expect([first, ...ids].every((id, i, all) => i === 0 || all[i - 1]! < id)).toBe(true)
  expect(millisecondsOf(ids.at(-1)!)).toBeLessThanOrEqual(millisecondsOf(first) + 1)
})

test("ids of one millisecond differ in more than the count, so that two processes do not meet", () => {
  expect(new Set(many(identifiers.id, 1_000).map((id) => id.slice(24))).size).toBe(1_000)
})

test("tokens and marks are random hexadecimal digits, and none comes twice", () => {
  const tokens = many(identifiers.token), marks = many(identifiers.mark)
  expect(tokens.every((token) => /^[0-9a-f]{32}$/.test(token))).toBe(true)
  expect(marks.every((mark) => /^[0-9a-f]{16}$/.test(mark))).toBe(true)
  expect(new Set(tokens.map((token) => token.slice(0, 16)).concat(marks)).size).toBe(100_000)
})

test("a random number is from 0 up to 1", () => {
  const numbers = Array.from({ length: 1_000 }, identifiers.random)
  expect(numbers.every((n) => n >= 0 && n < 1)).toBe(true)
  expect(new Set(numbers).size).toBeGreaterThan(990)
})

test("a MAC is the first half of HMAC-SHA-256 under the secret", () => {
  const bytes = Buffer.from("what is authenticated")
  const expected = createHmac("sha256", secret).update(bytes).digest().subarray(0, 16)
  expect(Buffer.from(identifiers.authenticate(bytes)).equals(expected)).toBe(true)
})
