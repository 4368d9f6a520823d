import { compareAddress, type Address } from "./Address.ts";
import { expectField, expectPersonal, type Difference } from "./Difference.ts";
import { isRecord } from "./isRecord.ts";
import type { SourceLine } from "./Refusal.ts";

/** What the files say about a customer. */
export interface WantedCustomer {
  /** What the source calls the customer. */
  readonly number: string;
  readonly name: string;
  /** Already as the service normalises it. */
  readonly email: string;
  readonly phone: string | null;
  readonly address: Address | null;
  readonly marketingConsent: boolean;
  /** null: the customer is only mentioned by lines that are counted elsewhere. */
  readonly from: SourceLine | null;
}

/** A customer as the service answers; what is personal is compared and never kept apart. */
export interface Customer {
  readonly id: string;
  readonly versionId: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export function asCustomer(body: unknown): Customer | null {
  if (!isRecord(body)) return null;
  const { id, versionId } = body;
  return typeof id === "string" && typeof versionId === "number" ? { id, versionId, body } : null;
}

export const customerPath = (id: string, view: "" | "?view=full" = ""): string =>
  `/v1/customers/${encodeURIComponent(id)}${view}`;

export const emailOf = (number: string): string => `${number}@example.com`.normalize("NFC").trim().toLowerCase();

const PERSONAL = ["name", "email", "phone", "address"] as const;

/** The full view: everything that the files say, field by field. */
export const compareFullCustomer = (want: WantedCustomer, { body }: Customer): Difference[] => {
  const of = `customer ${want.number}`;
  return [
    ...expectPersonal(of, "name", want.name, body.name),
    ...expectPersonal(of, "email", want.email, body.email),
    ...expectPersonal(of, "phone", want.phone, body.phone),
    ...compareAddress(of, "address", want.address, body.address),
    ...expectField(of, "marketingConsent", want.marketingConsent, body.marketingConsent),
  ];
};

/** The view from the cache: hashes where there is something to hash, and nobody's name. */
export const compareMaskedCustomer = (want: WantedCustomer, { body }: Customer): Difference[] => {
  const of = `customer ${want.number}`;
  const hashed = (value: unknown): string => (typeof value === "string" ? "a hash" : String(value));
  return [
    ...expectField(of, "marketingConsent", want.marketingConsent, body.marketingConsent),
    ...expectField(of, "emailHash", "a hash", hashed(body.emailHash)),
    ...expectField(of, "phoneHash", want.phone === null ? "null" : "a hash", hashed(body.phoneHash)),
    ...PERSONAL.filter((field) => field in body).map((field): Difference => (
      { of, field, expected: "only in the full view", found: "in the plain one" }
    )),
  ];
};
