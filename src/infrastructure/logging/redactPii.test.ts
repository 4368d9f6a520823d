import { Redacted } from "effect"
import fc from "fast-check"
import { expect, test } from "vitest"
import { redactPii } from "./redactPii.ts"

test("a Redacted is not written, wherever it stands", () => {
  const secret = Redacted.make("hunter2")
  expect(redactPii({ a: secret, b: [secret], c: new Map([["d", secret]]) })).toEqual({ a: "[redacted]", b: ["[redacted]"], c: { d: "[redacted]" } })
})

test("what stands under a sensitive key is not written, whatever it is", () => {
  expect(redactPii({ name: "Jane", phone: 491701234567, address: { city: "Bonn" }, tokens: ["x"], emailHash: new Uint8Array(32) }))
    .toEqual({ name: "[redacted]", phone: "[redacted]", address: "[redacted]", tokens: "[redacted]", emailHash: "[redacted]" })
})

test("absence and flags under a sensitive key are written", () => {
  expect(redactPii({ name: null, email: undefined, password: true })).toEqual({ name: null, email: undefined, password: true })
})

test("plain values are written as they are", () => {
  const plain = { kind: "product", versionId: 3, position: 1700000000000, ok: true, none: null, list: [1, "two", { three: 3 }] }
  expect(redactPii(plain)).toEqual(plain)
  expect(redactPii("text")).toBe("text")
  expect(redactPii(undefined)).toBeUndefined()
})

test("strings are searched at every depth, keys as well", () => {
  expect(redactPii({ a: [{ b: "to jane@example.com" }], "jane@example.com": 1 })).toEqual({ a: [{ b: "to [redacted]" }], "[redacted]": 1 })
})

test("bytes are counted, not written", () => {
  const bytes = new TextEncoder().encode("jane@example.com")
  expect(redactPii([Buffer.from(bytes), bytes, bytes.buffer, new DataView(bytes.buffer), new SharedArrayBuffer(4), new Float64Array(2), Buffer.from(bytes).toJSON()]))
    .toEqual(["[bytes 16]", "[bytes 16]", "[bytes 16]", "[bytes 16]", "[bytes 4]", "[bytes 16]", "[bytes 16]"])
  expect(redactPii({ type: "Buffer", data: "other" })).toEqual({ type: "Buffer", data: "other" })
})

test("an error is written with its type, message, stack, fields and causes, each searched", () => {
  class Broken extends Error {
    override readonly name = "Broken"
    readonly code = "23505"
    readonly detail = "Key (email)=(jane@example.com) already exists."
  }
  const error = new Broken("for jane@example.com", { cause: new AggregateError([new TypeError("+49 170 1234567")], "several") })
  const line = redactPii(error) as Record<string, unknown>
  expect(line).toMatchObject({
    type: "Broken", message: "for [redacted]", code: "23505", detail: "Key (email)=([redacted]) already exists.",
    cause: { type: "AggregateError", message: "several", errors: [{ type: "TypeError", message: "[redacted]" }] }
  })
  expect(line["stack"]).toMatch(/^\w+: for \[redacted\]\n +at /)
  expect(JSON.stringify(line)).not.toMatch(/jane|1234567/)
})

test("a map, a set, a URL, a date and boxed text are written as what they say", () => {
  expect(redactPii({
    map: new Map<unknown, unknown>([["email", "x"], [2, "two"], [3n, 3n], [Buffer.from("jane"), 1]]),
    set: new Set(["jane@example.com"]),
    url: new URL("redis://user:pass@host/0"),
    query: new URLSearchParams({ q: "jane@example.com" }),
    date: new Date(0),
    boxed: Object("jane@example.com"),
    big: 12345678901234567890n,
    code: () => 1,
    symbol: Symbol("jane")
  })).toEqual({
    map: { email: "[redacted]", 2: "two", 3: "3", "[object]": 1 },
    set: ["[redacted]"],
    url: "redis://[redacted]@host/0",
    query: "q=[redacted]",
    date: "1970-01-01T00:00:00.000Z",
    boxed: "[redacted]",
    big: "12345678901234567890",
    code: "[function]",
    symbol: "[symbol]"
  })
})

test("a cycle ends, and the same object beside itself is no cycle", () => {
  const cycle: Record<string, unknown> = { a: 1 }
  cycle["self"] = [cycle]
  const shared = { b: 2 }
  expect(redactPii(cycle)).toEqual({ a: 1, self: ["[circular]"] })
  expect(redactPii([shared, shared])).toEqual([shared, shared])
})

test("what cannot be read costs its own place only", () => {
  const proxy = new Proxy({}, { ownKeys: () => { throw new Error("no") } })
  const input = { get bad() { throw new Error("no") }, proxy, date: new Date(Number.NaN), good: 1 }
  expect(redactPii(input)).toEqual({ bad: "[unreadable]", proxy: "[unreadable]", date: "[unreadable]", good: 1 })
})

test("depth, width and size are limited", () => {
  const deep = JSON.parse("[".repeat(20) + "]".repeat(20)) as unknown
  expect(JSON.stringify(redactPii(deep))).toBe(`${"[".repeat(8)}"[truncated]"${"]".repeat(8)}`)
  const wide = redactPii(Array(1_000).fill(0)) as ReadonlyArray<unknown>
  expect([wide.length, wide.at(-1)]).toEqual([201, "[800 more]"])
  const fields = redactPii(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, i]))) as Record<string, unknown>
  expect([Object.keys(fields).length, fields["…"]]).toEqual([201, "[800 more]"])
  // Shared children make a small value a huge tree.
  const bush = Array.from({ length: 7 }).reduce<unknown>((child) => Array(100).fill(child), "x")
  expect(JSON.stringify(redactPii(bush)).length).toBeLessThan(100_000)
})

test("a key __proto__ is a field, not a prototype", () => {
  const line = redactPii(JSON.parse("{\"__proto__\":{\"admin\":true}}")) as { admin?: boolean }
  expect(Object.keys(line)).toEqual(["__proto__"])
  expect(line.admin).toBeUndefined()
})

test("any value is written as JSON, is left as it was, and is written the same the second time", () => {
  fc.assert(fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withNullPrototype: true, withSparseArray: true, withBoxedValues: true }), (value) => {
    const before = structuredClone(value)
    const line = JSON.stringify(redactPii(value))
    expect(value).toEqual(before)
    expect(JSON.stringify(redactPii(value))).toBe(line)
  }))
})
