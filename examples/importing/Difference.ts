export interface Difference {
  /** What the source calls it: an SKU, `order 10248`, `customer ALFKI`. */
  readonly of: string;
  readonly field: string;
  readonly expected: string;
  readonly found: string;
}

type Plain = string | number | boolean | null;

export const expectField = (of: string, field: string, expected: Plain, found: unknown): Difference[] =>
  expected === found ? [] : [{ of, field, expected: String(expected), found: showFound(found) }];

/** Of personal data a report says that it differs, not what it is: reports end up in logs. */
export const expectPersonal = (of: string, field: string, expected: Plain, found: unknown): Difference[] =>
  expected === found ? [] : [{ of, field, expected: veil(expected, "the file's value"), found: veil(found, "another value") }];

const veil = (value: unknown, text: string): string => (value === null || value === undefined ? showFound(value) : text);

function showFound(value: unknown): string {
  if (value === undefined) return "nothing";
  return typeof value === "string" ? value : JSON.stringify(value);
}
