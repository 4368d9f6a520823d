import { isRecord } from "./isRecord.ts";
import { asMoney, type Money } from "./Money.ts";

export interface OrderLine {
  readonly productId: string;
  readonly sku: string;
  readonly quantity: number;
  readonly unitPrice: Money;
}

/** What the import reads of an order; more fields may come. */
export interface Order {
  readonly id: string;
  readonly versionId: number;
  readonly customerId: string;
  readonly status: string;
  readonly lines: readonly OrderLine[];
  readonly total: Money;
  /** `{"reference"}` once it is paid. */
  readonly payment: Readonly<Record<string, unknown>> | null;
  /** `{"carrier", "trackingNumber"}` once it is shipped. */
  readonly shipment: Readonly<Record<string, unknown>> | null;
  /** Only in the full view, else undefined. */
  readonly shippingAddress: unknown;
}

export function asOrder(body: unknown): Order | null {
  if (!isRecord(body) || !Array.isArray(body.lines)) return null;
  const { id, versionId, customerId, status, payment, shipment, shippingAddress } = body;
  if (typeof id !== "string" || typeof versionId !== "number") return null;
  if (typeof customerId !== "string" || typeof status !== "string") return null;
  if (!isRecordOrNull(payment) || !isRecordOrNull(shipment)) return null;
  const total = asMoney(body.total);
  const lines = body.lines.map(asOrderLine);
  if (total === null || !lines.every((line) => line !== null)) return null;
  return { id, versionId, customerId, status, lines, total, payment, shipment, shippingAddress };
}

function asOrderLine(value: unknown): OrderLine | null {
  if (!isRecord(value)) return null;
  const { productId, sku, quantity } = value;
  const unitPrice = asMoney(value.unitPrice);
  if (typeof productId !== "string" || typeof sku !== "string" || typeof quantity !== "number") return null;
  return unitPrice === null ? null : { productId, sku, quantity, unitPrice };
}

const isRecordOrNull = (value: unknown): value is Record<string, unknown> | null => value === null || isRecord(value);

export const orderPath = (id: string, view: "" | "?view=full" = ""): string => `/v1/orders/${encodeURIComponent(id)}${view}`;
