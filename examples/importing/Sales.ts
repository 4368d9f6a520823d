import type { Address } from "./Address.ts";
import type { WantedCustomer } from "./Customer.ts";
import type { Money } from "./Money.ts";
import type { SourceLine } from "./Refusal.ts";

export interface WantedLine {
  readonly sku: string;
  readonly quantity: number;
  readonly unitPrice: Money;
  readonly from: SourceLine;
}

/** What the files say about an order. Each step is taken if the files give what it needs. */
export interface WantedOrder {
  /** What a report calls it; no two orders of an import have the same. */
  readonly number: string;
  /** Identifies the order in the world: its idempotency keys are made from this. */
  readonly keyParts: readonly string[];
  /** What the source calls the customer. */
  readonly customer: string;
  readonly lines: readonly WantedLine[];
  readonly shippingAddress: Address;
  readonly payment: { readonly reference: string } | null;
  readonly shipment: { readonly carrier: string; readonly trackingNumber: string } | null;
  /** null: the order is nothing but its lines. */
  readonly from: SourceLine | null;
}

export interface Sales {
  readonly dataSet: string;
  readonly customers: readonly WantedCustomer[];
  readonly orders: readonly WantedOrder[];
}

export const statusOf = ({ payment, shipment }: WantedOrder): "placed" | "paid" | "shipped" => {
  if (payment === null) return "placed";
  return shipment === null ? "paid" : "shipped";
};

/** The sum of quantity times price, which the service must come to as well. */
export function totalOf({ lines }: WantedOrder): Money {
  const amount = lines.reduce((sum, { quantity, unitPrice }) => sum + BigInt(quantity) * BigInt(unitPrice.amount), 0n);
  return { amount: Number(amount), currency: lines[0]?.unitPrice.currency ?? "" };
}
