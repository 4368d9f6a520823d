import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { type Answer, call, type CallOptions } from "./client.ts";
import { evictEntry, standing } from "./entries.ts";

/** A body for `POST /v1/products` that no other test and no earlier run has sent. */
export const newProduct = (fields: Record<string, unknown> = {}) => ({
  sku: `wire-${randomUUID()}`,
  name: "Lamp",
  price: { amount: 1250, currency: "EUR" },
  stock: 10,
  ...fields,
});

export const post = (fields: Record<string, unknown> = {}, options: CallOptions = {}): Promise<Answer> =>
  call("POST", "/v1/products", { body: newProduct(fields), ...options });

/** The product as the service answered its creation, with its path. */
export const create = async (fields: Record<string, unknown> = {}): Promise<any> => {
  const answer = await post(fields);
  expect(answer.status, answer.text).toBe(201);
  const path = `/v1/products/${answer.json.id}`;
  await standing(answer, path);
  return { ...answer.json, path };
};

export const read = (path: string, headers: CallOptions["headers"] = {}): Promise<Answer> => call("GET", path, { headers });

export const patch = (path: string, body: unknown, headers: CallOptions["headers"] = {}): Promise<Answer> =>
  call("PATCH", path, { body, headers: { "content-type": "application/merge-patch+json", ...headers } });

export const adjust = (path: string, body: unknown, headers: CallOptions["headers"] = {}): Promise<Answer> =>
  call("POST", `${path}/stock-adjustments`, { body, headers });

export const remove = async (path: string): Promise<Answer> => {
  const answer = await call("DELETE", path);
  expect(answer.status, answer.text).toBe(204);
  return answer;
};

/** Makes the next read a miss. */
export const evict = (id: string): Promise<void> => evictEntry("product", id);
