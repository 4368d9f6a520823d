import { concurrently } from "./concurrently.ts";
import { explain } from "./explain.ts";
import type { MadeProducts } from "./makeProducts.ts";
import { asProduct } from "./Product.ts";
import { adjustStock } from "./productChanges.ts";
import type { SourceLine, Why } from "./Refusal.ts";
import type { Run } from "./Run.ts";

/** One change of a stock. Everything in it follows from the source. */
export interface Adjustment {
  readonly dataSet: string;
  readonly sku: string;
  readonly delta: number;
  readonly reason: string;
  /** Of the file's bytes; of a data set of which there is one only, its name. */
  readonly digest: string;
  /** A line of the file, or the raise of this SKU for the whole file: for its lines one by one, or for its orders. */
  readonly origin: { readonly kind: "line" } & SourceLine | { readonly kind: "raise" | "raise-for-orders" };
}

/** An adjustment that the service answered with the product it left behind. */
export interface Accepted {
  readonly adjustment: Adjustment;
  readonly versionId: number;
  /** The service had counted it before and gave the first answer again. */
  readonly replayed: boolean;
}

export interface AdjustedStocks {
  readonly accepted: readonly Accepted[];
  readonly refused: ReadonlyMap<Adjustment, Why>;
}

/** `blocked` says why an adjustment must not even be sent, because something it rests on was not done. */
export async function adjustStocks(
  label: string,
  adjustments: readonly Adjustment[],
  made: Pick<MadeProducts, "before" | "refused">,
  blocked: (adjustment: Adjustment) => Why | undefined,
  { client, halt, progress, took }: Run,
): Promise<AdjustedStocks> {
  const accepted: Accepted[] = [];
  const refused = new Map<Adjustment, Why>();

  const send = async (adjustment: Adjustment): Promise<Why | null> => {
    const product = made.before.get(adjustment.sku);
    if (product === undefined) throw new Error(`no product was made for ${adjustment.sku}`);
    const answer = await client.change(adjustStock(product.id, adjustment), took);
    const after = answer.status === 200 ? asProduct(answer.body) : null;
    if (after === null) return explain(answer);
    accepted.push({ adjustment, versionId: after.versionId, replayed: answer.replayed });
    return null;
  };

  progress.stage(label, adjustments.length);
  await concurrently(adjustments, halt, async (adjustment) => {
    const why = made.refused.get(adjustment.sku) ?? blocked(adjustment) ?? await send(adjustment);
    if (why !== null) refused.set(adjustment, why);
    progress.tick();
  });
  return { accepted, refused };
}
