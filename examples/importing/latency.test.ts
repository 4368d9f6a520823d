import { expect, test } from "vitest";
import { percentile, summarizeLatency } from "./latency.ts";

test("a percentile is a value that was measured", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  expect([percentile(hundred, 50), percentile(hundred, 99), percentile([7], 99), percentile([], 50)]).toEqual([50, 99, 7, 0]);
});

test("latencies need not come sorted", () => {
  expect(summarizeLatency([30, 10, 20], 1.5)).toEqual({ requests: 3, perSecond: 2, p50Ms: 20, p99Ms: 30 });
});
