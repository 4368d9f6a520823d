import type { Client } from "./Client.ts";
import { explain } from "./explain.ts";
import { isRecord } from "./isRecord.ts";
import { asOrder, type Order } from "./Order.ts";
import { asProduct, type Product } from "./Product.ts";

/**
 * All products by SKU. There is no look-up by SKU, so all pages are read; from the database, since a stock that is
 * behind would be taken for the stock at the start.
 */
export async function listProducts(client: Client): Promise<Map<string, Product>> {
  const products = await listAll(client, "/v1/products?limit=200", asProduct);
  return new Map(products.map((product) => [product.sku, product]));
}

/** All orders of a customer by id, from the database. */
export async function listOrders(client: Client, customerId: string): Promise<Map<string, Order>> {
  const orders = await listAll(client, `/v1/orders?customerId=${encodeURIComponent(customerId)}&limit=200`, asOrder);
  return new Map(orders.map((order) => [order.id, order]));
}

/** Throws if a page cannot be read: what is not known to be absent must not be made. */
async function listAll<T>(client: Client, first: string, decode: (body: unknown) => T | null): Promise<T[]> {
  const all: T[] = [];
  for (let path: string | null = first; path !== null;) {
    const answer = await client.read(path, true, []);
    const page = answer.status === 200 ? asPage(answer.body, decode) : null;
    if (page === null) throw new Error(`GET ${first.split("?")[0]}: ${explain(answer).join(" ")}`.trimEnd());
    all.push(...page.items);
    path = page.nextCursor === null ? null : `${first}&cursor=${encodeURIComponent(page.nextCursor)}`;
  }
  return all;
}

function asPage<T>(body: unknown, decode: (body: unknown) => T | null): { items: T[]; nextCursor: string | null } | null {
  if (!isRecord(body) || !Array.isArray(body.items)) return null;
  const items = body.items.map(decode);
  if (!items.every((item) => item !== null)) return null;
  const { nextCursor } = body;
  return typeof nextCursor === "string" || nextCursor === null ? { items, nextCursor } : null;
}
