import type { Client } from "./Client.ts";
import { asPage, type Product } from "./Product.ts";
import { explain } from "./explain.ts";

/**
 * All products by SKU. There is no look-up by SKU, so all pages are read; from the database, since a stock that is
 * behind would be taken for the stock at the start.
 */
export async function listProducts(client: Client): Promise<Map<string, Product>> {
  const bySku = new Map<string, Product>();
  let path: string | null = "/v1/products?limit=200";
  while (path !== null) {
    const answer = await client.read(path, true, []);
    const page = answer.status === 200 ? asPage(answer.body) : null;
    if (page === null) throw new Error(`GET /v1/products: ${explain(answer).join(" ")}`.trimEnd());
    for (const product of page.products) bySku.set(product.sku, product);
    path = page.nextCursor === null
      ? null
      : `/v1/products?limit=200&cursor=${encodeURIComponent(page.nextCursor)}`;
  }
  return bySku;
}
