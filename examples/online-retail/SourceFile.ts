import { digestOf } from "../importing/Change.ts";
import { isBrokenText, parseCells, splitLines } from "../importing/csv.ts";
import { parseMinorUnits, parseQuantity } from "../importing/numbers.ts";
import { parsed, refused, type Refusal } from "../importing/Refusal.ts";
import type { InvoiceLine, ParsedLine } from "./InvoiceLine.ts";

const COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice"] as const;
/** Orders need to know who ordered. */
const ORDER_COLUMNS = ["CustomerID", "Country"] as const;
type Row = Readonly<Record<(typeof COLUMNS)[number], string> & Partial<Record<(typeof ORDER_COLUMNS)[number], string>>>;

const LONGEST_SKU = 200;

export interface SourceFile {
  /** For reports only. */
  readonly name: string;
  /** SHA-256 of the bytes: what the file is, wherever it lies. */
  readonly digest: string;
  /** Lines after the header, counted before any is parsed. */
  readonly total: number;
  readonly lines: readonly InvoiceLine[];
  readonly refusals: readonly Refusal[];
}

/**
 * Reads a file line by line; no description of this data set holds a line break.
 *
 * Throws if the header lacks a column: such a file is another kind of file.
 */
export function readSourceFile(name: string, bytes: Uint8Array, orders = false): SourceFile {
  const [header = "", ...rows] = splitLines(bytes);
  const columns = parseCells(header);
  const missing = [...COLUMNS, ...(orders ? ORDER_COLUMNS : [])].filter((column) => !columns?.includes(column));
  if (columns === null || missing.length > 0) throw new Error(`${name}: the header lacks ${missing.join(", ")}`);

  const lines: InvoiceLine[] = [];
  const refusals: Refusal[] = [];
  for (const [index, text] of rows.entries()) {
    const number = index + 2;
    const line = parseLine(columns, number, text);
    if (line.ok) lines.push(line.value);
    else refusals.push({ file: name, line: number, reason: line.reason, detail: "" });
  }
  return { name, digest: digestOf(bytes), total: rows.length, lines, refusals };
}

/** Files of the same bytes are one source: the lines of the second are refused, whatever its name. */
export function refuseRepeated(files: readonly SourceFile[]): SourceFile[] {
  const seen = new Set<string>();
  return files.map((file) => {
    if (!seen.has(file.digest)) {
      seen.add(file.digest);
      return file;
    }
    const refusals = Array.from({ length: file.total }, (_, index) => (
      { file: file.name, line: index + 2, reason: "same-file-again", detail: "" }
    ));
    return { ...file, lines: [], refusals };
  });
}

function parseLine(columns: readonly string[], number: number, text: string): ParsedLine {
  if (text.trim() === "") return refused("empty-line");
  if (isBrokenText(text)) return refused("broken-text");
  const cells = parseCells(text);
  if (cells === null) return refused("broken-quotes");
  if (cells.length !== columns.length) return refused("wrong-column-count");
  const row = Object.fromEntries(columns.map((column, index) => [column, cells[index] ?? ""])) as Row;
  return parseRow(row, number);
}

function parseRow(row: Row, number: number): ParsedLine {
  const invoice = row.InvoiceNo.trim();
  if (invoice === "") return refused("invoice-missing");
  const sku = row.StockCode.trim();
  if (sku === "") return refused("stock-code-missing");
  if (sku.length > LONGEST_SKU) return refused("stock-code-too-long");
  const quantity = parseQuantity(row.Quantity);
  if (!quantity.ok) return quantity;
  const pence = parseMinorUnits(row.UnitPrice);
  if (!pence.ok) return pence;
  const description = row.Description.trim() || null;
  const customer = row.CustomerID?.trim() || null;
  const country = row.Country?.trim() || null;
  return parsed({ number, invoice, sku, description, quantity: quantity.value, pence: pence.value, customer, country });
}
