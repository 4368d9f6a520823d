import type { Adjustment } from "./adjustStocks.ts";
import { keyOf, type Change } from "./Change.ts";
import { productPath, type Product, type WantedProduct } from "./Product.ts";

/**
 * The key of an adjustment says which line (or raise) of which file is counted on which product. The product's id is
 * part of it since the id is part of the path: a product that was deleted and made again counts the lines anew,
 * where a key without it would be refused as reused.
 *
 * Nothing else may be in the key. Should a later importer make other bodies of the same file, the service refuses them
 * as reused keys: loud, where a new key would count the lines twice.
 */
export function adjustStock(productId: string, adjustment: Adjustment): Change {
  const { dataSet, digest, origin, sku, delta, reason } = adjustment;
  const purpose = origin.kind === "line" ? ["line", origin.line] : [origin.kind, sku];
  return {
    method: "POST",
    path: `${productPath(productId)}/stock-adjustments`,
    body: JSON.stringify({ delta, reason }),
    idempotencyKey: keyOf(dataSet, [digest, productId, ...purpose]),
  };
}

/**
 * A creation is repeated under its key within one run only. From run to run the SKU guards it, and a key that lasted
 * would hand out the first product again after somebody deleted it.
 */
export function createProduct(runId: string, wanted: WantedProduct): Change {
  const { sku, name, description, price } = wanted;
  return {
    method: "POST",
    path: "/v1/products",
    body: JSON.stringify({ sku, name, ...(description === null ? {} : { description }), price, stock: 0 }),
    idempotencyKey: keyOf("import", [runId, "product", sku]),
  };
}

/**
 * Sets what differs, or null if nothing does. It carries no key: setting a value twice makes one version, while a
 * key would replay an old answer over a value that somebody changed back in between.
 */
export function correctProduct(product: Product, wanted: WantedProduct): Change | null {
  const { name, description, price, status } = wanted;
  const patch = {
    ...(product.name === name ? {} : { name }),
    ...(description === null || product.description === description ? {} : { description }),
    ...(product.price.amount === price.amount && product.price.currency === price.currency ? {} : { price }),
    // Nobody can order what is discontinued: that comes after the orders, see `discontinueProduct`.
    ...(status === "active" && product.status !== status ? { status } : {}),
  };
  return Object.keys(patch).length === 0 ? null : patchProduct(product.id, patch);
}

export const discontinueProduct = (id: string): Change => patchProduct(id, { status: "discontinued" });

const patchProduct = (id: string, patch: object): Change => (
  { method: "PATCH", path: productPath(id), body: JSON.stringify(patch), idempotencyKey: null }
);
