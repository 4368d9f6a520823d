import { createHash } from "node:crypto";
import { CsvError, parse } from "csv-parse/sync";
import { parsed, refused, type InvoiceLine, type Parsed, type Refusal } from "./InvoiceLine.ts";
import { parsePence, parseQuantity } from "./numbers.ts";

const COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice"] as const;
type Row = Readonly<Record<(typeof COLUMNS)[number], string>>;

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
 * Reads a file line by line. A record is one line: no description of this data set holds a line break, and a quote
 * that is never closed then costs its own line instead of the rest of the file.
 *
 * Throws if the header lacks a column: such a file is another kind of file.
 */
export function readSourceFile(name: string, bytes: Uint8Array): SourceFile {
  const [header = "", ...rows] = splitLines(new TextDecoder().decode(bytes));
  const columns = parseCsv(header);
  const missing = COLUMNS.filter((column) => !columns?.includes(column));
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

function parseLine(columns: readonly string[], number: number, text: string): Parsed<InvoiceLine> {
  if (text.trim() === "") return refused("empty-line");
  // U+FFFD is what the decoder leaves of bytes that are no UTF-8; U+0000 no string of the interface may hold.
  if (/[\0\uFFFD]/.test(text)) return refused("broken-text");
  const cells = parseCsv(text);
  if (cells === null) return refused("broken-quotes");
  if (cells.length !== columns.length) return refused("wrong-column-count");
  const row = Object.fromEntries(columns.map((column, index) => [column, cells[index] ?? ""])) as Row;
  return parseRow(row, number);
}

function parseRow(row: Row, number: number): Parsed<InvoiceLine> {
  const invoice = row.InvoiceNo.trim();
  if (invoice === "") return refused("invoice-missing");
  const sku = row.StockCode.trim();
  if (sku === "") return refused("stock-code-missing");
  if (sku.length > LONGEST_SKU) return refused("stock-code-too-long");
  const quantity = parseQuantity(row.Quantity);
  if (!quantity.ok) return quantity;
  const pence = parsePence(row.UnitPrice);
  if (!pence.ok) return pence;
  const description = row.Description.trim() || null;
  return parsed({ number, invoice, sku, description, quantity: quantity.value, pence: pence.value });
}

/** null where the quotes are broken. */
function parseCsv(line: string): string[] | null {
  try {
    return parse(line, { relax_column_count: true, record_delimiter: "\n" })[0] ?? [];
  } catch (error) {
    if (error instanceof CsvError) return null;
    throw error;
  }
}

function splitLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
