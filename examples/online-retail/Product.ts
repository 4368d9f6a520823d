/** What the import reads of a product; more fields may come. */
export interface Product {
  readonly id: string;
  readonly versionId: number;
  readonly sku: string;
  readonly name: string;
  readonly description: string | null;
  readonly price: { readonly amount: number; readonly currency: string };
  readonly stock: number;
}

/** null if the body is no product: an answer is foreign until it is looked at. */
export function asProduct(body: unknown): Product | null {
  if (!isRecord(body) || !isRecord(body.price)) return null;
  const { id, versionId, sku, name, description, stock } = body;
  const { amount, currency } = body.price;
  if (typeof id !== "string" || typeof sku !== "string" || typeof name !== "string") return null;
  if (typeof description !== "string" && description !== null) return null;
  if (typeof versionId !== "number" || typeof stock !== "number") return null;
  if (typeof amount !== "number" || typeof currency !== "string") return null;
  return { id, versionId, sku, name, description, price: { amount, currency }, stock };
}

export function asPage(body: unknown): { products: Product[]; nextCursor: string | null } | null {
  if (!isRecord(body) || !Array.isArray(body.items)) return null;
  const products = body.items.map(asProduct);
  if (!products.every((product) => product !== null)) return null;
  const { nextCursor } = body;
  return typeof nextCursor === "string" || nextCursor === null ? { products, nextCursor } : null;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
