import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { type Answer, call, type CallOptions } from "./client.ts";
import { createCustomer, fullPlace, newPlace } from "./customers.ts";
import { create } from "./products.ts";

export const ORDERS = "/v1/orders";
export const ORDER_FIELDS = [
  "customerId", "id", "lines", "payment", "shipment", "shippingAddressRef", "status", "total", "updatedAtNs", "versionId",
];
export const STATUSES = ["placed", "paid", "shipped", "delivered", "cancelled"] as const;
export type Status = (typeof STATUSES)[number];
export const STEPS = ["payment", "shipment", "delivery", "cancellation"] as const;
export type Step = (typeof STEPS)[number];

const WAY_TO: Record<Status, ReadonlyArray<Step>> = {
  placed: [],
  paid: ["payment"],
  shipped: ["payment", "shipment"],
  delivered: ["payment", "shipment", "delivery"],
  cancelled: ["cancellation"],
};

/** What each step sends; a delivery has nothing to say. */
export const STEP_BODIES: Record<Step, Record<string, unknown> | undefined> = {
  payment: { reference: "pay-4711" },
  shipment: { carrier: "DHL", trackingNumber: "00340434161094042557" },
  delivery: undefined,
  cancellation: { reason: "changed their mind" },
};

export const newAddress = (fields: Record<string, unknown> = {}) => newPlace({ name: `Grace Höpper ${randomUUID()}`, ...fields });
export const fullAddress = (fields: Record<string, unknown> = {}) => fullPlace({ name: `Grace Höpper ${randomUUID()}`, ...fields });

export const lineOf = (product: { readonly id: string }, quantity = 1, fields: Record<string, unknown> = {}) =>
  ({ productId: product.id, quantity, ...fields });

/** A body for `POST /v1/orders`; whom and what it is about is made where it is not given. */
export const newOrder = async (fields: Record<string, unknown> = {}): Promise<any> => ({
  customerId: "customerId" in fields ? undefined : (await createCustomer()).id,
  lines: "lines" in fields ? undefined : [lineOf(await create())],
  shippingAddress: newAddress(),
  ...fields,
});

export const send = (body: unknown, headers: CallOptions["headers"] = {}): Promise<Answer> => call("POST", ORDERS, { body, headers });

export const order = async (fields: Record<string, unknown> = {}, headers: CallOptions["headers"] = {}): Promise<Answer> =>
  send(await newOrder(fields), headers);

/** The order as the service answered it, with its path. */
export const place = async (fields: Record<string, unknown> = {}): Promise<any> => {
  const answer = await order(fields);
  expect(answer.status, answer.text).toBe(201);
  const path = `${ORDERS}/${answer.json.id}`;
  // What the answer says is true of its products too: that the order itself stands there, a read makes sure of.
  await call("GET", path);
  return { ...answer.json, path };
};

export const take = (path: string, step: Step, headers: CallOptions["headers"] = {}): Promise<Answer> =>
  call("POST", `${path}/${step}`, { body: STEP_BODIES[step], headers });

/** An order that has come as far as this. */
export const placeUntil = async (status: Status, fields: Record<string, unknown> = {}): Promise<any> => {
  const placed = await place(fields);
  for (const step of WAY_TO[status]) expect((await take(placed.path, step)).status, step).toBe(200);
  return placed;
};

export const stockOf = async (product: { readonly path: string }): Promise<number> => {
  const answer = await call("GET", product.path, { headers: { "cache-control": "no-cache" } });
  expect(answer.status, answer.text).toBe(200);
  return answer.json.stock;
};

export const countOf = (answers: ReadonlyArray<Answer>, status: number): number => answers.filter((answer) => answer.status === status).length;
