import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import type { InvoiceLine } from "./InvoiceLine.ts";
import { planImport, planProducts } from "./plan.ts";
import type { SourceFile } from "./SourceFile.ts";

const line = (fields: Partial<InvoiceLine>): InvoiceLine => (
  { number: 2, invoice: "536365", sku: "A", description: "HEART", quantity: 1, pence: 100, customer: null, country: null, ...fields }
);
const file = (digest: string, lines: readonly InvoiceLine[]): SourceFile => (
  { name: `${digest}.csv`, digest, total: lines.length, lines, refusals: [] }
);

describe("a product", () => {
  test("has the last price and the last description over the files in the order given", () => {
    const early = file("early", [line({ description: "OLD", pence: 100 })]);
    const late = file("late", [line({ description: "NEW", pence: 200 })]);
    expect(planImport([early, late]).products.get("A")).toMatchObject({ name: "NEW", price: { amount: 200, currency: "GBP" } });
    expect(planImport([late, early]).products.get("A")).toMatchObject({ name: "OLD", price: { amount: 100, currency: "GBP" } });
  });

  test("keeps its description when a later line has none, while a later price of 0 counts", () => {
    const products = planProducts([line({ description: "HEART" }), line({ description: null, pence: 0 })]);
    expect(products.get("A")).toEqual(
      { sku: "A", name: "HEART", description: "HEART", price: { amount: 0, currency: "GBP" }, status: null },
    );
  });

  test("without any description is named by its stock code", () => {
    expect(planProducts([line({ description: null })]).get("A")).toMatchObject({ name: "A", description: null });
  });

  test("has a name of at most 200 and a description of at most 2,000 characters", () => {
    const product = planProducts([line({ description: "x".repeat(3_000) })]).get("A");
    expect([product?.name.length, product?.description?.length]).toEqual([200, 2_000]);
  });
});

describe("the stock", () => {
  test("is taken by a sale and given back by a cancellation", () => {
    const plan = planImport([file("f", [line({ number: 2, quantity: 6 }), line({ number: 3, quantity: -2 })])]);
    expect(plan.lines.map(({ delta }) => delta)).toEqual([-6, 2]);
    expect(plan.raises.map(({ delta }) => delta)).toEqual([6]);
  });

  test("is not raised for a product that a file only gives back", () => {
    expect(planImport([file("f", [line({ quantity: -2 })])]).raises).toEqual([]);
  });

  test("suffices once it is raised, in any order of the lines of all files", () => {
    const lines = fc.array(fc.record({ sku: fc.constantFrom("A", "B"), quantity: fc.integer({ min: -50, max: 50 }) }));
    fc.assert(fc.property(lines, lines, fc.infiniteStream(fc.nat()), (first, second, random) => {
      const plan = planImport([file("1", first.map(line)), file("2", second.map(line))]);
      const stock = new Map<string, number>();
      const add = (sku: string, delta: number) => stock.set(sku, (stock.get(sku) ?? 0) + delta);
      for (const { sku, delta } of plan.raises) add(sku, delta);
      const order = plan.lines.map((one) => ({ one, rank: random.next().value })).toSorted((a, b) => a.rank - b.rank);
      for (const { one } of order) {
        add(one.sku, one.delta);
        expect(stock.get(one.sku)).toBeGreaterThanOrEqual(0);
      }
    }));
  });
});
