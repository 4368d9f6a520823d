import type { MadeProducts } from "./makeProducts.ts";
import { asProduct, productPath, type Product } from "./Product.ts";
import { readBack, type ReadBack } from "./readBack.ts";
import type { Run } from "./Run.ts";

/** Through the cache, then from the database; a pass that the run did not come to is missing. */
export async function readProducts({ before }: Pick<MadeProducts, "before">, run: Run): Promise<ReadBack<Product>[]> {
  const paths = new Map([...before].map(([sku, { id }]) => [sku, productPath(id)]));
  const passes: ReadBack<Product>[] = [];
  for (const [label, fromDatabase] of [["through the cache", false], ["from the database", true]] as const) {
    if (run.halt.signal.aborted) break;
    passes.push(await readBack(`products ${label}`, paths, fromDatabase, asProduct, run));
  }
  return passes;
}
