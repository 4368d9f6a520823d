import { expect, test } from "vitest";
import { cacheStatus } from "./cacheStatus.ts";

test.each([
  ["holdfast; hit", "hit"],
  ["holdfast; fwd=uri-miss; stored", "uri-miss"],
  ["holdfast;fwd=request;stored", "request"],
  ["holdfast; fwd=bypass; detail=cache-unavailable", "bypass (cache-unavailable)"],
  ["holdfast; hit; detail=database-unavailable", "hit (database-unavailable)"],
  ['holdfast; fwd=uri-miss; detail="47/50"', "uri-miss (47/50)"],
  ["holdfast; fwd=stale; stored, edge; hit", "stale"],
  ["edge; hit", "none"],
  [null, "none"],
])("%j counts as %s", (header, label) => {
  expect(cacheStatus(header)).toBe(label);
});
