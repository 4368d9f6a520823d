import { randomInt, randomUUID } from "node:crypto";
import { expect } from "vitest";
import { type Answer, call, type CallOptions } from "./client.ts";
import { standing } from "./entries.ts";

export const CUSTOMERS = "/v1/customers";
export const CUSTOMER_FIELDS = ["emailHash", "id", "marketingConsent", "phoneHash", "piiRef", "status", "updatedAtNs", "versionId"];
export const PERSONAL_FIELDS = ["address", "email", "name", "phone"];

export const newEmail = (): string => `ada.${randomUUID()}@example.org`;
export const newPhone = (): string => `+49 30 ${randomInt(1e5, 1e6)} ${randomInt(1e5, 1e6)}`;

/** A place of which every text can be searched for: no other test and no earlier run has sent it. */
export const newPlace = (fields: Record<string, unknown> = {}) => ({
  line1: `Lindenstraße ${randomUUID()}`,
  city: `Köln ${randomUUID()}`,
  country: `Deutschland ${randomUUID()}`,
  ...fields,
});

export const fullPlace = (fields: Record<string, unknown> = {}) =>
  newPlace({ line2: `Hinterhaus ${randomUUID()}`, region: `Rheinland ${randomUUID()}`, postcode: `50667-${randomUUID()}`, ...fields });

/** A body for `POST /v1/customers` with what it needs and nothing more. */
export const newCustomer = (fields: Record<string, unknown> = {}) => ({
  name: `Ada Österreicher ${randomUUID()}`,
  email: newEmail(),
  marketingConsent: false,
  ...fields,
});

/** The same with everything that it may have. */
export const fullCustomer = (fields: Record<string, unknown> = {}) =>
  newCustomer({ phone: newPhone(), address: fullPlace(), marketingConsent: true, ...fields });

export const register = (fields: Record<string, unknown> = {}, headers: CallOptions["headers"] = {}): Promise<Answer> =>
  call("POST", CUSTOMERS, { body: newCustomer(fields), headers });

/** The customer as the service answered its registration, with its path and what was sent. */
export const createCustomer = async (fields: Record<string, unknown> = {}): Promise<any> => {
  const sent = newCustomer(fields);
  const answer = await call("POST", CUSTOMERS, { body: sent });
  expect(answer.status, answer.text).toBe(201);
  const path = `${CUSTOMERS}/${answer.json.id}`;
  await standing(answer, path);
  return { ...answer.json, path, sent };
};

export const lookUp = (email: unknown, headers: CallOptions["headers"] = {}): Promise<Answer> =>
  call("POST", `${CUSTOMERS}/lookup`, { body: { email }, headers });

export const full = (path: string, headers: CallOptions["headers"] = {}): Promise<Answer> => call("GET", `${path}?view=full`, { headers });

/** The person behind the customer, by the full view. */
export const personOf = async (path: string): Promise<any> => {
  const { status, text, json } = await full(path);
  expect(status, text).toBe(200);
  return { name: json.name, email: json.email, phone: json.phone, address: json.address };
};

/** The answer with the certificate. */
export const erase = async (path: string, headers: CallOptions["headers"] = {}): Promise<Answer> => {
  const answer = await call("DELETE", path, { headers });
  expect(answer.status, answer.text).toBe(200);
  return answer;
};
