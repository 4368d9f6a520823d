import { compareFullCustomer, compareMaskedCustomer, type Customer, type WantedCustomer } from "./Customer.ts";
import { compareFullOrder, compareOrder, type Ids } from "./compareOrders.ts";
import type { Ordered } from "./compareProducts.ts";
import { expectField, type Difference } from "./Difference.ts";
import type { MadeCustomers } from "./makeCustomers.ts";
import type { Order } from "./Order.ts";
import type { PlacedOrders } from "./placeOrders.ts";
import type { ReadBack } from "./readBack.ts";
import type { ReadSales } from "./readSales.ts";

export function compareCustomers(
  wanted: readonly WantedCustomer[],
  customers: Pick<MadeCustomers, "before">,
  readBack: ReadBack<Customer>,
  full: boolean,
): Difference[] {
  return wanted.flatMap((want): Difference[] => {
    const made = customers.before.get(want.number);
    if (made === undefined) return [];
    const of = `customer ${want.number}`;
    const found = readBack.entities.get(want.number);
    if (found === undefined) return [{ of, field: "customer", expected: "a customer", found: readBack.unread.get(want.number) ?? "not read" }];
    return [
      ...expectField(of, "id", made.id, found.id),
      ...(found.versionId >= made.versionId ? [] : expectField(of, "version", `${made.versionId} or newer`, String(found.versionId))),
      ...(full ? compareFullCustomer : compareMaskedCustomer)(want, found),
    ];
  });
}

export function compareOrders({ placed }: Pick<PlacedOrders, "placed">, readBack: ReadBack<Order>, ids: Ids, full: boolean): Difference[] {
  return [...placed].flatMap(([want, one]): Difference[] => {
    const found = readBack.entities.get(want.number);
    if (found === undefined) {
      return [{ of: `order ${want.number}`, field: "order", expected: "an order", found: readBack.unread.get(want.number) ?? "not read" }];
    }
    return (full ? compareFullOrder : compareOrder)(want, one, found, ids);
  });
}

/** An order that the list lacks is always a difference; one that nobody asked for, only if nobody else may order. */
export function compareListed(
  customers: Pick<MadeCustomers, "before">,
  { placed }: Pick<PlacedOrders, "placed">,
  listed: NonNullable<ReadSales["listed"]>,
  exclusive: boolean,
): Difference[] {
  const expected = Map.groupBy(placed, ([{ customer }]) => customer);
  return [...customers.before.keys()].flatMap((number): Difference[] => {
    const found = listed.get(number) ?? new Set<string>();
    const orders = expected.get(number) ?? [];
    const missing = orders.filter(([, { id }]) => !found.has(id));
    const more = found.size - (orders.length - missing.length);
    const absent = missing.map(([order]): Difference => ({ of: `order ${order.number}`, field: "list", expected: "in it", found: "missing" }));
    return absent.concat(exclusive && more > 0 ? expectField(`customer ${number}`, "orders that no file asks for", 0, more) : []);
  });
}

/** What the orders take from the stocks, see `expectStock`. */
export const orderedOf = ({ placed }: Pick<PlacedOrders, "placed">, { ordersBefore }: Pick<MadeCustomers, "ordersBefore">): Ordered[] =>
  [...placed].flatMap(([{ lines }, { id }]) => (
    lines.map(({ sku, quantity }): Ordered => ({ sku, quantity, earlier: ordersBefore.has(id) }))
  ));

/** Customers and orders that this run made or gave a newer version. */
export function countChangedSales(
  customers: Pick<MadeCustomers, "before" | "created" | "ordersBefore">,
  { placed }: Pick<PlacedOrders, "placed">,
  { fullCustomers, fullOrders }: Pick<ReadSales, "fullCustomers" | "fullOrders">,
): { customers: number; orders: number } | null {
  if (fullCustomers === null || fullOrders === null) return null;
  const isNewer = (now: { versionId: number } | undefined, before: number): boolean => now !== undefined && now.versionId !== before;
  return {
    customers: [...customers.before].filter(([number, { versionId }]) => (
      customers.created.has(number) || isNewer(fullCustomers.entities.get(number), versionId)
    )).length,
    orders: [...placed].filter(([{ number }, { id }]) => {
      const before = customers.ordersBefore.get(id);
      return before === undefined || isNewer(fullOrders.entities.get(number), before.versionId);
    }).length,
  };
}
