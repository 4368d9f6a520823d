import { expect } from "vitest";
import type { Answer } from "./client.ts";

/** Every problem that the page names. */
export const PROBLEMS = `malformed unauthenticated forbidden not-found deleted version-mismatch method-not-allowed too-large
  unsupported-media-type invalid idempotency-key-reused idempotency-key-in-flight consistency-token-unknown rate-limited
  unavailable unknown-outcome sku-taken email-taken insufficient-stock price-changed product-not-available customer-erased
  order-not-placed order-not-paid order-not-shipped order-not-cancellable history-pruned`.split(/\s+/);

export const directives = (answer: Answer): Array<string> =>
  (answer.headers.get("cache-control") ?? "").split(",").map((directive) => directive.trim()).sort();

/** What every error answer keeps to, whatever it is about. */
export const expectProblem = (answer: Answer, status: number, name: string): void => {
  expect({ status: answer.status, type: answer.json?.type }, answer.text).toEqual({ status, type: `/problems/${name}` });
  expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json\b/);
  expect(answer.json).toMatchObject({
    status,
    title: expect.stringMatching(/\S/),
    detail: expect.stringMatching(/\S/),
    instance: `/requests/${answer.headers.get("x-request-id")}`,
  });
  expect(directives(answer)).toContain("no-store");
  expect(answer.text).not.toMatch(/\\n\s+at |\.[jt]s:\d+|node_modules|\b(SELECT|INSERT|UPDATE|DELETE)\b.*\b(FROM|INTO|SET)\b/);
};

// As a set: one place may have more than one thing wrong with it.
const named = (answer: Answer, member: "pointer" | "parameter"): Array<string> => {
  const places = (answer.json?.errors ?? []).map((error: Record<string, string>) => {
    expect(error["detail"]).toEqual(expect.stringMatching(/\S/));
    return error[member];
  });
  return [...new Set<string>(places)].sort();
};

/** 422, and exactly these places are named. */
export const expectInvalid = (answer: Answer, ...pointers: Array<string>): void => {
  expectProblem(answer, 422, "invalid");
  expect(named(answer, "pointer"), answer.text).toEqual([...pointers].sort());
};

/** 400, and exactly these query parameters are named. */
export const expectBadQuery = (answer: Answer, ...parameters: Array<string>): void => {
  expectProblem(answer, 400, "malformed");
  expect(named(answer, "parameter"), answer.text).toEqual([...parameters].sort());
};
