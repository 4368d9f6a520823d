import { concurrently } from "../importing/concurrently.ts";
import { explain } from "../importing/explain.ts";
import type { MadeProducts } from "../importing/makeProducts.ts";
import type { WantedProduct } from "../importing/Product.ts";
import { discontinueProduct } from "../importing/productChanges.ts";
import type { Why } from "../importing/Refusal.ts";
import type { Run } from "../importing/Run.ts";

/** After the orders, which may hold what is no longer sold. Answers with those that are still active, and why. */
export async function discontinueProducts(
  wanted: ReadonlyMap<string, WantedProduct>,
  { before }: Pick<MadeProducts, "before">,
  { client, halt, progress, took }: Run,
): Promise<Map<string, Why>> {
  const refused = new Map<string, Why>();
  const due = [...before].filter(([sku, { status }]) => wanted.get(sku)?.status === "discontinued" && status !== "discontinued");
  progress.stage("discontinuing products", due.length);
  await concurrently(due, halt, async ([sku, { id }]) => {
    const answer = await client.change(discontinueProduct(id), took);
    if (answer.status !== 200) refused.set(sku, explain(answer));
    progress.tick();
  });
  return refused;
}
