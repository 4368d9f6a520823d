import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { statusOf, totalOf } from "../importing/Sales.ts";
import { planNorthwind } from "./planNorthwind.ts";
import { readNorthwind } from "./tables.ts";

/** Beside the project, not part of it. */
const folder = resolve(import.meta.dirname, "../../../shared/data/northwind");

describe.skipIf(!existsSync(folder))("the Northwind files", () => {
  test("are read to the last line", () => {
    const { customers, products, orders, details } = readNorthwind(folder);
    const tables = [customers, products, orders, details];
    expect(tables.map(({ rows }) => rows.length)).toEqual([91, 77, 830, 2_155]);
    expect(tables.flatMap(({ refusals }) => refusals)).toEqual([]);
    expect(planNorthwind({ customers, products, orders, details }).refusals).toEqual([]);
  });

  test("lose and gain no character: every row, joined again, is its line", () => {
    const tables = readNorthwind(folder);
    for (const { name, rows } of Object.values(tables)) {
      const [header = "", ...lines] = readFileSync(join(folder, name), "utf8").trimEnd().split("\n");
      const columns = header.split(",");
      for (const { line, cells } of rows as readonly { line: number; cells: Record<string, string | null> }[]) {
        expect(columns.map((column) => cells[column] ?? "NULL").join(",")).toBe(lines[line - 2]);
      }
    }
  });

  test("have a comma in the address of 24 customers and 176 orders, and the two files agree on every one", () => {
    const { customers, orders } = readNorthwind(folder);
    const addressOf = new Map(customers.rows.map(({ cells }) => [cells.customerID, `${cells.address}|${cells.city}|${cells.country}`]));
    const torn = orders.rows.filter(({ cells }) => cells.shipAddress?.includes(","));
    expect(customers.rows.filter(({ cells }) => cells.address?.includes(","))).toHaveLength(24);
    expect(torn).toHaveLength(176);
    for (const { cells } of torn) {
      expect(`${cells.shipAddress}|${cells.shipCity}|${cells.shipCountry}`).toBe(addressOf.get(cells.customerID));
    }
  });

  test("have a comma in no other column once they are read", () => {
    const { customers, products, orders, details } = readNorthwind(folder);
    const cells = [customers, products, orders, details].flatMap(({ rows }) => rows.flatMap((row) => Object.entries<string | null>(row.cells)));
    const torn = cells.filter(([, cell]) => cell?.includes(",")).map(([column]) => column);
    expect(new Set(torn)).toEqual(new Set(["address", "shipAddress"]));
  });

  test("are 809 orders shipped and 21 placed, 8 products discontinued, and 51,317 pieces", () => {
    const { sales, products, raises, rounded } = planNorthwind(readNorthwind(folder));
    const { placed, shipped } = Object.groupBy(sales.orders, statusOf);
    expect([placed?.length, shipped?.length]).toEqual([21, 809]);
    expect([...products.values()].filter(({ status }) => status === "discontinued")).toHaveLength(8);
    const pieces = sales.orders.flatMap(({ lines }) => lines).reduce((sum, { quantity }) => sum + quantity, 0);
    expect([pieces, raises.reduce((sum, { delta }) => sum + delta, 0)]).toEqual([51_317, 51_317 + 3_119]);
    expect(rounded).toBe(200);
  });

  test("have another price than the product on 658 lines and a discount on 838, as the data set is known to", () => {
    const { products, details } = readNorthwind(folder);
    const price = new Map(products.rows.map(({ cells }) => [cells.productID, Number(cells.unitPrice)]));
    expect(details.rows.filter(({ cells }) => price.get(cells.productID) !== Number(cells.unitPrice))).toHaveLength(658);
    expect(details.rows.filter(({ cells }) => Number(cells.discount) > 0)).toHaveLength(838);
  });

  test("come to the revenue that the data set is known for, but for the rounding of 200 prices", () => {
    const total = planNorthwind(readNorthwind(folder)).sales.orders.reduce((sum, order) => sum + totalOf(order).amount, 0);
    // 1,265,793.04 US dollars.
    expect(Math.abs(total - 126_579_304)).toBeLessThan(200 * 130 / 2);
  });
});
