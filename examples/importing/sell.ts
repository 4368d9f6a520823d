import type { AdjustedStocks } from "./adjustStocks.ts";
import { makeCustomers } from "./makeCustomers.ts";
import type { MadeProducts } from "./makeProducts.ts";
import { placeOrders } from "./placeOrders.ts";
import { readSales } from "./readSales.ts";
import type { Why } from "./Refusal.ts";
import type { Run } from "./Run.ts";
import type { Sales } from "./Sales.ts";
import type { SalesEvidence } from "./SalesResult.ts";

/** Customers, then their orders, on stock that has been raised. `read` is for when everything is written. */
export async function sell(
  wanted: Sales,
  products: Pick<MadeProducts, "before" | "refused">,
  raised: Pick<AdjustedStocks, "refused">,
  run: Run,
): Promise<{ readonly read: () => Promise<SalesEvidence> }> {
  const blocked = new Map([...raised.refused].map(([{ sku }, [reason, detail]]): [string, Why] => (
    [sku, [`stock not raised: ${reason}`, detail]]
  )));
  const customers = await makeCustomers(wanted.dataSet, wanted.customers, run);
  const placed = await placeOrders(wanted, products, customers, blocked, run);
  return { read: async () => ({ wanted, customers, placed, read: await readSales(customers, placed, run) }) };
}
