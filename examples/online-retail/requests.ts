import { createHash } from "node:crypto";
import type { Adjustment, Wanted } from "./plan.ts";
import type { Product } from "./Product.ts";

/** A change as it goes over the wire. The body is text: the service compares its bytes. */
export interface Change {
  readonly method: "POST" | "PATCH";
  readonly path: string;
  readonly body: string;
  readonly idempotencyKey: string | null;
}

/**
 * The key of an adjustment says which line (or raise) of which file is counted on which product. The product's id is
 * part of it since the id is part of the path: a product that was deleted and made again counts the lines anew,
 * where a key without it would be refused as reused.
 *
 * Nothing else may be in the key. Should a later importer make other bodies of the same file, the service refuses them
 * as reused keys: loud, where a new key would count the lines twice.
 */
export function adjustStock(productId: string, adjustment: Adjustment): Change {
  const { digest, origin, sku, delta, reason } = adjustment;
  const purpose = origin.kind === "line" ? ["line", origin.line] : ["raise", sku];
  return {
    method: "POST",
    path: `/v1/products/${encodeURIComponent(productId)}/stock-adjustments`,
    body: JSON.stringify({ delta, reason }),
    idempotencyKey: keyOf([digest, productId, ...purpose]),
  };
}

/**
 * A creation is repeated under its key within one run only. From run to run the SKU guards it, and a key that lasted
 * would hand out the first product again after somebody deleted it.
 */
export function createProduct(runId: string, wanted: Wanted): Change {
  const { sku, name, description, price } = wanted;
  return {
    method: "POST",
    path: "/v1/products",
    body: JSON.stringify({ sku, name, ...(description === null ? {} : { description }), price, stock: 0 }),
    idempotencyKey: keyOf([runId, "product", sku]),
  };
}

/**
 * Sets what differs, or null if nothing does. It carries no key: setting a value twice makes one version, while a
 * key would replay an old answer over a value that somebody changed back in between.
 */
export function correctProduct(product: Product, wanted: Wanted): Change | null {
  const { name, description, price } = wanted;
  const patch = {
    ...(product.name === name ? {} : { name }),
    ...(description === null || product.description === description ? {} : { description }),
    ...(product.price.amount === price.amount && product.price.currency === price.currency ? {} : { price }),
  };
  if (Object.keys(patch).length === 0) return null;
  return {
    method: "PATCH",
    path: `/v1/products/${encodeURIComponent(product.id)}`,
    body: JSON.stringify(patch),
    idempotencyKey: null,
  };
}

function keyOf(parts: readonly (string | number)[]): string {
  return `online-retail-${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}`;
}
