/** A line of a table. Widths are of all columns but the last; what is wider pushes the rest to the right. */
export const rowOf = (...widths: readonly number[]) => (...cells: readonly string[]): string =>
  cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")
