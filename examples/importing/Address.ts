import { expectPersonal, type Difference } from "./Difference.ts";
import { isRecord } from "./isRecord.ts";

/** As the interface gives it in an answer: absence is null. */
export interface Address {
  readonly name: string;
  readonly line1: string;
  readonly line2: string | null;
  readonly city: string;
  readonly region: string | null;
  readonly postcode: string | null;
  /** The file's text: the interface asks for no code. */
  readonly country: string;
}

/** In a request that makes something, absence is a field that is not there. */
export const withoutNulls = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));

export function compareAddress(of: string, field: string, want: Address | null, found: unknown): Difference[] {
  if (want === null || !isRecord(found)) return expectPersonal(of, field, want === null ? null : "an address", found);
  return Object.entries(want).flatMap(([part, value]: [string, string | null]) => (
    expectPersonal(of, `${field}.${part}`, value, found[part])
  ));
}
