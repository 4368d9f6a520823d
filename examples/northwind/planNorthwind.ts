import type { Adjustment } from "../importing/adjustStocks.ts";
import { emailOf, type WantedCustomer } from "../importing/Customer.ts";
import { discounted, parseMinorUnits } from "../importing/numbers.ts";
import type { WantedProduct } from "../importing/Product.ts";
import type { Refusal, SourceLine } from "../importing/Refusal.ts";
import type { Sales, WantedLine, WantedOrder } from "../importing/Sales.ts";
import type { Row } from "./readTable.ts";
import type { Northwind } from "./tables.ts";

export const DATA_SET = "northwind";
const CURRENCY = "USD";
const MOST_LINES = 1_000;

export interface Plan {
  readonly products: ReadonlyMap<string, WantedProduct>;
  /** The line of each product. */
  readonly productLines: ReadonlyMap<string, SourceLine>;
  readonly raises: readonly Adjustment[];
  readonly sales: Sales;
  /** Lines that cannot be imported beside those that could not be read. */
  readonly refusals: readonly Refusal[];
  /** Lines whose discounted price was no whole cent. */
  readonly rounded: number;
}

/** Everything the import will say, from the files alone. An order is whole: one line that is refused refuses it. */
export function planNorthwind({ customers, products, orders, details }: Northwind): Plan {
  const refusals: Refusal[] = [];
  const refuse = ({ file, line }: SourceLine, reason: string, detail = ""): void => {
    refusals.push({ file, line, reason, detail });
  };

  const wantedCustomers = new Map<string, WantedCustomer>();
  for (const row of customers.rows) {
    const customer = asCustomer(row);
    if (wantedCustomers.has(customer.number)) refuse(row, "customer-repeated");
    else wantedCustomers.set(customer.number, customer);
  }

  const wantedProducts = new Map<string, WantedProduct>();
  const productLines = new Map<string, SourceLine>();
  const inStock = new Map<string, number>();
  for (const row of products.rows) {
    const product = asProduct(row);
    if (product === null) refuse(row, "price-unreadable");
    else if (wantedProducts.has(product.sku)) refuse(row, "product-repeated");
    else {
      wantedProducts.set(product.sku, product);
      productLines.set(product.sku, { file: row.file, line: row.line });
      inStock.set(product.sku, Number(row.cells.unitsInStock));
    }
  }

  const detailsOf = Map.groupBy(details.rows, ({ cells }) => cells.orderID);
  const readable = new Set(orders.rows.map(({ cells }) => cells.orderID));
  for (const row of details.rows.filter(({ cells }) => !readable.has(cells.orderID))) refuse(row, "order-missing");

  const wantedOrders = new Map<string, WantedOrder>();
  let rounded = 0;
  for (const row of orders.rows) {
    const lines = (detailsOf.get(row.cells.orderID) ?? []).map((detail) => ({ detail, line: asLine(detail, wantedProducts) }));
    const number = row.cells.orderID ?? "";
    const why = reasonAgainst(row, lines.map(({ line }) => line), wantedCustomers, wantedOrders);
    if (why !== null) {
      refuse(row, why, `order ${number}`);
      // The lines stand with the first order of this number if it is there twice.
      if (why !== "order-repeated") for (const { detail, line } of lines) refuse(detail, typeof line === "string" ? line : why, `order ${number}`);
      continue;
    }
    const good = lines.map(({ line }) => line).filter((line) => typeof line !== "string");
    rounded += good.filter(({ exact }) => !exact).length;
    wantedOrders.set(number, asOrder(row, good.map(({ line }) => line)));
  }

  const sales = { dataSet: DATA_SET, customers: [...wantedCustomers.values()], orders: [...wantedOrders.values()] };
  return { products: wantedProducts, productLines, raises: planRaises(sales, inStock), sales, refusals, rounded };
}

/** By all that is ordered and all that is left: then every order succeeds, and what stays is what the file says is there. */
function planRaises({ orders }: Sales, inStock: ReadonlyMap<string, number>): Adjustment[] {
  const taken = new Map<string, number>();
  for (const { sku, quantity } of orders.flatMap(({ lines }) => lines)) taken.set(sku, (taken.get(sku) ?? 0) + quantity);
  return [...inStock]
    .map(([sku, left]) => ({ sku, delta: left + (taken.get(sku) ?? 0) }))
    .filter(({ delta }) => delta > 0)
    .map(({ sku, delta }): Adjustment => ({
      dataSet: DATA_SET,
      sku,
      delta,
      reason: "northwind: all that is ordered, and the units in stock",
      // There is one Northwind: another edition of the files is refused as a reused key, instead of raised once more.
      digest: DATA_SET,
      origin: { kind: "raise-for-orders" },
    }));
}

type Line = { readonly line: WantedLine; readonly exact: boolean };

function asLine({ file, line, cells }: Northwind["details"]["rows"][number], products: ReadonlyMap<string, unknown>): Line | string {
  const sku = skuOf(cells.productID);
  if (!products.has(sku)) return "product-unknown";
  const listed = parseMinorUnits(cells.unitPrice ?? "");
  if (!listed.ok) return listed.reason;
  const price = discounted(listed.value, cells.discount ?? "");
  if (price === null) return "discount-unreadable";
  const unitPrice = { amount: price.minor, currency: CURRENCY };
  return { line: { sku, quantity: Number(cells.quantity), unitPrice, from: { file, line } }, exact: price.exact };
}

function reasonAgainst(
  { cells }: Northwind["orders"]["rows"][number],
  lines: readonly (Line | string)[],
  customers: ReadonlyMap<string, unknown>,
  orders: ReadonlyMap<string, unknown>,
): string | null {
  if (orders.has(cells.orderID ?? "")) return "order-repeated";
  if (!customers.has(cells.customerID ?? "")) return "customer-unknown";
  if (lines.length === 0) return "order-without-lines";
  if (lines.length > MOST_LINES) return "order-of-more-than-1000-lines";
  if (cells.shippedDate !== null && cells.shipVia === null) return "carrier-missing";
  return lines.some((line) => typeof line === "string") ? "order-with-a-refused-line" : null;
}

function asCustomer({ file, line, cells }: Northwind["customers"]["rows"][number]): WantedCustomer {
  const name = cells.contactName ?? "";
  return {
    number: cells.customerID ?? "",
    name,
    email: emailOf(cells.customerID ?? ""),
    phone: cells.phone,
    address: {
      name,
      line1: cells.address ?? "",
      line2: null,
      city: cells.city ?? "",
      region: cells.region,
      postcode: cells.postalCode,
      country: cells.country ?? "",
    },
    marketingConsent: false,
    from: { file, line },
  };
}

function asProduct({ cells }: Row<"productID" | "productName" | "unitPrice" | "discontinued">): WantedProduct | null {
  const price = parseMinorUnits(cells.unitPrice ?? "");
  if (!price.ok) return null;
  return {
    sku: skuOf(cells.productID),
    name: cells.productName ?? "",
    description: null,
    price: { amount: price.value, currency: CURRENCY },
    status: cells.discontinued === "1" ? "discontinued" : "active",
  };
}

/** A bare number is what other catalogues call their products too. */
const skuOf = (productId: string | null): string => `${DATA_SET}-${productId}`;

function asOrder({ file, line, cells }: Northwind["orders"]["rows"][number], lines: readonly WantedLine[]): WantedOrder {
  const number = cells.orderID ?? "";
  const shipped = cells.shippedDate !== null;
  return {
    number,
    keyParts: [number],
    customer: cells.customerID ?? "",
    lines,
    shippingAddress: {
      name: cells.shipName ?? "",
      line1: cells.shipAddress ?? "",
      line2: null,
      city: cells.shipCity ?? "",
      region: cells.shipRegion,
      postcode: cells.shipPostalCode,
      country: cells.shipCountry ?? "",
    },
    payment: shipped ? { reference: `${DATA_SET}-${number}` } : null,
    // The shippers' names are in a table that is not part of the files.
    shipment: shipped ? { carrier: `Shipper ${cells.shipVia}`, trackingNumber: `NW-${number}` } : null,
    from: { file, line },
  };
}
