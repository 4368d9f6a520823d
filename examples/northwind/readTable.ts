import { isBrokenText, parseCells, splitLines } from "../importing/csv.ts";
import type { Refusal, SourceLine } from "../importing/Refusal.ts";
import { digestOf } from "../importing/Change.ts";

/** A column and what its cells look like. Absence (`NULL`) is allowed where `optional` says so. */
export interface Column {
  readonly form?: RegExp;
  readonly optional?: true;
  /** Holds commas without quotes. At most one of a table may. */
  readonly wide?: true;
}

export type Row<C extends string> = SourceLine & { readonly cells: Readonly<Record<C, string | null>> };

export interface Table<C extends string> {
  readonly name: string;
  readonly digest: string;
  /** Lines after the header, counted before any is parsed. */
  readonly total: number;
  readonly rows: readonly Row<C>[];
  readonly refusals: readonly Refusal[];
}

/** Reads a table whose header names exactly these columns, in any order. Throws if it does not: another kind of file. */
export function readTable<C extends string>(name: string, bytes: Uint8Array, columns: Readonly<Record<C, Column>>): Table<C> {
  const [header = "", ...lines] = splitLines(bytes);
  const names = (parseCells(header.replace(/^\uFEFF/, "")) ?? []) as C[];
  const missing = (Object.keys(columns) as C[]).filter((column) => !names.includes(column));
  const more = names.filter((column) => !(column in columns));
  if (missing.length + more.length > 0) {
    throw new Error(`${name}: the header lacks ${missing.join(", ") || "nothing"} and has ${more.join(", ") || "nothing"} more`);
  }
  const wide = names.findIndex((column) => columns[column].wide === true);

  const rows: Row<C>[] = [];
  const refusals: Refusal[] = [];
  for (const [index, text] of lines.entries()) {
    const at = { file: name, line: index + 2 };
    const cells = readCells(text, names.length, wide);
    const misfit = typeof cells === "string" ? undefined : names.find((column, i) => !fits(cells[i] ?? "", columns[column]));
    if (typeof cells === "string") refusals.push({ ...at, reason: cells, detail: "" });
    else if (misfit !== undefined) refusals.push({ ...at, reason: "column-unreadable", detail: misfit });
    else rows.push({ ...at, cells: Object.fromEntries(names.map((column, i) => [column, absentOr(cells[i] ?? "")])) as Row<C>["cells"] });
  }
  return { name, digest: digestOf(bytes), total: lines.length, rows, refusals };
}

/**
 * Puts together what commas without quotes tore apart: the columns before the wide one are counted from the left, those
 * behind it from the right, and all that is left between them is the wide one. null if the line has too few cells, or
 * too many and no column may be wide.
 */
export function recoverCells(cells: readonly string[], width: number, wide: number): string[] | null {
  const surplus = cells.length - width;
  if (surplus === 0) return [...cells];
  if (surplus < 0 || wide < 0) return null;
  const end = wide + surplus + 1;
  return [...cells.slice(0, wide), cells.slice(wide, end).join(","), ...cells.slice(end)];
}

function readCells(text: string, width: number, wide: number): string[] | "empty-line" | "broken-text" | "broken-quotes" | "wrong-column-count" {
  if (text.trim() === "") return "empty-line";
  if (isBrokenText(text)) return "broken-text";
  const cells = parseCells(text);
  if (cells === null) return "broken-quotes";
  return recoverCells(cells, width, wide) ?? "wrong-column-count";
}

/** A row that was put together wrongly does not fit: its neighbours to the left or right have another form. */
function fits(cell: string, { form, optional }: Column): boolean {
  const value = absentOr(cell);
  if (value === null) return optional === true;
  return form === undefined || form.test(value);
}

const absentOr = (cell: string): string | null => (cell === "NULL" || cell.trim() === "" ? null : cell);
