import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Answer } from "./client.ts";

export const newKey = () => ({ "idempotency-key": randomUUID() });

export const replayed = (answer: Answer) => answer.headers.get("idempotency-replayed");

/** The first answer again: status, body, `ETag`, `Location` and token. */
export const expectReplay = (again: Answer, first: Answer): void => {
  expect(first.status, first.text).toBeLessThan(300);
  expect(again.status, again.text).toBe(first.status);
  expect(again.text).toBe(first.text);
  for (const name of ["etag", "location", "consistency-token"]) expect(again.headers.get(name), name).toBe(first.headers.get(name));
  expect([replayed(first), replayed(again)]).toEqual([null, "true"]);
};
