/** One line of an invoice as the import understands it: everything in it can be sent as it stands. */
export interface InvoiceLine {
  /** Line of the file, the header being 1. */
  readonly number: number;
  readonly invoice: string;
  readonly sku: string;
  /** null where the column is empty. */
  readonly description: string | null;
  /** Pieces sold; below zero they were given back. Never 0. */
  readonly quantity: number;
  /** Price of one piece in pence. */
  readonly pence: number;
}

/** Why a line of a file is not imported; decided from the file alone, before anything is sent. */
export type SourceReason =
  | "empty-line"
  | "broken-quotes"
  | "broken-text"
  | "wrong-column-count"
  | "invoice-missing"
  | "stock-code-missing"
  | "stock-code-too-long"
  | "quantity-unreadable"
  | "quantity-zero"
  | "quantity-too-large"
  | "price-unreadable"
  | "price-negative"
  | "price-finer-than-a-penny"
  | "price-too-large"
  | "same-file-again";

export interface Refusal {
  readonly file: string;
  readonly line: number;
  /** A `SourceReason`, or the service's problem, as in `409 insufficient-stock`. */
  readonly reason: string;
  readonly detail: string;
}

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: SourceReason };

export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const refused = (reason: SourceReason): Parsed<never> => ({ ok: false, reason });
