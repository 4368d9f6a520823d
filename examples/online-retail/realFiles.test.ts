import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { planImport } from "./plan.ts";
import { planSales } from "./planSales.ts";
import { readSourceFile } from "./SourceFile.ts";

/** Beside the project, not part of it. */
const folder = resolve(import.meta.dirname, "../../../shared/data/online-retail");

describe.skipIf(!existsSync(folder))("three days of the data set", () => {
  const days = ["2010-12-01.csv", "2010-12-02.csv", "2010-12-03.csv"];
  const readAll = () => days.map((name) => readSourceFile(name, readFileSync(join(folder, name))));

  test("have 7,419 lines, none of which is refused", () => {
    const files = readAll();
    expect(files.map(({ total }) => total)).toEqual([3_108, 2_109, 2_202]);
    expect(files.map(({ lines }) => lines.length)).toEqual([3_108, 2_109, 2_202]);
    expect(files.flatMap(({ refusals }) => refusals)).toEqual([]);
  });

  test("have as many lines as the file has line feeds after the header", () => {
    for (const [index, { total }] of readAll().entries()) {
      const text = readFileSync(join(folder, days[index] ?? ""), "utf8");
      expect(total).toBe(text.split("\n").length - 2);
    }
  });

  test("are 1,866 products, 26 pairs of which differ in case only", () => {
    const { products } = planImport(readAll());
    expect(products.size).toBe(1_866);
    expect(products.size - new Set([...products.keys()].map((sku) => sku.toUpperCase())).size).toBe(26);
  });

  test("take and give back what a count by hand says", () => {
    const { raises, lines } = planImport(readAll());
    const sum = (adjustments: readonly { readonly delta: number }[]) => adjustments.reduce((all, { delta }) => all + delta, 0);
    expect([raises.length, sum(raises), lines.length, sum(lines)]).toEqual([3_406, 74_826, 7_419, -62_667]);
  });

  test("name a product by its code if none of its lines describes it, and take a price of 0 as one", () => {
    const products = [...planImport(readAll()).products.values()];
    expect(products.filter(({ description }) => description === null).every(({ name, sku }) => name === sku)).toBe(true);
    expect(products.filter(({ description }) => description === null)).toHaveLength(19);
    expect(products.filter(({ price }) => price.amount === 0)).toHaveLength(39);
  });

  test("are 315 orders of 234 customers, of 5,045 lines; the other 2,374 are refused", () => {
    const files = readAll();
    const { sales, refusals } = planSales(files);
    expect([sales.orders.length, sales.customers.length]).toEqual([315, 234]);
    const lines = sales.orders.map((order) => order.lines.length);
    expect([lines.reduce((sum, count) => sum + count, 0), Math.max(...lines)]).toEqual([5_045, 121]);
    const reasons = Object.groupBy([...refusals.values()].flat(), ({ reason }) => reason);
    expect(Object.entries(reasons).map(([reason, all]) => [reason, all?.length])).toEqual([
      ["invoice-cancelled", 84], ["customer-missing", 2_290],
    ]);
  });
});
