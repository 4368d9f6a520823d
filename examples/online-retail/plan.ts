import type { Adjustment } from "../importing/adjustStocks.ts";
import { cutText } from "../importing/numbers.ts";
import type { WantedProduct } from "../importing/Product.ts";
import type { InvoiceLine } from "./InvoiceLine.ts";
import type { SourceFile } from "./SourceFile.ts";

export const DATA_SET = "online-retail";
export const CURRENCY = "GBP";

const LONGEST_NAME = 200;
const LONGEST_TEXT = 2_000;

export interface Plan {
  readonly products: ReadonlyMap<string, WantedProduct>;
  readonly raises: readonly Adjustment[];
  readonly lines: readonly Adjustment[];
}

export function planImport(files: readonly SourceFile[]): Plan {
  return {
    products: planProducts(files.flatMap((file) => file.lines)),
    raises: files.flatMap((file) => planRaises(file, file.lines, "raise")),
    lines: files.flatMap(planLines),
  };
}

/** Over all files in the order given, the last price wins and the last description that is not empty. */
export function planProducts(lines: readonly InvoiceLine[]): Map<string, WantedProduct> {
  const products = new Map<string, WantedProduct>();
  for (const { sku, description, pence } of lines) {
    const text = description ?? products.get(sku)?.description ?? null;
    products.set(sku, {
      sku,
      name: cutText(text ?? sku, LONGEST_NAME),
      description: text === null ? null : cutText(text, LONGEST_TEXT),
      price: { amount: pence, currency: CURRENCY },
      status: null,
    });
  }
  return products;
}

/**
 * Raises each stock by all that the file takes from it. Then no order of the lines can take what is not there, and
 * what is left of the file in the end is what was given back.
 */
export function planRaises(file: SourceFile, lines: readonly InvoiceLine[], kind: "raise" | "raise-for-orders"): Adjustment[] {
  const taken = new Map<string, number>();
  for (const { sku, quantity } of lines) {
    if (quantity > 0) taken.set(sku, (taken.get(sku) ?? 0) + quantity);
  }
  const what = kind === "raise" ? "all that the lines of this file take" : "all that the orders of this file take";
  return [...taken].map(([sku, delta]) => ({
    dataSet: DATA_SET,
    sku,
    delta,
    reason: `${DATA_SET} ${shortDigest(file)}: ${what}`,
    digest: file.digest,
    origin: { kind },
  }));
}

function planLines(file: SourceFile): Adjustment[] {
  return file.lines.map(({ number, invoice, sku, quantity }) => ({
    dataSet: DATA_SET,
    sku,
    delta: -quantity,
    reason: cutText(`${DATA_SET} ${shortDigest(file)} line ${number}: invoice ${invoice}`, LONGEST_TEXT),
    digest: file.digest,
    origin: { kind: "line", file: file.name, line: number },
  }));
}

const shortDigest = (file: SourceFile): string => file.digest.slice(0, 12);
