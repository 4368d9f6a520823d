/** Why a line of a file is not imported; decided from the files alone, before anything is sent. */
export type SourceReason =
  | "empty-line"
  | "broken-quotes"
  | "broken-text"
  | "wrong-column-count"
  | "same-file-again"
  | "quantity-unreadable"
  | "quantity-zero"
  | "quantity-too-large"
  | "price-unreadable"
  | "price-negative"
  | "price-finer-than-a-penny"
  | "price-too-large";

/** Where something stands: line of the file, the header being 1. */
export interface SourceLine {
  readonly file: string;
  readonly line: number;
}

export interface Refusal extends SourceLine {
  /** Of the files, or the service's problem, as in `409 insufficient-stock`. */
  readonly reason: string;
  readonly detail: string;
}

/** Why something was not made, as a reason that can be counted and the detail of this one. */
export type Why = readonly [reason: string, detail: string];

export type Parsed<T, R extends string = SourceReason> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: R };

export const parsed = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });
export const refused = <R extends string>(reason: R): { readonly ok: false; readonly reason: R } => ({ ok: false, reason });
