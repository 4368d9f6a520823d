import { emailOf, type WantedCustomer } from "../importing/Customer.ts";
import type { Refusal } from "../importing/Refusal.ts";
import type { Sales, WantedLine, WantedOrder } from "../importing/Sales.ts";
import type { InvoiceLine } from "./InvoiceLine.ts";
import { CURRENCY, DATA_SET } from "./plan.ts";
import type { SourceFile } from "./SourceFile.ts";

/** Required of an address, and the data set has only the country. */
const NOT_RECORDED = "not recorded";
/** The interface's limits for a quantity and an order. */
const MOST_PIECES = 1_000_000;
const MOST_LINES = 1_000;

/** Why a line is no line of an order. The first four are facts about sales, in this order the one that is counted. */
export type OrderReason =
  | "invoice-cancelled"
  | "customer-missing"
  | "quantity-below-1"
  | "price-0"
  | "quantity-above-1000000"
  | "customer-unreadable"
  | "invoice-of-two-customers"
  | "invoice-of-more-than-1000-lines";

export interface PlannedSales {
  readonly sales: Sales;
  /** The lines of the orders, by file. */
  readonly ordered: ReadonlyMap<SourceFile, readonly InvoiceLine[]>;
  /** The other lines, by file. */
  readonly refusals: ReadonlyMap<SourceFile, readonly Refusal[]>;
}

/**
 * An invoice of a file is an order. Each line is judged for itself: what is wrong with one takes nothing from the
 * others. A cancellation and a missing customer are said on every line of an invoice, so they refuse it whole.
 *
 * An invoice that goes on in another file is another order: so files give the same, imported one by one or together.
 */
export function planSales(files: readonly SourceFile[]): PlannedSales {
  const customers = new Map<string, WantedCustomer>();
  const orders: WantedOrder[] = [];
  const ordered = new Map<SourceFile, InvoiceLine[]>();
  const refusals = new Map<SourceFile, Refusal[]>();
  const numbers = new Set<string>();

  for (const file of files) {
    const kept: InvoiceLine[] = [];
    ordered.set(file, kept);
    const refusedLines: Refusal[] = [];
    refusals.set(file, refusedLines);
    for (const [invoice, lines] of Map.groupBy(file.lines, (line) => line.invoice)) {
      const judged = judgeInvoice(lines);
      refusedLines.push(...judged.refused.map(({ line, reasons: [reason = "", ...also] }) => (
        { file: file.name, line: line.number, reason, detail: also.length === 0 ? "" : `also ${also.join(", ")}` }
      )));
      const [first] = judged.kept;
      if (first === undefined) continue;
      kept.push(...judged.kept);
      const customer = customerNumber(first.customer ?? "") ?? "";
      customers.set(customer, asCustomer(customer));
      const number = numbers.has(invoice) ? `${invoice} of ${file.name}` : invoice;
      numbers.add(number);
      orders.push(asOrder(number, invoice, customer, file, judged.kept));
    }
  }
  return { sales: { dataSet: DATA_SET, customers: [...customers.values()], orders }, ordered, refusals };
}

interface JudgedInvoice {
  readonly kept: readonly InvoiceLine[];
  readonly refused: readonly { readonly line: InvoiceLine; readonly reasons: readonly OrderReason[] }[];
}

function judgeInvoice(lines: readonly InvoiceLine[]): JudgedInvoice {
  const judged = lines.map((line) => ({ line, reasons: reasonsAgainst(line) }));
  const refused = judged.filter(({ reasons }) => reasons.length > 0);
  const kept = judged.filter(({ reasons }) => reasons.length === 0).map(({ line }) => line);
  const refuseAll = (reason: OrderReason): JudgedInvoice => (
    { kept: [], refused: [...refused, ...kept.map((line) => ({ line, reasons: [reason] }))] }
  );
  if (new Set(kept.map(({ customer }) => customerNumber(customer ?? ""))).size > 1) return refuseAll("invoice-of-two-customers");
  return kept.length > MOST_LINES ? refuseAll("invoice-of-more-than-1000-lines") : { kept, refused };
}

function reasonsAgainst({ invoice, customer, quantity, pence }: InvoiceLine): OrderReason[] {
  const against: readonly (readonly [boolean, OrderReason])[] = [
    [/^C/i.test(invoice), "invoice-cancelled"],
    [customer === null, "customer-missing"],
    [quantity < 1, "quantity-below-1"],
    [pence === 0, "price-0"],
    [quantity > MOST_PIECES, "quantity-above-1000000"],
    [customer !== null && customerNumber(customer) === null, "customer-unreadable"],
  ];
  return against.filter(([holds]) => holds).map(([, reason]) => reason);
}

/** The data set was once a table of doubles: 17850.0 is customer 17850. */
const customerNumber = (text: string): string | null => /^(\d+)(?:\.0*)?$/.exec(text)?.[1] ?? null;

const asCustomer = (number: string): WantedCustomer => ({
  number,
  name: nameOf(number),
  email: emailOf(number),
  phone: null,
  address: null,
  marketingConsent: false,
  from: null,
});

const nameOf = (customer: string): string => `Customer ${customer}`;

function asOrder(number: string, invoice: string, customer: string, file: SourceFile, lines: readonly InvoiceLine[]): WantedOrder {
  return {
    number,
    keyParts: [file.digest, invoice],
    customer,
    lines: lines.map(({ sku, quantity, pence, number: line }): WantedLine => (
      { sku, quantity, unitPrice: { amount: pence, currency: CURRENCY }, from: { file: file.name, line } }
    )),
    shippingAddress: {
      name: nameOf(customer),
      line1: NOT_RECORDED,
      line2: null,
      city: NOT_RECORDED,
      region: null,
      postcode: null,
      country: lines[0]?.country ?? NOT_RECORDED,
    },
    payment: null,
    shipment: null,
    from: null,
  };
}
