import type { NotCarried } from "../importing/Result.ts";
import type { Northwind } from "./tables.ts";
import type { Table } from "./readTable.ts";

/** Every column that is not mentioned here is compared in the end. */
export function notCarried({ customers, products, orders, details }: Northwind, rounded: number): NotCarried[] {
  const unshipped = orders.rows.filter(({ cells }) => cells.shippedDate === null && cells.shipVia !== null).length;
  const discounts = details.rows.filter(({ cells }) => !/^0(\.0+)?$/.test(cells.discount ?? "")).length;
  return [
    column(customers, "companyName", "a customer is a person; where it is a ship-to name, the order has it"),
    column(customers, "contactTitle"),
    column(customers, "fax"),
    column(products, "supplierID"),
    column(products, "categoryID"),
    column(products, "quantityPerUnit"),
    column(products, "unitsOnOrder", "with the suppliers"),
    column(products, "reorderLevel"),
    column(orders, "orderID", "an order has no number of its own; payment, shipment and the idempotency keys are made from it"),
    column(orders, "employeeID"),
    column(orders, "orderDate", "an order is placed when it is imported"),
    column(orders, "requiredDate"),
    column(orders, "shippedDate", "that it is shipped is carried, the day is not"),
    { file: orders.name, column: "shipVia", values: unshipped, note: "of orders not shipped: a carrier comes with the shipment" },
    column(orders, "freight"),
    { file: details.name, column: "discount", values: discounts, note: `contained in the unit price; ${rounded} were rounded to a whole cent` },
  ];
}

const column = <C extends string>({ name, rows }: Table<C>, column: C, note = ""): NotCarried => (
  { file: name, column, values: rows.filter(({ cells }) => cells[column] !== null).length, note }
);
