import { describe, expect, test } from "vitest";
import type { WantedCustomer } from "./Customer.ts";
import type { WantedOrder } from "./Sales.ts";
import { correctCustomer, createCustomer, lookUpCustomer, placeOrder, stepsAfter } from "./salesChanges.ts";

const address = { name: "Ann", line1: "1 Road", line2: null, city: "York", region: null, postcode: null, country: "UK" };
const customer: WantedCustomer = { number: "ANN", name: "Ann", email: "ann@example.com", phone: null, address, marketingConsent: false, from: null };
const order: WantedOrder = {
  number: "7", keyParts: ["7"], customer: "ANN", shippingAddress: address, from: null,
  lines: [{ sku: "A", quantity: 2, unitPrice: { amount: 150, currency: "USD" }, from: { file: "f", line: 2 } }],
  payment: { reference: "r" }, shipment: { carrier: "c", trackingNumber: "t" },
};
const products = new Map([["A", { id: "p" }]]);

describe("a customer", () => {
  test("is created without what is absent, and corrected with null in its place", () => {
    expect(JSON.parse(createCustomer("x", customer).body)).toEqual({
      name: "Ann", email: "ann@example.com", marketingConsent: false, address: { name: "Ann", line1: "1 Road", city: "York", country: "UK" },
    });
    expect(JSON.parse(correctCustomer("c", customer).body)).toMatchObject({ phone: null, address: { region: null } });
  });

  test("stands in no path and in no key that could be read", () => {
    const changes = [createCustomer("x", customer), lookUpCustomer(customer), correctCustomer("c", customer)];
    expect(JSON.stringify(changes.map(({ path, idempotencyKey }) => [path, idempotencyKey]))).not.toMatch(/ann/i);
  });

  test("has a key that lasts from run to run, and another one with other data", () => {
    const key = (wanted: WantedCustomer) => createCustomer("x", wanted).idempotencyKey;
    expect(key({ ...customer })).toBe(key(customer));
    expect(key({ ...customer, phone: "1" })).not.toBe(key(customer));
  });
});

describe("an order", () => {
  test("goes out with the prices of the source", () => {
    expect(JSON.parse(placeOrder("x", order, "c", products).body)).toEqual({
      customerId: "c",
      lines: [{ productId: "p", quantity: 2, unitPrice: { amount: 150, currency: "USD" } }],
      shippingAddress: { name: "Ann", line1: "1 Road", city: "York", country: "UK" },
    });
  });

  test("has a key from its name alone, so that another order of that name is refused instead of placed", () => {
    const key = placeOrder("x", order, "c", products).idempotencyKey;
    expect(placeOrder("x", { ...order, lines: [] }, "d", products).idempotencyKey).toBe(key);
    expect(placeOrder("x", { ...order, keyParts: ["8"] }, "c", products).idempotencyKey).not.toBe(key);
    expect(placeOrder("y", order, "c", products).idempotencyKey).not.toBe(key);
  });

  test("is paid, then shipped, each under a key of its own", () => {
    const steps = stepsAfter("x", order, "o");
    expect(steps.map(({ path, body }) => [path, JSON.parse(body)])).toEqual([
      ["/v1/orders/o/payment", { reference: "r" }], ["/v1/orders/o/shipment", { carrier: "c", trackingNumber: "t" }],
    ]);
    expect(new Set([placeOrder("x", order, "c", products), ...steps].map(({ idempotencyKey }) => idempotencyKey)).size).toBe(3);
  });

  test("that is not paid is not shipped", () => {
    expect(stepsAfter("x", { ...order, payment: null }, "o")).toEqual([]);
  });
});
