import { isRecord } from "./isRecord.ts";
import { asMoney, type Money } from "./Money.ts";

/** What the files say about a product. */
export interface WantedProduct {
  readonly sku: string;
  readonly name: string;
  /** null: the files say nothing; what the product has stays and is not compared. */
  readonly description: string | null;
  readonly price: Money;
  /** null: the files say nothing, as above. */
  readonly status: "active" | "discontinued" | null;
}

/** What the import reads of a product; more fields may come. */
export interface Product {
  readonly id: string;
  readonly versionId: number;
  readonly sku: string;
  readonly name: string;
  readonly description: string | null;
  readonly price: Money;
  readonly stock: number;
  readonly status: string;
}

/** null if the body is no product: an answer is foreign until it is looked at. */
export function asProduct(body: unknown): Product | null {
  if (!isRecord(body)) return null;
  const { id, versionId, sku, name, description, stock, status } = body;
  const price = asMoney(body.price);
  if (price === null) return null;
  if (typeof id !== "string" || typeof sku !== "string" || typeof name !== "string" || typeof status !== "string") return null;
  if (typeof description !== "string" && description !== null) return null;
  if (typeof versionId !== "number" || typeof stock !== "number") return null;
  return { id, versionId, sku, name, description, price, stock, status };
}

export const productPath = (id: string): string => `/v1/products/${encodeURIComponent(id)}`;
