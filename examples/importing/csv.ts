import { CsvError, parse } from "csv-parse/sync";

/** A record is one line: a quote that is never closed then costs its own line instead of the rest of the file. */
export function splitLines(bytes: Uint8Array): string[] {
  const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** null where the quotes are broken. */
export function parseCells(line: string): string[] | null {
  try {
    return parse(line, { relax_column_count: true, record_delimiter: "\n" })[0] ?? [];
  } catch (error) {
    if (error instanceof CsvError) return null;
    throw error;
  }
}

/** U+FFFD is what the decoder leaves of bytes that are no UTF-8; U+0000 no string of the interface may hold. */
export const isBrokenText = (line: string): boolean => /[\0\uFFFD]/.test(line);
