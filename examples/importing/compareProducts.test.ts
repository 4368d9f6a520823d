import { describe, expect, test } from "vitest";
import type { Accepted } from "./adjustStocks.ts";
import { compareProducts, countChanged, expectStock, type Ordered } from "./compareProducts.ts";
import type { Product, WantedProduct } from "./Product.ts";

const wanted: WantedProduct = { sku: "A", name: "HEART", description: "HEART", price: { amount: 255, currency: "GBP" }, status: null };
const product = (versionId: number, stock: number): Product => ({ ...wanted, status: "active", id: "1", versionId, stock });
const accepted = (versionId: number, delta: number, replayed = false): Accepted => ({
  adjustment: { dataSet: "test", sku: "A", delta, reason: "", digest: "f", origin: { kind: "raise" } },
  versionId,
  replayed,
});
const expectOne = (before: Product, ...all: Accepted[]) =>
  expectStock({ before: new Map([["A", before]]), accepted: all, ordered: [] })[0];
const expectOrdered = (before: Product, all: readonly Accepted[], ordered: readonly Ordered[]) =>
  expectStock({ before: new Map([["A", before]]), accepted: all, ordered })[0];
const differencesOf = (before: Product, all: Accepted[], found: Product | null, want = wanted) => compareProducts(
  expectStock({ before: new Map([["A", before]]), accepted: all, ordered: [] }),
  new Map([["A", want]]),
  { entities: new Map(found === null ? [] : [["A", found]]), unread: new Map(found === null ? [["A", "410 deleted"]] : []) },
);

describe("the stock expected", () => {
  test("of a product that the run created is what the files say", () => {
    expect(expectOne(product(1, 0), accepted(2, 6), accepted(3, -6), accepted(4, 1))).toMatchObject({ stock: 1, elsewhere: 0 });
  });

  test("is the same on the second import, where everything is in the stock found", () => {
    const again = [accepted(2, 6, true), accepted(3, -6, true), accepted(4, 1, true)];
    expect(expectOne(product(4, 1), ...again)).toMatchObject({ stock: 1, elsewhere: 0 });
  });

  test("is the same after an interruption, where only the older part is in the stock found", () => {
    const rest = [accepted(2, 6, true), accepted(3, -6), accepted(4, 1)];
    expect(expectOne(product(2, 6), ...rest)).toMatchObject({ stock: 1, elsewhere: 0 });
  });

  test("is the same where a replay answers for a change that this run made itself", () => {
    expect(expectOne(product(1, 0), accepted(2, 6, true))).toMatchObject({ stock: 6, elsewhere: 0 });
  });

  test("keeps what was there from elsewhere, and names it", () => {
    expect(expectOne(product(5, 40), accepted(6, 6), accepted(7, -6))).toMatchObject({ stock: 40, elsewhere: 40 });
    expect(expectOne(product(9, 41), accepted(3, 6, true), accepted(4, -5, true))).toMatchObject({ stock: 41, elsewhere: 40 });
  });
});

describe("the stock expected after orders", () => {
  const raise = accepted(2, 10);
  const order = (quantity: number, earlier: boolean): Ordered => ({ sku: "A", quantity, earlier });

  test("is what was raised less what was ordered", () => {
    expect(expectOrdered(product(1, 0), [raise], [order(3, false), order(5, false)])).toMatchObject({ stock: 2, elsewhere: 0 });
  });

  test("is the same on the second import, where the stock found is without the pieces", () => {
    expect(expectOrdered(product(4, 2), [raise], [order(3, true), order(5, true)])).toMatchObject({ stock: 2, elsewhere: 0 });
  });

  test("is the same after an interruption between two orders", () => {
    expect(expectOrdered(product(3, 7), [raise], [order(3, true), order(5, false)])).toMatchObject({ stock: 2, elsewhere: 0 });
  });

  test("names what an order of somebody else took", () => {
    expect(expectOrdered(product(5, 1), [raise], [order(3, true), order(5, true)])).toMatchObject({ elsewhere: -1 });
  });
});

describe("a difference", () => {
  const lines = [accepted(2, 6), accepted(3, -5)];

  test("is none where everything is as expected", () => {
    expect(differencesOf(product(1, 0), lines, product(3, 1))).toEqual([]);
  });

  test("is a stock that lost or doubled a line", () => {
    expect(differencesOf(product(1, 0), lines, product(3, 6))).toEqual([{ of: "A", field: "stock", expected: "1", found: "6" }]);
  });

  test("is a version older than one that was answered", () => {
    expect(differencesOf(product(1, 0), lines, product(2, 1)).map(({ field }) => field)).toEqual(["version"]);
  });

  test("is a version that two changes were answered with", () => {
    const twice = [accepted(2, 6), accepted(2, -5)];
    expect(differencesOf(product(1, 0), twice, product(2, 1)).map(({ field }) => field)).toEqual(["version"]);
  });

  test.each([
    ["sku", { sku: "a" }], ["name", { name: "OLD" }], ["description", { description: null }],
    ["price", { price: { amount: 256, currency: "GBP" } }], ["price", { price: { amount: 255, currency: "EUR" } }],
  ] as const)("is another %s", (field, change) => {
    expect(differencesOf(product(1, 0), lines, { ...product(3, 1), ...change }).map((one) => one.field)).toEqual([field]);
  });

  test("is another status, if the files speak of one", () => {
    const fields = (status: "active" | "discontinued" | null) => (
      differencesOf(product(1, 0), lines, product(3, 1), { ...wanted, status }).map((one) => one.field)
    );
    expect([fields("discontinued"), fields("active"), fields(null)]).toEqual([["status"], [], []]);
  });

  test("is a product that cannot be read", () => {
    expect(differencesOf(product(1, 0), lines, null)).toEqual([
      { of: "A", field: "product", expected: "a product", found: "410 deleted" },
    ]);
  });
});

test("a product counts as changed if it was created or has another version than the one found", () => {
  const before = new Map([["A", product(4, 1)]]);
  const now = (versionId: number) => ({ entities: new Map([["A", product(versionId, 1)]]) });
  expect(countChanged({ before, created: new Set() }, now(4))).toBe(0);
  expect(countChanged({ before, created: new Set() }, now(5))).toBe(1);
  expect(countChanged({ before, created: new Set(["A"]) }, now(4))).toBe(1);
});
