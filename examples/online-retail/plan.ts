import type { InvoiceLine } from "./InvoiceLine.ts";
import { cutText } from "./numbers.ts";
import type { SourceFile } from "./SourceFile.ts";

const LONGEST_NAME = 200;
const LONGEST_TEXT = 2_000;

/** What the files say about a product. */
export interface Wanted {
  readonly sku: string;
  readonly name: string;
  /** null: the files say nothing; what the product has stays and is not compared. */
  readonly description: string | null;
  readonly price: { readonly amount: number; readonly currency: "GBP" };
}

/** One change of a stock. Everything in it follows from the bytes of one file. */
export interface Adjustment {
  readonly sku: string;
  readonly delta: number;
  readonly reason: string;
  readonly digest: string;
  /** A line of the file, or the raise of this SKU for the whole file. */
  readonly origin: { readonly kind: "line"; readonly file: string; readonly line: number } | { readonly kind: "raise" };
}

export interface Plan {
  readonly products: ReadonlyMap<string, Wanted>;
  readonly raises: readonly Adjustment[];
  readonly lines: readonly Adjustment[];
}

export function planImport(files: readonly SourceFile[]): Plan {
  return {
    products: planProducts(files.flatMap((file) => file.lines)),
    raises: files.flatMap(planRaises),
    lines: files.flatMap(planLines),
  };
}

/** Over all files in the order given, the last price wins and the last description that is not empty. */
export function planProducts(lines: readonly InvoiceLine[]): Map<string, Wanted> {
  const products = new Map<string, Wanted>();
  for (const { sku, description, pence } of lines) {
    const text = description ?? products.get(sku)?.description ?? null;
    products.set(sku, {
      sku,
      name: cutText(text ?? sku, LONGEST_NAME),
      description: text === null ? null : cutText(text, LONGEST_TEXT),
      price: { amount: pence, currency: "GBP" },
    });
  }
  return products;
}

/**
 * Raises each stock by all that the file takes from it. Then no order of the lines can take what is not there, and
 * what is left of the file in the end is what was given back.
 */
function planRaises(file: SourceFile): Adjustment[] {
  const taken = new Map<string, number>();
  for (const { sku, quantity } of file.lines) {
    if (quantity > 0) taken.set(sku, (taken.get(sku) ?? 0) + quantity);
  }
  return [...taken].map(([sku, delta]) => ({
    sku,
    delta,
    reason: `online-retail ${shortDigest(file)}: all that the lines of this file take`,
    digest: file.digest,
    origin: { kind: "raise" },
  }));
}

function planLines(file: SourceFile): Adjustment[] {
  return file.lines.map(({ number, invoice, sku, quantity }) => ({
    sku,
    delta: -quantity,
    reason: cutText(`online-retail ${shortDigest(file)} line ${number}: invoice ${invoice}`, LONGEST_TEXT),
    digest: file.digest,
    origin: { kind: "line", file: file.name, line: number },
  }));
}

const shortDigest = (file: SourceFile): string => file.digest.slice(0, 12);
