import { withoutNulls } from "./Address.ts";
import { keyOf, type Change } from "./Change.ts";
import { customerPath, type WantedCustomer } from "./Customer.ts";
import { orderPath } from "./Order.ts";
import type { WantedOrder } from "./Sales.ts";

/**
 * The key follows from the body: as long as the service keeps it, a person is found again without a look-up, and a person
 * who was erased meanwhile is not brought back. With other data of the same person it is another request, which the
 * service refuses for the e-mail; then the person is looked up and corrected.
 */
export function createCustomer(dataSet: string, wanted: WantedCustomer): Change {
  const body = JSON.stringify(withoutNulls({
    ...fieldsOf(wanted),
    address: wanted.address === null ? null : withoutNulls(wanted.address),
  }));
  return { method: "POST", path: "/v1/customers", body, idempotencyKey: keyOf(dataSet, ["customer", body]) };
}

/** Personal data never stands in a URL. It changes nothing, so it has no key. */
export const lookUpCustomer = ({ email }: WantedCustomer): Change => (
  { method: "POST", path: "/v1/customers/lookup", body: JSON.stringify({ email }), idempotencyKey: null }
);

/** Everything that the files say; null removes. Setting a value that is already set makes no version. */
export const correctCustomer = (id: string, wanted: WantedCustomer): Change => (
  { method: "PATCH", path: customerPath(id), body: JSON.stringify(fieldsOf(wanted)), idempotencyKey: null }
);

const fieldsOf = ({ name, email, phone, address, marketingConsent }: WantedCustomer) => (
  { name, email, phone, address, marketingConsent }
);

/**
 * The key is the source's name for the order and nothing else. Should the order have another customer, product or price
 * than at first, the service refuses it as a reused key: loud, where a new key would place it twice.
 */
export function placeOrder(
  dataSet: string,
  { keyParts, lines, shippingAddress }: WantedOrder,
  customerId: string,
  productIds: ReadonlyMap<string, { readonly id: string }>,
): Change {
  const body = {
    customerId,
    lines: lines.map(({ sku, quantity, unitPrice }) => ({ productId: productIds.get(sku)?.id, quantity, unitPrice })),
    shippingAddress: withoutNulls(shippingAddress),
  };
  return {
    method: "POST",
    path: "/v1/orders",
    body: JSON.stringify(body),
    idempotencyKey: keyOf(dataSet, ["order", ...keyParts]),
  };
}

/** What is still to be done with an order once it is placed, in turn. */
export function stepsAfter(dataSet: string, { keyParts, payment, shipment }: WantedOrder, orderId: string): Change[] {
  const step = (name: "payment" | "shipment", body: object | null): Change[] => (body === null ? [] : [{
    method: "POST",
    path: `${orderPath(orderId)}/${name}`,
    body: JSON.stringify(body),
    idempotencyKey: keyOf(dataSet, [name, ...keyParts]),
  }]);
  return [...step("payment", payment), ...step("shipment", payment === null ? null : shipment)];
}
