import type { NotCarried } from "../importing/Result.ts";
import type { PlannedSales } from "./planSales.ts";

/** Of the lines that became lines of orders. */
export function notCarried({ ordered }: PlannedSales): NotCarried[] {
  return [...ordered].flatMap(([file, lines]): NotCarried[] => [
    { file: file.name, column: "InvoiceNo", values: lines.length, note: "an order has no number of its own; the idempotency keys are made from it" },
    { file: file.name, column: "InvoiceDate", values: lines.length, note: "an order is placed when it is imported" },
    { file: file.name, column: "Description", values: lines.filter(({ description }) => description !== null).length, note: "of the line; the product has the last one" },
  ]);
}
