import type { Parsed, SourceReason } from "../importing/Refusal.ts";

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
  /** As the file has it, `17850.0`; null where the column is empty or absent. Only orders need it. */
  readonly customer: string | null;
  /** Likewise. */
  readonly country: string | null;
}

export type LineReason = SourceReason | "invoice-missing" | "stock-code-missing" | "stock-code-too-long";

export type ParsedLine = Parsed<InvoiceLine, LineReason>;
