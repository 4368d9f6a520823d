import { expect, test } from "vitest"
import { type CacheStatus, cacheStatus } from "./cacheStatus.ts"

test.each<[CacheStatus, string]>([
  [{ is: "hit" }, "holdfast; hit"],
  [{ is: "hit", detail: "database-unavailable" }, "holdfast; hit; detail=database-unavailable"],
  [{ is: "fwd", reason: "uri-miss", stored: true }, "holdfast; fwd=uri-miss; stored"],
  [{ is: "fwd", reason: "uri-miss", stored: false }, "holdfast; fwd=uri-miss"],
  [{ is: "fwd", reason: "uri-miss", collapsed: true }, "holdfast; fwd=uri-miss; collapsed"],
  [{ is: "fwd", reason: "stale", stored: true, collapsed: true }, "holdfast; fwd=stale; stored; collapsed"],
  [{ is: "fwd", reason: "bypass", detail: "cache-unavailable" }, "holdfast; fwd=bypass; detail=cache-unavailable"],
  [{ is: "fwd", reason: "method", detail: "queued" }, "holdfast; fwd=method; detail=queued"]
])("%j is written as the interface says", (status, header) => {
  expect(cacheStatus(status)).toBe(header)
})

test("a detail that is no token is written as a string, its quotes and backslashes escaped", () => {
  expect(cacheStatus({ is: "fwd", reason: "uri-miss", detail: "47/50" })).toBe("holdfast; fwd=uri-miss; detail=\"47/50\"")
  expect(cacheStatus({ is: "hit", detail: "a \"b\\" })).toBe("holdfast; hit; detail=\"a \\\"b\\\\\"")
})
