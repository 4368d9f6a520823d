import { adjustStocks } from "../importing/adjustStocks.ts";
import { brokenOff } from "../importing/brokenOff.ts";
import { openClient } from "../importing/Client.ts";
import { makeProducts } from "../importing/makeProducts.ts";
import type { Progress } from "../importing/progress.ts";
import { readProducts } from "../importing/readProducts.ts";
import { judge, type Result } from "../importing/Result.ts";
import { compareRowsWithEvents, touchedPaths } from "../importing/rowsFromEvents.ts";
import type { Run } from "../importing/Run.ts";
import { sell } from "../importing/sell.ts";
import { settleAll, settleProducts, settleSales } from "../importing/settle.ts";
import { discontinueProducts } from "./discontinueProducts.ts";
import { notCarried } from "./notCarried.ts";
import { planNorthwind } from "./planNorthwind.ts";
import type { Northwind } from "./tables.ts";

/**
 * Products, their stocks, customers, orders, and last what may no longer be ordered; then everything is read back.
 * Halting it lets the requests under way finish and returns what is known.
 */
export async function importNorthwind(
  northwind: Northwind,
  { url, key }: { readonly url: string; readonly key: string },
  halt: AbortController,
  progress: Progress,
): Promise<Result> {
  const plan = planNorthwind(northwind);
  const client = openClient(url, key, halt.signal);
  const run: Run = { client, halt, progress, took: [] };
  const start = performance.now();

  const made = await makeProducts(plan.products, run);
  const raises = await adjustStocks("raising stock", plan.raises, made, () => undefined, run);
  const sold = await sell(plan.sales, made, raises, run);
  const notDiscontinued = await discontinueProducts(plan.products, made, run);
  const seconds = (performance.now() - start) / 1_000;

  const passes = await readProducts(made, run);
  const sales = await sold.read();
  const rowsFromEvents = await compareRowsWithEvents(touchedPaths(made, sales), run);
  const { customers, products, orders, details } = northwind;
  return judge({
    files: [customers, products, orders, details].map(({ name, digest, total, refusals }) => (
      { name, digest, total, refusals: refusals.concat(plan.refusals.filter(({ file }) => file === name)) }
    )),
    settled: settleAll([settleProducts(plan.productLines, made), settleSales(sales.wanted, sales.customers, sales.placed)]),
    wanted: plan.products,
    made,
    raises,
    moves: { accepted: [], refused: new Map() },
    sales,
    notDiscontinued,
    passes,
    rowsFromEvents,
    notCarried: notCarried(northwind, plan.rounded),
    brokenOff: brokenOff(halt),
    retries: client.retries(),
    took: run.took,
    seconds,
    // Nobody else sells what is called northwind-11: stock from elsewhere is a difference.
    exclusive: true,
  });
}
