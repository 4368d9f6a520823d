import { adjustStocks, type AdjustedStocks, type Adjustment } from "../importing/adjustStocks.ts";
import { brokenOff } from "../importing/brokenOff.ts";
import { openClient } from "../importing/Client.ts";
import { makeProducts } from "../importing/makeProducts.ts";
import type { Progress } from "../importing/progress.ts";
import { readProducts } from "../importing/readProducts.ts";
import type { Why } from "../importing/Refusal.ts";
import { judge, type Result } from "../importing/Result.ts";
import { compareRowsWithEvents, touchedPaths } from "../importing/rowsFromEvents.ts";
import type { Run } from "../importing/Run.ts";
import { sell } from "../importing/sell.ts";
import { settleAdjustments, settleSales } from "../importing/settle.ts";
import { notCarried } from "./notCarried.ts";
import { planImport, planRaises } from "./plan.ts";
import { planSales } from "./planSales.ts";
import type { SourceFile } from "./SourceFile.ts";

export interface ImportOptions {
  readonly url: string;
  readonly key: string;
  /** Nothing but these files has ever moved these products: a stock from elsewhere is a difference. */
  readonly exclusive: boolean;
  /** Invoices become orders; else each line is a stock adjustment. */
  readonly orders: boolean;
}

const NONE: AdjustedStocks = { accepted: [], refused: new Map() };

/**
 * The whole import. Halting it (`halt.abort(reason)`) lets the requests under way finish and returns what is known.
 * Throws if the products cannot be listed at the start: nothing has been sent then.
 *
 * Products, then raises, then lines or orders; each stage is complete before the next begins, so that a line never
 * meets a stock that is still to be raised. What is halted in between returns what was done until then.
 */
export async function importFiles(
  files: readonly SourceFile[],
  { url, key, exclusive, orders }: ImportOptions,
  halt: AbortController,
  progress: Progress,
): Promise<Result> {
  const plan = planImport(files);
  const planned = orders ? planSales(files) : null;
  const client = openClient(url, key, halt.signal);
  const run: Run = { client, halt, progress, took: [] };
  const start = performance.now();

  const made = await makeProducts(plan.products, run);
  const raises = planned === null
    ? plan.raises
    : files.flatMap((file) => planRaises(file, planned.ordered.get(file) ?? [], "raise-for-orders"));
  const raised = await adjustStocks("raising stock", raises, made, () => undefined, run);
  const blocked = blockedBy(raised);
  const moves = planned === null
    ? await adjustStocks("lines", plan.lines, made, (line) => blocked.get(blockOf(line)), run)
    : NONE;
  const sold = planned === null ? null : await sell(planned.sales, made, raised, run);
  const seconds = (performance.now() - start) / 1_000;

  const passes = await readProducts(made, run);
  const sales = sold === null ? null : await sold.read();
  const rowsFromEvents = await compareRowsWithEvents(touchedPaths(made, sales), run);
  return judge({
    files: files.map((file) => ({ ...file, refusals: [...file.refusals, ...(planned?.refusals.get(file) ?? [])] })),
    settled: sales === null ? settleAdjustments(moves) : settleSales(sales.wanted, sales.customers, sales.placed),
    wanted: plan.products,
    made,
    raises: raised,
    moves,
    sales,
    notDiscontinued: new Map(),
    passes,
    rowsFromEvents,
    notCarried: planned === null ? [] : notCarried(planned),
    brokenOff: brokenOff(halt),
    retries: client.retries(),
    took: run.took,
    seconds,
    exclusive,
  });
}

/** Why the lines of a SKU in a file cannot be sent. */
const blockedBy = ({ refused }: AdjustedStocks): Map<string, Why> =>
  new Map([...refused].map(([raise, [reason, detail]]) => [blockOf(raise), [`stock not raised: ${reason}`, detail]]));

const blockOf = ({ digest, sku }: Adjustment): string => `${digest} ${sku}`;
