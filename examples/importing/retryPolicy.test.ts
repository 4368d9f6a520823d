import { describe, expect, test } from "vitest";
import { isTransient, retryAfterMs, retryDelayMs } from "./retryPolicy.ts";

describe("an answer is asked for again", () => {
  test.each([
    [503, "unavailable"], [503, "unknown-outcome"], [409, "idempotency-key-in-flight"], [429, "rate-limited"], [502, null],
  ])("if it speaks of the moment: %i %s", (status, problem) => {
    expect(isTransient({ status, problem })).toBe(true);
  });

  test.each([
    [200, null], [201, null], [401, "unauthenticated"], [404, "not-found"], [409, "sku-taken"],
    [409, "insufficient-stock"], [410, "deleted"], [422, "idempotency-key-reused"], [422, "invalid"], [500, null],
  ])("but not if it settles the request: %i %s", (status, problem) => {
    expect(isTransient({ status, problem })).toBe(false);
  });
});

describe("the wait", () => {
  test("doubles up to 5 s, of which half is left to chance", () => {
    const bounds = [1, 2, 3, 7, 14].map((attempt) => [retryDelayMs(attempt, null, 0, 0), retryDelayMs(attempt, null, 0, 1)]);
    expect(bounds).toEqual([[50, 100], [100, 200], [200, 400], [2_500, 5_000], [2_500, 5_000]]);
  });

  test("is never shorter than Retry-After, and sixteen of them do not end together", () => {
    expect(retryDelayMs(1, "3", 0, 0)).toBeGreaterThanOrEqual(3_000);
    expect(retryDelayMs(1, "3", 0, 0.1)).not.toBe(retryDelayMs(1, "3", 0, 0.9));
  });

  test.each([
    [null, 0], ["2", 2_000], ["0", 0], ["Thu, 01 Jan 1970 00:00:10 GMT", 9_000], ["soon", 0], ["86400", 60_000],
    ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ])("asked for by Retry-After %j at second 1 is %i ms", (header, ms) => {
    expect(retryAfterMs(header, 1_000)).toBe(ms);
  });
});
