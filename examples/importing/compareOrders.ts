import { compareAddress } from "./Address.ts";
import { expectField, type Difference } from "./Difference.ts";
import { showMoney } from "./Money.ts";
import type { Order } from "./Order.ts";
import type { Placed } from "./placeOrders.ts";
import { statusOf, totalOf, type WantedOrder } from "./Sales.ts";

export interface Ids {
  readonly customers: ReadonlyMap<string, { readonly id: string }>;
  readonly products: ReadonlyMap<string, { readonly id: string }>;
}

/** Everything that the files say about an order but the address, which is in the full view only. */
export function compareOrder(want: WantedOrder, { id, versionId }: Pick<Placed, "id" | "versionId">, found: Order, ids: Ids): Difference[] {
  const of = `order ${want.number}`;
  const { payment, shipment } = want;
  return [
    ...expectField(of, "id", id, found.id),
    ...expectField(of, "customerId", ids.customers.get(want.customer)?.id ?? null, found.customerId),
    ...expectField(of, "status", statusOf(want), found.status),
    ...compareLines(of, want, found, ids),
    ...expectField(of, "total", showMoney(totalOf(want)), showMoney(found.total)),
    ...expectField(of, "payment", payment === null ? "none" : "one", found.payment === null ? "none" : "one"),
    ...expectField(of, "payment.reference", payment?.reference ?? "none", found.payment?.reference ?? "none"),
    ...expectField(of, "shipment", shipment === null ? "none" : "one", found.shipment === null ? "none" : "one"),
    ...expectField(of, "shipment.carrier", shipment?.carrier ?? "none", found.shipment?.carrier ?? "none"),
    ...expectField(of, "shipment.trackingNumber", shipment?.trackingNumber ?? "none", found.shipment?.trackingNumber ?? "none"),
    ...(found.versionId >= versionId ? [] : expectField(of, "version", `${versionId} or newer`, String(found.versionId))),
  ];
}

/** Line by line in the order of the source: repeated lines stay separate. */
function compareLines(of: string, want: WantedOrder, found: Order, ids: Ids): Difference[] {
  if (want.lines.length !== found.lines.length) return expectField(of, "lines", want.lines.length, found.lines.length);
  return want.lines.flatMap(({ sku, quantity, unitPrice }, index) => {
    const line = found.lines[index];
    const field = `lines[${index}]`;
    if (line === undefined) return [];
    return [
      ...expectField(of, `${field}.productId`, ids.products.get(sku)?.id ?? null, line.productId),
      ...expectField(of, `${field}.sku`, sku, line.sku),
      ...expectField(of, `${field}.quantity`, quantity, line.quantity),
      ...expectField(of, `${field}.unitPrice`, showMoney(unitPrice), showMoney(line.unitPrice)),
    ];
  });
}

export const compareFullOrder = (want: WantedOrder, placed: Pick<Placed, "id" | "versionId">, found: Order, ids: Ids): Difference[] => [
  ...compareOrder(want, placed, found, ids),
  ...compareAddress(`order ${want.number}`, "shippingAddress", want.shippingAddress, found.shippingAddress),
];
