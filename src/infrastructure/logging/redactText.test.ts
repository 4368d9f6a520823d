import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { MAX_TEXT, redactText } from "./redactText.ts"

const email = "jane.doe+x@mail.example.com"

test.each([
  ["plain", email],
  ["with a quoted local part", "\"jane doe\"@example.com"],
  ["internationalised", "jané@exämple.xn--p1ai"],
  ["at the local machine", "jane@localhost"],
  ["at an address literal", "jane@[192.168.0.1]"],
  ["percent-encoded", encodeURIComponent(email)],
  ["percent-encoded twice", encodeURIComponent(encodeURIComponent(email))],
  ["escaped as in JSON", "jane\\u0040example.com"],
  ["in base64", Buffer.from(email).toString("base64")],
  ["in base64url, glued to a path", `/files/${Buffer.from(email).toString("base64url")}/x`],
  ["in hex", Buffer.from(email).toString("hex")],
  ["in hex as Postgres prints bytes", `\\x${Buffer.from(email).toString("hex")}`],
  ["in hex, out of step", `a${Buffer.from(email).toString("hex")}`]
])("an e-mail address is not written: %s", (_, text) => {
  const line = redactText(`before ${text} after`)
  expect(line).toMatch(/^before .*\[redacted\].* after$/)
  expect(line).not.toContain(text)
  expect(line).not.toMatch(/jane|example/i)
})

test("an e-mail address is found wherever it stands and however it is encoded", () => {
  const word = fc.stringMatching(/^[a-z0-9]{1,12}$/)
  const address = fc.tuple(word, fc.stringMatching(/^[a-z0-9]{4,12}$/)).map(([local, host]) => `${local}@${host}.example`)
  const encoding = fc.constantFrom<(text: string) => string>(
    (text) => text, encodeURIComponent, (text) => Buffer.from(text).toString("base64"), (text) => Buffer.from(text).toString("base64url"),
    (text) => Buffer.from(text).toString("hex"), (text) => JSON.stringify({ note: text }), (text) => JSON.stringify(JSON.stringify([text]))
  )
  const around = fc.stringMatching(/^[a-z /?,;:&=()-]{0,20}$/)
  fc.assert(fc.property(around, address, encoding, around, (before, found, encode, after) => {
    const encoded = encode(found)
    const line = redactText(before + encoded + after)
    expect(line).not.toContain(encoded)
    expect(line).not.toContain(found)
  }), { numRuns: 2_000 })
})

test.each([
  "+49 170 1234567", "+491701234567", "+1 (415) 555-2671", "(030) 1234567", "030 1234567", "0170/1234567", "00 49 170 1234567", "01 23 45 67 89",
  "555-123-4567", "555.123.4567", "555-1234", "1-555-123-4567", "612 34 56 78", "+49 (0)170/123.45-67", "555\u2011123\u20114567"
])("a phone number is not written: %s", (phone) => {
  expect(redactText(`call ${phone}, or tel:${phone}`)).toBe("call [redacted], or tel:[redacted]")
})

test("a phone number beside another number is found", () => {
  expect(redactText("position 1700000000000000000 - 555-123-4567")).toBe("position 1700000000000000000 - [redacted]")
})

test.each([
  "0192f0c4-1234-7000-8000-123456789012", "12345678-1234-1234-1234-123456789012", "1.2.3", "24.21.0", "2024.11.20", "10.4.0-rc.1", "1700000000000000000", "12345678",
  "2026-11-21T22:45:22.123456Z", "2026-11-21 10:00:00+02", "2026/11/21", "127.0.0.1:6379", "192.168.100.200", "pino@10.4.0", "took 1234567 ms", "after 1234567-1234599",
  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "6379 6380 6381", "3-4 of 10", "5 000", "at /a/node_modules/effect/dist/x.js:123:4567", "4bf92f3577b34da6a3ce929d0e0e4736",
  "https://127.0.0.1:8080/v1/products?limit=50", "product-not-available", "16/B374D848", "EADDRINUSE: address already in use", "100%", "%zz"
])("what names no person stays readable: %s", (text) => {
  expect(redactText(`before ${text} after`)).toBe(`before ${text} after`)
})

describe("secrets", () => {
  test.each([
    ["Bearer abc.def-ghi", "Bearer [redacted]"],
    ["sent bearer  abc=", "sent bearer [redacted]"],
    ["Authorization: Basic dXNlcjpwYXNz", "Authorization: [redacted]"],
    ["cookie: a=b; c=d\nhost: x", "cookie: [redacted]\nhost: x"],
    ["unknown key hf_k1_aBc-_9", "unknown key [redacted]"],
    ["eyJhbGciOi.eyJzdWIi.c2ln", "[redacted]"],
    ["redis://user:pass@host:6379/0", "redis://[redacted]@host:6379/0"],
    ["redis://:p@ss/w@host", "redis://[redacted]@host"],
    ["postgres://user@host/db", "postgres://[redacted]@host/db"],
    ["?token=abc&x=1", "?token=[redacted]&x=1"],
    ["{ password: 'a b', port: 5432 }", "{ password: [redacted], port: 5432 }"],
    ["failed: connect: password=a=b== host=x", "failed: connect: password=[redacted] host=x"],
    ["no such name: Jane van Doe, sku: A-1 B", "no such name: [redacted], sku: A-1 B"],
    ["password=[redacted]", "password=[redacted]"],
    ["HOLDFAST_API_KEY=\"a b\" next", "HOLDFAST_API_KEY=[redacted] next"]
  ])("%j is written as %j", (text, line) => {
    expect(redactText(text)).toBe(line)
  })
})

test("the row that Postgres quotes is not written", () => {
  expect(redactText("Key (email, name)=(a, Jane (J.) Doe) already exists.")).toBe("Key (email, name)=([redacted]) already exists.")
  expect(redactText("Failing row contains (7, Jane Doe, null).")).toBe("Failing row contains ([redacted])")
})

test("the sensitive fields of JSON inside a string are not written, at any level of escaping", () => {
  const inner = JSON.stringify({ phone: 123, name: "Jane \"JD\" Doe", emails: ["a", "b"], sku: "A-1" })
  const line = redactText(JSON.stringify({ status: 409, body: inner, lastName: "Doe" }))
  expect(JSON.parse(line)).toEqual({ status: 409, body: expect.any(String) as string, lastName: "[redacted]" })
  expect(JSON.parse((JSON.parse(line) as { body: string }).body)).toEqual({ phone: "[redacted]", name: "[redacted]", emails: "[redacted]", sku: "A-1" })
  expect(redactText(JSON.stringify({ name: "J. \"phone\": 1 Doe", sku: "x" }))).toBe(JSON.stringify({ name: "[redacted]", sku: "x" }))
  expect(redactText("{\"a\":1,\"name\":\"Jane Do")).toBe("{\"a\":1,\"name\":\"[redacted]\"")
})

test("a long string is cut at a word", () => {
  const line = redactText(`${"word ".repeat(MAX_TEXT / 5)}jane.doe@example.com`)
  expect(line).toMatch(/word {2}\[\d+ more\]$/)
  expect(line.length).toBeLessThan(MAX_TEXT + 20)
})

test("no string keeps the process busy", () => {
  const hostile = ["a", "@", "\"", "\\", "(", "1 ", "1(", "0-", "://a:", "a@a.", "\"name\":\"", "\"a\":\"", "\"a\":[", "Key (a)=(", "eyJa.", "hf_a_", "x=", "password=\"", "cookie ", "%25"]
  const started = performance.now()
  for (const piece of hostile) redactText(piece.repeat(MAX_TEXT / piece.length))
  // A hundred times what all of them take together.
  expect(performance.now() - started).toBeLessThan(10_000)
})
