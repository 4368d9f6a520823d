import type { AdjustedStocks } from "./adjustStocks.ts";
import type { MadeCustomers } from "./makeCustomers.ts";
import type { MadeProducts } from "./makeProducts.ts";
import type { PlacedOrders } from "./placeOrders.ts";
import type { Refusal, SourceLine, Why } from "./Refusal.ts";
import type { Sales } from "./Sales.ts";

/** What became of lines that were sent. A line that is in neither number was not settled before the run ended. */
export interface Settled {
  readonly imported: number;
  /** Of the imported: already counted by an earlier run, or answered again after a lost answer. */
  readonly replayed: number;
  readonly refusals: readonly Refusal[];
}

export const settleAll = (parts: readonly Settled[]): Settled => ({
  imported: parts.reduce((sum, { imported }) => sum + imported, 0),
  replayed: parts.reduce((sum, { replayed }) => sum + replayed, 0),
  refusals: parts.flatMap(({ refusals }) => refusals),
});

/** Lines that are stock adjustments; a raise is no line. */
export function settleAdjustments({ accepted, refused }: AdjustedStocks): Settled {
  const lines = accepted.filter(({ adjustment }) => adjustment.origin.kind === "line");
  return {
    imported: lines.length,
    replayed: lines.filter(({ replayed }) => replayed).length,
    refusals: [...refused].flatMap(([{ origin }, why]) => (origin.kind === "line" ? [refusalOf(origin, why)] : [])),
  };
}

/** Lines each of which is a product. */
export function settleProducts(lines: ReadonlyMap<string, SourceLine>, made: Pick<MadeProducts, "before" | "refused">): Settled {
  return {
    imported: [...lines.keys()].filter((sku) => made.before.has(sku)).length,
    replayed: 0,
    refusals: [...lines].flatMap(([sku, line]) => refusalsOf([line], made.refused.get(sku))),
  };
}

/** Lines that are customers, orders and lines of orders. An order is whole: with it all its lines are refused. */
export function settleSales(
  sales: Sales,
  customers: Pick<MadeCustomers, "before" | "refused">,
  orders: Pick<PlacedOrders, "placed" | "refused">,
): Settled {
  return settleAll([
    ...sales.customers.filter(({ from }) => from !== null).map(({ number, from }): Settled => ({
      imported: customers.before.has(number) ? 1 : 0,
      replayed: 0,
      refusals: refusalsOf(from === null ? [] : [from], customers.refused.get(number)),
    })),
    ...sales.orders.map((order): Settled => {
      const lines = [...(order.from === null ? [] : [order.from]), ...order.lines.map(({ from }) => from)];
      const placed = orders.placed.get(order);
      return {
        imported: placed === undefined ? 0 : lines.length,
        replayed: placed?.replayed === true ? lines.length : 0,
        refusals: refusalsOf(lines, orders.refused.get(order)),
      };
    }),
  ]);
}

const refusalOf = ({ file, line }: SourceLine, [reason, detail]: Why): Refusal => ({ file, line, reason, detail });

const refusalsOf = (lines: readonly SourceLine[], why: Why | undefined): Refusal[] =>
  (why === undefined ? [] : lines.map((line) => refusalOf(line, why)));
