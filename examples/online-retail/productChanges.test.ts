import { describe, expect, test } from "vitest";
import type { Product, WantedProduct } from "../importing/Product.ts";
import { adjustStock, correctProduct, createProduct } from "../importing/productChanges.ts";
import { planImport, planRaises } from "./plan.ts";
import { readSourceFile, type SourceFile } from "./SourceFile.ts";

const bytes = Buffer.from([
  "InvoiceNo,StockCode,Description,Quantity,UnitPrice",
  "536365,A,HEART,6,2.55", "536365,A,HEART,6,2.55", "C536379,A,HEART,-1,2.55", "536365,B,,2,0", "",
].join("\n"));
const changesOf = (...files: SourceFile[]) => {
  const { raises, lines } = planImport(files);
  return [...raises, ...lines].map((adjustment) => adjustStock(`id-of-${adjustment.sku}`, adjustment));
};
const wanted: WantedProduct = { sku: "A", name: "HEART", description: "HEART", price: { amount: 255, currency: "GBP" }, status: null };
const product: Product = { ...wanted, status: "active", id: "1", versionId: 7, stock: 3 };

describe("a stock adjustment", () => {
  test("has the same key, path and body bytes wherever the file lies and whatever it is imported with", () => {
    const other = readSourceFile("other.csv", Buffer.concat([bytes, Buffer.from("1,A,X,1,1\n")]));
    const alone = changesOf(readSourceFile("a/2010.csv", bytes));
    expect(changesOf(readSourceFile("b/renamed.csv", bytes))).toEqual(alone);
    expect(changesOf(other, readSourceFile("a/2010.csv", bytes))).toEqual(expect.arrayContaining(alone));
  });

  test("has a key of its own, for equal lines too, that the interface takes", () => {
    const keys = changesOf(readSourceFile("x", bytes)).map(({ idempotencyKey }) => idempotencyKey);
    expect(new Set(keys).size).toBe(6);
    for (const key of keys) expect(key).toMatch(/^[\x21-\x7E]{1,255}$/);
  });

  test("raises for orders under another key than for lines: both may be imported", () => {
    const file = readSourceFile("x", bytes);
    const [forLines, forOrders] = (["raise", "raise-for-orders"] as const).map((kind) => (
      planRaises(file, file.lines, kind).map((raise) => adjustStock("1", raise).idempotencyKey)
    ));
    expect(forLines).not.toEqual(forOrders);
  });

  test("counts anew on a product that took the place of a deleted one", () => {
    const [adjustment] = planImport([readSourceFile("x", bytes)]).lines;
    if (adjustment === undefined) throw new Error("the file has lines");
    expect(adjustStock("1", adjustment).idempotencyKey).not.toBe(adjustStock("2", adjustment).idempotencyKey);
  });
});

describe("a product", () => {
  test("as the files want it is not changed", () => {
    expect(correctProduct(product, wanted)).toBeNull();
  });

  test("is corrected in what differs only", () => {
    const change = correctProduct({ ...product, name: "OLD", price: { amount: 255, currency: "EUR" } }, wanted);
    expect(JSON.parse(change?.body ?? "")).toEqual({ name: "HEART", price: { amount: 255, currency: "GBP" } });
    expect(change).toMatchObject({ method: "PATCH", path: "/v1/products/1", idempotencyKey: null });
  });

  test("keeps a description of which the files say nothing", () => {
    expect(correctProduct({ ...product, description: "by hand" }, { ...wanted, description: null })).toBeNull();
  });

  test("that was discontinued is made active again if the files sell it, and the other way round comes later", () => {
    const change = correctProduct({ ...product, status: "discontinued" }, { ...wanted, status: "active" });
    expect(JSON.parse(change?.body ?? "")).toEqual({ status: "active" });
    expect(correctProduct(product, { ...wanted, status: "discontinued" })).toBeNull();
  });

  test("is created empty, under a key that lasts as long as the run", () => {
    const change = createProduct("run", wanted);
    expect(JSON.parse(change.body)).toEqual({ sku: "A", name: "HEART", description: "HEART", price: wanted.price, stock: 0 });
    expect(createProduct("run", wanted)).toEqual(change);
    expect(createProduct("another", wanted).idempotencyKey).not.toBe(change.idempotencyKey);
  });

  test("of which the files say nothing is created without a description", () => {
    expect(JSON.parse(createProduct("run", { ...wanted, description: null }).body)).not.toHaveProperty("description");
  });
});
