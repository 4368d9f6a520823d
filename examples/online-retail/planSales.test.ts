import { describe, expect, test } from "vitest";
import type { InvoiceLine } from "./InvoiceLine.ts";
import { planSales } from "./planSales.ts";
import type { SourceFile } from "./SourceFile.ts";

const lineOf = (number: number, fields: Partial<InvoiceLine>): InvoiceLine => ({
  number, invoice: "536365", sku: "A", description: null, quantity: 1, pence: 100, customer: "17850.0", country: "France", ...fields,
});
const file = (name: string, ...fields: Partial<InvoiceLine>[]): SourceFile => ({
  name, digest: `digest of ${name}`, total: fields.length, lines: fields.map((one, index) => lineOf(index + 2, one)), refusals: [],
});
const reasons = (...fields: Partial<InvoiceLine>[]) => {
  const source = file("f", ...fields);
  return planSales([source]).refusals.get(source)?.map(({ line, reason, detail }) => [line, reason, detail]);
};

test("an invoice is an order of its lines, in their order; repeated ones stay separate", () => {
  const [order, ...more] = planSales([file("f", { quantity: 6 }, { sku: "B", pence: 255 }, { quantity: 6 })]).sales.orders;
  expect(more).toEqual([]);
  expect(order).toMatchObject({ number: "536365", customer: "17850", payment: null, shipment: null });
  expect(order?.lines.map(({ sku, quantity, unitPrice }) => [sku, quantity, unitPrice.amount])).toEqual([["A", 6, 100], ["B", 1, 255], ["A", 6, 100]]);
  expect(order?.shippingAddress).toMatchObject({ name: "Customer 17850", line1: "not recorded", country: "France" });
});

test("a customer is made once, however many invoices there are", () => {
  expect(planSales([file("f", {}, { invoice: "2" }, { invoice: "3", customer: "13090" })]).sales.customers).toMatchObject([
    { number: "17850", name: "Customer 17850", email: "17850@example.com", phone: null, address: null },
    { number: "13090" },
  ]);
});

describe("a line is refused", () => {
  test.each([
    [{ invoice: "C536379" }, "invoice-cancelled", ""],
    [{ invoice: "C536379", quantity: -1 }, "invoice-cancelled", "also quantity-below-1"],
    [{ customer: null, quantity: -5, pence: 0 }, "customer-missing", "also quantity-below-1, price-0"],
    [{ quantity: -1 }, "quantity-below-1", ""],
    [{ pence: 0 }, "price-0", ""],
    [{ quantity: 1_000_001 }, "quantity-above-1000000", ""],
    [{ customer: "somebody" }, "customer-unreadable", ""],
  ] as const)("%j as %s, and the rest of the invoice is the order", (fields, reason, detail) => {
    expect(reasons({}, fields)).toEqual([[3, reason, detail]]);
    expect(planSales([file("f", {}, { invoice: "536365", ...fields })]).sales.orders.map(({ lines }) => lines.length)).toEqual([1]);
  });

  test("with its whole invoice if that has two customers, or more lines than an order may have", () => {
    expect(reasons({}, { customer: "1" })).toEqual([[2, "invoice-of-two-customers", ""], [3, "invoice-of-two-customers", ""]]);
    expect(reasons(...Array.from({ length: 1_001 }, () => ({})))).toHaveLength(1_001);
    expect(reasons(...Array.from({ length: 1_000 }, () => ({})))).toEqual([]);
  });
});

test("an invoice that goes on in another file is another order: files may be imported one by one", () => {
  const [first, second] = [file("f", {}), file("g", {})];
  const together = planSales([first, second]).sales.orders;
  expect(together.map(({ number }) => number)).toEqual(["536365", "536365 of g"]);
  expect(together.map(({ keyParts }) => keyParts)).toEqual([first, second].map((one) => planSales([one]).sales.orders[0]?.keyParts));
});
