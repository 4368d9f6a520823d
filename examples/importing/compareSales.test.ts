import { describe, expect, test } from "vitest";
import type { Address } from "./Address.ts";
import { compareFullOrder, compareOrder } from "./compareOrders.ts";
import { compareListed } from "./compareSales.ts";
import { compareFullCustomer, compareMaskedCustomer, type WantedCustomer } from "./Customer.ts";
import { asOrder, type Order } from "./Order.ts";
import { totalOf, type WantedOrder } from "./Sales.ts";

const address: Address = { name: "Ann", line1: "1 Road", line2: null, city: "York", region: null, postcode: "Y1", country: "UK" };
const wanted: WantedCustomer = { number: "ANN", name: "Ann", email: "ann@example.com", phone: "1", address, marketingConsent: false, from: null };
const customer = (fields: object) => ({ id: "c", versionId: 1, body: { name: "Ann", email: "ann@example.com", phone: "1", address, marketingConsent: false, ...fields } });

const usd = (amount: number) => ({ amount, currency: "USD" });
const from = { file: "f", line: 2 };
const order: WantedOrder = {
  number: "7", keyParts: ["7"], customer: "ANN", shippingAddress: address, from: null,
  lines: [{ sku: "A", quantity: 2, unitPrice: usd(150), from }, { sku: "A", quantity: 2, unitPrice: usd(150), from }],
  payment: { reference: "r" }, shipment: { carrier: "c", trackingNumber: "t" },
};
const body = {
  id: "o", versionId: 3, customerId: "c", status: "shipped", total: usd(600),
  lines: [1, 2].map(() => ({ productId: "p", sku: "A", quantity: 2, unitPrice: usd(150) })),
  payment: { reference: "r", paidAt: "more may come" }, shipment: { carrier: "c", trackingNumber: "t" }, shippingAddress: address,
};
const ids = { customers: new Map([["ANN", { id: "c" }]]), products: new Map([["A", { id: "p" }]]) };
const fieldsOf = (changes: object) => compareFullOrder(order, { id: "o", versionId: 3 }, asOrder({ ...body, ...changes }) as Order, ids).map(({ field }) => field);

describe("a customer", () => {
  test("as the files say is no difference", () => {
    expect(compareFullCustomer(wanted, customer({}))).toEqual([]);
  });

  test.each([
    ["name", { name: "Bob" }], ["email", { email: "bob@example.com" }], ["phone", { phone: null }], ["address", { address: null }],
    ["address.postcode", { address: { ...address, postcode: null } }], ["address.line2", { address: { ...address, line2: "x" } }],
    ["marketingConsent", { marketingConsent: true }],
  ])("differs in %s", (field, fields) => {
    expect(compareFullCustomer(wanted, customer(fields)).map((one) => one.field)).toEqual([field]);
  });

  test("is never printed: a report says that a name differs, not which it is", () => {
    const differences = [
      ...compareFullCustomer(wanted, customer({ name: "Bob Secret", email: "secret@example.com", phone: "555", address: { ...address, city: "Secret" } })),
      ...compareFullOrder(order, { id: "o", versionId: 3 }, asOrder({ ...body, shippingAddress: { ...address, line1: "Secret" } }) as Order, ids),
    ];
    expect(differences).toHaveLength(5);
    expect(JSON.stringify(differences)).not.toMatch(/Secret|secret|555|ann@|York|Road/);
  });

  test("in the plain view has hashes and nothing personal", () => {
    const plain = { id: "c", versionId: 1, body: { marketingConsent: false, emailHash: "h", phoneHash: "h" } };
    expect(compareMaskedCustomer(wanted, plain)).toEqual([]);
    expect(compareMaskedCustomer({ ...wanted, phone: null }, plain).map(({ field }) => field)).toEqual(["phoneHash"]);
    expect(compareMaskedCustomer(wanted, { ...plain, body: { ...plain.body, name: "Ann" } }).map(({ field }) => field)).toEqual(["name"]);
  });
});

describe("an order", () => {
  test("as the files say is no difference, in the plain view without the address", () => {
    expect(fieldsOf({})).toEqual([]);
    expect(compareOrder(order, { id: "o", versionId: 3 }, asOrder({ ...body, shippingAddress: undefined }) as Order, ids)).toEqual([]);
  });

  test.each([
    [["customerId"], { customerId: "d" }], [["status"], { status: "paid" }], [["total"], { total: usd(601) }],
    [["lines"], { lines: body.lines.slice(1) }], [["lines[1].quantity"], { lines: [body.lines[0], { ...body.lines[1], quantity: 4 }] }],
    [["lines[0].unitPrice"], { lines: [{ ...body.lines[0], unitPrice: { amount: 150, currency: "EUR" } }, body.lines[1]] }],
    [["lines[0].productId"], { lines: [{ ...body.lines[0], productId: "q" }, body.lines[1]] }],
    [["payment", "payment.reference"], { payment: null }], [["payment.reference"], { payment: { reference: "s" } }],
    [["shipment.trackingNumber"], { shipment: { carrier: "c", trackingNumber: "u" } }],
    [["shippingAddress.city"], { shippingAddress: { ...address, city: "Leeds" } }], [["shippingAddress"], { shippingAddress: null }],
    [["version"], { versionId: 2 }],
  ])("differs in %j", (fields, changes) => {
    expect(fieldsOf(changes)).toEqual(fields);
  });

  test("comes to its lines' quantities times their prices", () => {
    expect(totalOf(order)).toEqual(usd(600));
  });
});

test("a list lacks no order, and has no other if nobody else may order", () => {
  const customers = { before: new Map([["ANN", { id: "c", versionId: 1 }]]) };
  const placed = { placed: new Map([[order, { id: "o", versionId: 3, replayed: false }]]) };
  const fields = (listed: string[], exclusive: boolean) => (
    compareListed(customers, placed, new Map([["ANN", new Set(listed)]]), exclusive).map(({ of }) => of)
  );
  expect([fields(["o"], true), fields([], true), fields(["o", "x"], false), fields(["o", "x"], true)])
    .toEqual([[], ["order 7"], [], ["customer ANN"]]);
});
