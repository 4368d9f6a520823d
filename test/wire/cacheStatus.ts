import { expect } from "vitest";
import type { Answer } from "./client.ts";

// RFC 8941, as far as RFC 9211 needs it: a key, alone (true) or with a string, a token or an integer.
const PARAMETER = /^ *([a-z*][a-z0-9_.*-]*)(?:=(?:"((?:[^"\\]|\\["\\])*)"|([A-Za-z*][\w!#$%&'*+.^`|~:/-]*)|(-?\d{1,15})))?$/;

/** The parameters of `Cache-Status: holdfast; …`: `{ hit: true }`, `{ fwd: "uri-miss", stored: true }`. */
export const cacheStatus = (answer: Answer): Record<string, unknown> => {
  const field = answer.headers.get("cache-status");
  const [cache, ...parameters] = (field ?? "").split(";");
  expect(cache, `Cache-Status of ${answer.status} ${answer.text}`).toBe("holdfast");
  return Object.fromEntries(parameters.map((parameter) => {
    const match = PARAMETER.exec(parameter);
    expect(match, `not a structured field: ${field}`).not.toBeNull();
    return [match![1], match![2] ?? match![3] ?? match![4] ?? true];
  }));
};

export const HIT = { hit: true };
export const MISS = { fwd: "uri-miss", stored: true };
export const FROM_DATABASE = { fwd: "request", stored: true };
export const CHANGE = { fwd: "method", stored: true };
export const UNCHANGED = { fwd: "method" };
export const HISTORY = { fwd: "bypass", detail: "history" };
