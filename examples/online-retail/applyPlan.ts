import { concurrently } from "./concurrently.ts";
import type { Client } from "./Client.ts";
import { explain } from "./explain.ts";
import type { Refusal } from "./InvoiceLine.ts";
import { makeProducts, type MadeProducts } from "./makeProducts.ts";
import type { Adjustment, Plan } from "./plan.ts";
import { asProduct } from "./Product.ts";
import type { Progress } from "./progress.ts";
import { adjustStock } from "./requests.ts";

/** An adjustment that the service answered with the product it left behind. */
export interface Accepted {
  readonly adjustment: Adjustment;
  readonly versionId: number;
  /** The service had counted it before and gave the first answer again. */
  readonly replayed: boolean;
}

export interface Applied extends MadeProducts {
  readonly accepted: readonly Accepted[];
  /** Lines that the service refused. */
  readonly refusals: readonly Refusal[];
  readonly raisesRefused: number;
  readonly took: readonly number[];
  readonly seconds: number;
}

/**
 * Products, then raises, then lines; each stage is complete before the next begins, so that a line never meets a stock
 * that is still to be raised. What is halted in between returns what was done until then.
 */
export async function applyPlan(plan: Plan, client: Client, halt: AbortController, progress: Progress): Promise<Applied> {
  const took: number[] = [];
  const start = performance.now();
  const made = await makeProducts(plan.products, client, halt, progress, took);

  const accepted: Accepted[] = [];
  const refusals: Refusal[] = [];
  /** Why the lines of a SKU in a file cannot be sent. */
  const blocked = new Map<string, readonly [reason: string, detail: string]>();
  let raisesRefused = 0;

  const adjust = async (adjustment: Adjustment): Promise<void> => {
    const why = made.refused.get(adjustment.sku) ?? blocked.get(blockOf(adjustment)) ?? await send(adjustment);
    if (why !== null) refuse(adjustment, why);
    progress.tick();
  };

  const send = async (adjustment: Adjustment) => {
    const product = made.before.get(adjustment.sku);
    if (product === undefined) throw new Error(`no product was made for ${adjustment.sku}`);
    const answer = await client.change(adjustStock(product.id, adjustment), took);
    const after = answer.status === 200 ? asProduct(answer.body) : null;
    if (after === null) return explain(answer);
    const replayed = answer.headers.get("idempotency-replayed") === "true";
    accepted.push({ adjustment, versionId: after.versionId, replayed });
    return null;
  };

  const refuse = (adjustment: Adjustment, [reason, detail]: readonly [string, string]): void => {
    const { origin } = adjustment;
    if (origin.kind === "line") {
      refusals.push({ file: origin.file, line: origin.line, reason, detail });
      return;
    }
    raisesRefused++;
    if (!made.refused.has(adjustment.sku)) blocked.set(blockOf(adjustment), [`stock not raised: ${reason}`, detail]);
  };

  for (const [label, adjustments] of [["raising stock", plan.raises], ["lines", plan.lines]] as const) {
    if (halt.signal.aborted) break;
    progress.stage(label, adjustments.length);
    await concurrently(adjustments, halt, adjust);
  }
  return { ...made, accepted, refusals, raisesRefused, took, seconds: (performance.now() - start) / 1_000 };
}

const blockOf = ({ digest, sku }: Adjustment): string => `${digest} ${sku}`;
