import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { type Answer, call, type CallOptions } from "./client.ts";

export const SESSIONS = "/v1/sessions";

/** Of a session that no other test and no earlier run knows. */
export const sessionPath = (): string => `${SESSIONS}/${randomUUID()}`;

export const newSession = (fields: Record<string, unknown> = {}) => ({ data: { cart: [1, 2] }, ttlSeconds: 60, ...fields });

export const sendSession = (path: string, fields: Record<string, unknown> = {}, headers: CallOptions["headers"] = {}): Promise<Answer> =>
  call("PUT", path, { body: newSession(fields), headers });

export const putSession = async (path: string, fields: Record<string, unknown> = {}): Promise<Answer> => {
  const answer = await sendSession(path, fields);
  expect(answer.status, answer.text).toBe(204);
  return answer;
};

export const getSession = (path: string, headers: CallOptions["headers"] = {}): Promise<Answer> => call("GET", path, { headers });
