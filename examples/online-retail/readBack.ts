import { cacheStatus } from "./cacheStatus.ts";
import { concurrently } from "./concurrently.ts";
import type { Client } from "./Client.ts";
import { explain } from "./explain.ts";
import { asProduct, type Product } from "./Product.ts";
import type { Progress } from "./progress.ts";

/** One pass over all products of the files. */
export interface ReadBack {
  readonly products: ReadonlyMap<string, Product>;
  /** SKU → why the product could not be read. */
  readonly unread: ReadonlyMap<string, string>;
  /** How many answers bore which `Cache-Status`. */
  readonly cacheStatuses: ReadonlyMap<string, number>;
  readonly took: readonly number[];
  readonly seconds: number;
}

/**
 * A plain GET sends no `Consistency-Token`: it sees what any other reader sees. With `fromDatabase` the cache is passed
 * by and refreshed, so that pass comes second.
 */
export async function readBack(
  ids: ReadonlyMap<string, Product>,
  fromDatabase: boolean,
  client: Client,
  halt: AbortController,
  progress: Progress,
): Promise<ReadBack> {
  const products = new Map<string, Product>();
  const unread = new Map<string, string>();
  const cacheStatuses = new Map<string, number>();
  const took: number[] = [];
  const start = performance.now();

  progress.stage(fromDatabase ? "reading from the database" : "reading through the cache", ids.size);
  await concurrently(ids, halt, async ([sku, { id }]) => {
    const answer = await client.read(`/v1/products/${encodeURIComponent(id)}`, fromDatabase, took);
    const product = answer.status === 200 ? asProduct(answer.body) : null;
    if (product === null) unread.set(sku, explain(answer)[0]);
    else products.set(sku, product);
    const status = cacheStatus(answer.headers.get("cache-status"));
    cacheStatuses.set(status, (cacheStatuses.get(status) ?? 0) + 1);
    progress.tick();
  });
  return { products, unread, cacheStatuses, took, seconds: (performance.now() - start) / 1_000 };
}
