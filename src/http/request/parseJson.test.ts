import fc from "fast-check"
import { expect, test } from "vitest"
import { MAX_DEPTH } from "./findJsonFault.ts"
import { parseJson } from "./parseJson.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const parse = (text: string) => parseJson(bytes(text))
const detailOf = (text: string) => {
  const parsed = parse(text)
  return parsed.ok ? null : parsed.detail
}

test("whatever JSON.stringify writes is read back as it was", () => {
  fc.assert(fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, "\t", "\r\n"), (value, indent) => {
    const text = JSON.stringify(value, null, indent as string)
    expect(parse(text)).toEqual({ ok: true, value: JSON.parse(text) })
  }))
})

const hasDuplicateKeyOrIsDeep = (detail: string | null) => detail !== null && /^(duplicate|nested)/.test(detail)

test("text is refused exactly if JSON.parse refuses it, but for duplicate keys and depth", () => {
  const token = fc.constantFrom(
    ..."{}[],:\" \\".split(""), "\"a\"", "\"b\"", "\"\\u0061\"", "\"\\x\"", "\"\\u00g0\"", "\"\n\"", "\"\u2028\"", "-", "0", "01", "1.", "-0.5e+3", "1E5", ".5", "+1",
    "true", "tru", "null", "NaN", "\t", "\u00a0", "\"k\":", "{\"a\":", "[1,", "// c"
  )
  fc.assert(fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
    const text = tokens.join("")
    const detail = detailOf(text)
    let accepted = true
    try { JSON.parse(text) } catch { accepted = false }
    expect(detail === null || hasDuplicateKeyOrIsDeep(detail)).toBe(accepted || hasDuplicateKeyOrIsDeep(detail))
    expect(accepted || detail !== null).toBe(true)
  }), { numRuns: 20_000 })
})

test.each([
  ["", "a value expected at the end"],
  ["  ", "a value expected at the end"],
  ["nul", "a value expected at position 0"],
  ["[1,]", "a value expected at position 3"],
  ["[1 2]", "a comma or ] expected at position 3"],
  ["{\"a\":1 \"b\":2}", "a comma or } expected at position 7"],
  ["{\"a\":1,}", "a key in quotes expected at position 7"],
  ["{a:1}", "a key in quotes expected at position 1"],
  ["{\"a\" 1}", "a colon expected at position 5"],
  ["{\"a", "a closing quote expected at the end"],
  ["\"secret", "a closing quote expected at the end"],
  ["\"a\\qb\"", "unknown escape sequence at position 2"],
  ["\"a\nb\"", "control character in a string at position 2"],
  ["1 2", "text after the value at position 2"],
  ["[1}", "a comma or ] expected at position 2"]
])("a fault is named with its place, without the text around it: %j", (text, detail) => {
  expect(detailOf(text)).toBe(detail)
})

test("a duplicate key is refused at any depth, however it is escaped, and its pointer given", () => {
  expect(detailOf("{\"a\":1,\"a\":2}")).toBe("duplicate key #/a at position 7")
  expect(detailOf("{\"a\":1,\"\\u0061\":2}")).toBe("duplicate key #/a at position 7")
  expect(detailOf("{\"x\":[0,{\"a/b~\":[],\"a/b~\":0}]}")).toBe("duplicate key #/x/1/a~1b~0 at position 19")
  expect(detailOf("{\"__proto__\":1,\"__proto__\":2}")).toBe("duplicate key #/__proto__ at position 15")
})

test("the same key in different objects is no duplicate", () => {
  expect(parse("{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}],\"constructor\":1}").ok).toBe(true)
})

test("a pointer in a message stays short and well-formed", () => {
  const key = JSON.stringify("\ud83d\ude00".repeat(1000))
  const detail = detailOf(`{${key}:1,${key}:2}`)
  expect(detail?.length).toBeLessThan(260)
  expect(detail?.isWellFormed()).toBe(true)
})

test("a key __proto__ is a property, not a prototype", () => {
  const parsed = parse("{\"__proto__\":{\"admin\":true}}")
  expect(parsed.ok && Object.keys(parsed.value as object)).toEqual(["__proto__"])
  expect(parsed.ok && (parsed.value as { admin?: boolean }).admin).toBeUndefined()
})

test("depth up to the limit is read, and a mebibyte of brackets does not overflow", () => {
  expect(parse("[".repeat(MAX_DEPTH) + "]".repeat(MAX_DEPTH)).ok).toBe(true)
  expect(detailOf("[".repeat(1024 * 1024))).toBe(`nested deeper than ${MAX_DEPTH} levels at position ${MAX_DEPTH}`)
  expect(detailOf("{\"a\":".repeat(200_000))).toBe(`nested deeper than ${MAX_DEPTH} levels at position ${MAX_DEPTH * 5}`)
})

test("a mebibyte of keys or of one string is read in linear time", () => {
  const keys = JSON.stringify(Object.fromEntries(Array.from({ length: 90_000 }, (_, i) => [`k${i}`, 1])))
  const started = performance.now()
  expect(parse(keys).ok).toBe(true)
  expect(parse(JSON.stringify("\\\"x".repeat(150_000))).ok).toBe(true)
  // Two hundred times what it takes; quadratic work would need minutes.
  expect(performance.now() - started).toBeLessThan(10_000)
})

test("a byte order mark in front is ignored, and only there", () => {
  expect(parse("\ufeff{}")).toEqual({ ok: true, value: {} })
  expect(detailOf("\ufeff\ufeff{}")).toBe("a value expected at position 0")
})

test("bytes that are not UTF-8 are refused with their place", () => {
  const invalid = (...parts: ReadonlyArray<number>) => parseJson(new Uint8Array(parts))
  expect(invalid(0x22, 0xc3, 0xa4, 0xff, 0x22)).toEqual({ ok: false, detail: "not UTF-8 at byte 3" })
  expect(invalid(0xef, 0xbb, 0xbf, 0x22, 0xed, 0xa0, 0x80, 0x22)).toEqual({ ok: false, detail: "not UTF-8 at byte 4" })
  expect(invalid(0x22, 0xef, 0xbf)).toMatchObject({ ok: false, detail: expect.stringMatching(/^not UTF-8 at byte [123]$/) as string })
})
