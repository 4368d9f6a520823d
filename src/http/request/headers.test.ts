import { describe, expect, test } from "vitest"
import { cacheControl, idempotencyKey, ifMatch, ifNoneMatch, mediaType, requestId, traceparent } from "./headers.ts"

const fault = { fault: expect.any(String) as string }

describe("Idempotency-Key", () => {
  test("a key is the same bare and quoted, and its escapes are undone", () => {
    expect(idempotencyKey("8e03978e-40d5")).toBe("8e03978e-40d5")
    expect(idempotencyKey("\"8e03978e-40d5\"")).toBe("8e03978e-40d5")
    expect(idempotencyKey("\"a\\\"b\\\\c\"")).toBe("a\"b\\c")
    expect(idempotencyKey("~!,;\"x")).toBe("~!,;\"x")
  })
  test("no header is no key", () => {
    expect([idempotencyKey(undefined), idempotencyKey(null)]).toEqual([null, null])
  })
  test("1 to 255 characters are a key, quotes and escapes not counted", () => {
    expect(idempotencyKey("k".repeat(255))).toBe("k".repeat(255))
    expect(idempotencyKey(`"${"\\\\".repeat(255)}"`)).toBe("\\".repeat(255))
    expect(idempotencyKey("k".repeat(256))).toEqual(fault)
    expect(idempotencyKey(`"${"k".repeat(256)}"`)).toEqual(fault)
  })
  test.each(["", "\"\"", "\"", "\"abc", "\"a\"b\"", "\"a\\b\"", "\"abc\";p=1", "a b", "\"a b\"", "a, b", "caf\u00e9", "a\tb", "\"a\u007f\""])("%j is refused", (header) => {
    expect(idempotencyKey(header)).toEqual(fault)
  })
})

describe("If-Match and If-None-Match", () => {
  test("no header is no condition, and * is any version", () => {
    expect([ifMatch(undefined), ifMatch(null), ifNoneMatch(undefined)]).toEqual([null, null, null])
    expect([ifMatch("*"), ifNoneMatch(" * ")]).toEqual([{ any: true }, { any: true }])
  })
  test("versions are read from a list, empty elements ignored", () => {
    expect(ifMatch("\"3\"")).toEqual({ any: false, versions: [3] })
    expect(ifMatch(" , \"3\" ,\t\"4\",,\"9007199254740991\",")).toEqual({ any: false, versions: [3, 4, 9007199254740991] })
  })
  test("a weak tag never matches a change, and matches a read", () => {
    expect(ifMatch("W/\"3\", \"4\"")).toEqual({ any: false, versions: [4] })
    expect(ifNoneMatch("W/\"3\", \"4\"")).toEqual({ any: false, versions: [3, 4] })
  })
  test.each(["\"\"", "\"abc\"", "\"03\"", "\"0\"", "\"-1\"", "\"3,4\"", "\"3.e2\"", "\"caf\u00e9\"", "\"99999999999999999\""])("the tag %s is well-formed and of no version", (tag) => {
    expect(ifMatch(tag)).toEqual({ any: false, versions: [] })
  })
  test.each(["", ",", "3", "\"3", "\"3\" \"4\"", "w/\"3\"", "W/ \"3\"", "\"3\", *", "\"a b\"", "\"3\"x"])("%j is refused", (header) => {
    expect(ifMatch(header)).toEqual(fault)
    expect(ifNoneMatch(header)).toEqual(fault)
  })
})

describe("Cache-Control", () => {
  test("nothing said is nothing asked", () => {
    const nothing = { noCache: false, maxAgeSeconds: null }
    expect([cacheControl(undefined), cacheControl(null), cacheControl("")]).toEqual([nothing, nothing, nothing])
  })
  test("no-cache and max-age=0 ask for the database", () => {
    const database = { noCache: true, maxAgeSeconds: null }
    expect(["no-cache", "No-Cache", "max-age=0", "max-age=5, no-cache", "max-age=00"].map(cacheControl)).toEqual(Array(5).fill(database))
  })
  test("of several ages the smallest counts, bare or quoted, and a huge one is cut", () => {
    expect(cacheControl("max-age=5")).toEqual({ noCache: false, maxAgeSeconds: 5 })
    expect(cacheControl("max-age=9 , MAX-AGE=\"5\"")).toEqual({ noCache: false, maxAgeSeconds: 5 })
    expect(cacheControl(`max-age=${"9".repeat(400)}`)).toEqual({ noCache: false, maxAgeSeconds: 2 ** 31 })
  })
  test("unknown directives are ignored, whatever they quote", () => {
    expect(cacheControl("no-store, only-if-cached, x=\"no-cache, \\\" max-age=1\", max-age=7")).toEqual({ noCache: false, maxAgeSeconds: 7 })
  })
  test.each(["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=x", "max-age=\"\"", "max-age=5, max-age=x", "no cache", "=5", "x=\"open"])("%j is refused", (header) => {
    expect(cacheControl(header)).toEqual(fault)
  })
})

describe("X-Request-Id", () => {
  test("one of 1 to 128 harmless characters is kept", () => {
    expect([requestId("a"), requestId("A-z.0_9"), requestId("x".repeat(128))]).toEqual(["a", "A-z.0_9", "x".repeat(128)])
  })
  test.each([undefined, null, "", "x".repeat(129), "a b", "a\n", "<script>", "\u00e4"])("%j is replaced by a new one", (header) => {
    expect(requestId(header)).toMatch(/^[0-9a-f-]{36}$/)
    expect(requestId(header)).not.toBe(requestId(header))
  })
})

describe("traceparent", () => {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
  const parentId = "00f067aa0ba902b7"

  test("a trace is continued under a new span, its flags kept as far as they are known", () => {
    const context = traceparent(`00-${traceId}-${parentId}-01`)
    expect(context).toMatchObject({ traceId, parentId, header: `00-${traceId}-${context.spanId}-01` })
    expect(context.spanId).toMatch(/^[0-9a-f]{16}$/)
    expect(context.spanId).not.toBe(parentId)
    expect(traceparent(`00-${traceId}-${parentId}-ff`).header).toMatch(/-03$/)
  })
  test("a later version is read as far as it is known, and answered in ours", () => {
    for (const later of [`cc-${traceId}-${parentId}-00`, `cc-${traceId}-${parentId}-00-more`]) {
      expect(traceparent(later)).toMatchObject({ traceId, parentId, header: expect.stringMatching(/^00-.*-00$/) as string })
    }
  })
  test.each([
    undefined, null, "", "00", `00-${traceId}-${parentId}`, `ff-${traceId}-${parentId}-01`, `00-${traceId}-${parentId}-01-more`, `00-${traceId}-${parentId}-01-`,
    `00-${"0".repeat(32)}-${parentId}-01`, `00-${traceId}-${"0".repeat(16)}-01`, `00-${traceId.toUpperCase()}-${parentId}-01`, `cc-${traceId}-${parentId}-00x`
  ])("%j starts a new trace", (header) => {
    const context = traceparent(header)
    expect(context).toMatchObject({ parentId: null, header: `00-${context.traceId}-${context.spanId}-00` })
    expect(context.traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(context.traceId).not.toBe(traceId)
  })
})

test("a media type is known by its name, in any case and with any parameter", () => {
  expect(["application/json", "Application/JSON; charset=utf-8", " application/json ;x"].map(mediaType)).toEqual(Array(3).fill("application/json"))
  expect(mediaType("application/merge-patch+json")).toBe("application/merge-patch+json")
  expect([undefined, null, "", "text/plain", "application/jsonx", "x; application/json"].map(mediaType)).toEqual(Array(6).fill("other"))
})
