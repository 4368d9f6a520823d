import { compareCustomers, compareListed, compareOrders, countChangedSales } from "./compareSales.ts";
import { countBy } from "./countBy.ts";
import type { Difference } from "./Difference.ts";
import type { MadeCustomers } from "./makeCustomers.ts";
import type { MadeProducts } from "./makeProducts.ts";
import type { NotMade } from "./NotMade.ts";
import { asPass, type Pass } from "./Pass.ts";
import type { PlacedOrders } from "./placeOrders.ts";
import type { ReadBack } from "./readBack.ts";
import type { ReadSales } from "./readSales.ts";
import { statusOf, type Sales } from "./Sales.ts";

export interface SalesEvidence {
  readonly wanted: Sales;
  readonly customers: MadeCustomers;
  readonly placed: PlacedOrders;
  readonly read: ReadSales;
}

export interface SalesResult {
  readonly clean: boolean;
  readonly customers: {
    readonly total: number;
    readonly created: number;
    readonly corrected: number;
    readonly refused: readonly NotMade[];
    readonly changed: number | null;
  };
  readonly orders: {
    readonly total: number;
    /** Placed now or by an earlier run. */
    readonly placed: number;
    readonly replayed: number;
    readonly refused: readonly NotMade[];
    readonly stepsRefused: readonly NotMade[];
    /** Of all that the files ask for. */
    readonly byStatus: Readonly<Record<string, number>>;
    readonly changed: number | null;
  };
  readonly passes: Readonly<Record<"customers" | "fullCustomers" | "orders" | "fullOrders", Pass | null>>;
  /** Of the list of each customer's orders; null if it was not read. */
  readonly listDifferences: readonly Difference[] | null;
}

export function judgeSales(
  { wanted, customers, placed, read }: SalesEvidence,
  products: Pick<MadeProducts, "before">,
  exclusive: boolean,
): SalesResult {
  const ids = { customers: customers.before, products: products.before };
  const pass = <T>(readBack: ReadBack<T> | null, compare: (readBack: ReadBack<T>) => Difference[]): Pass | null =>
    (readBack === null ? null : asPass(readBack, compare(readBack)));
  const passes = {
    customers: pass(read.customers, (one) => compareCustomers(wanted.customers, customers, one, false)),
    fullCustomers: pass(read.fullCustomers, (one) => compareCustomers(wanted.customers, customers, one, true)),
    orders: pass(read.orders, (one) => compareOrders(placed, one, ids, false)),
    fullOrders: pass(read.fullOrders, (one) => compareOrders(placed, one, ids, true)),
  };
  const listDifferences = read.listed === null ? null : compareListed(customers, placed, read.listed, exclusive);
  const changed = countChangedSales(customers, placed, read);

  const notMade: NotMade[] = [...customers.refused, ...customers.correctionsRefused]
    .map(([name, [reason, detail]]) => ({ name, reason, detail }));
  const ofOrders = (refused: PlacedOrders["refused"]): NotMade[] =>
    [...refused].map(([{ number }, [reason, detail]]) => ({ name: number, reason, detail }));
  const refused = ofOrders(placed.refused);
  const stepsRefused = ofOrders(placed.stepsRefused);

  return {
    clean: notMade.length + refused.length + stepsRefused.length === 0
      && Object.values(passes).every((one) => one?.differences.length === 0)
      && listDifferences?.length === 0,
    customers: {
      total: wanted.customers.length,
      created: customers.created.size,
      corrected: customers.corrected,
      refused: notMade,
      changed: changed?.customers ?? null,
    },
    orders: {
      total: wanted.orders.length,
      placed: placed.placed.size,
      replayed: [...placed.placed.values()].filter(({ replayed }) => replayed).length,
      refused,
      stepsRefused,
      byStatus: countBy(wanted.orders, statusOf),
      changed: changed?.orders ?? null,
    },
    passes,
    listDifferences,
  };
}
