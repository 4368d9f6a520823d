import { describe, expect, test } from "vitest";
import type { Accepted } from "./applyPlan.ts";
import type { Wanted } from "./plan.ts";
import type { Product } from "./Product.ts";
import { compare, countChanged, expectStock } from "./reconcile.ts";

const wanted: Wanted = { sku: "A", name: "HEART", description: "HEART", price: { amount: 255, currency: "GBP" } };
const product = (versionId: number, stock: number): Product => ({ ...wanted, id: "1", versionId, stock });
const accepted = (versionId: number, delta: number, replayed = false): Accepted => ({
  adjustment: { sku: "A", delta, reason: "", digest: "f", origin: { kind: "raise" } },
  versionId,
  replayed,
});
const expectOne = (before: Product, ...all: Accepted[]) =>
  expectStock({ before: new Map([["A", before]]), accepted: all })[0];
const differencesOf = (before: Product, all: Accepted[], found: Product | null) => compare(
  expectStock({ before: new Map([["A", before]]), accepted: all }),
  new Map([["A", wanted]]),
  { products: new Map(found === null ? [] : [["A", found]]), unread: new Map(found === null ? [["A", "410 deleted"]] : []) },
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

describe("a difference", () => {
  const lines = [accepted(2, 6), accepted(3, -5)];

  test("is none where everything is as expected", () => {
    expect(differencesOf(product(1, 0), lines, product(3, 1))).toEqual([]);
  });

  test("is a stock that lost or doubled a line", () => {
    expect(differencesOf(product(1, 0), lines, product(3, 6))).toEqual([{ sku: "A", field: "stock", expected: "1", found: "6" }]);
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

  test("is a product that cannot be read", () => {
    expect(differencesOf(product(1, 0), lines, null)).toEqual([
      { sku: "A", field: "product", expected: "a product", found: "410 deleted" },
    ]);
  });
});

test("a product counts as changed if it was created or has another version than the one found", () => {
  const before = new Map([["A", product(4, 1)]]);
  const now = (versionId: number) => ({ products: new Map([["A", product(versionId, 1)]]) });
  expect(countChanged({ before, created: new Set() }, now(4))).toBe(0);
  expect(countChanged({ before, created: new Set() }, now(5))).toBe(1);
  expect(countChanged({ before, created: new Set(["A"]) }, now(4))).toBe(1);
});
