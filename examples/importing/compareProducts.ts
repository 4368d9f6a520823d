import type { Accepted } from "./adjustStocks.ts";
import { expectField, type Difference } from "./Difference.ts";
import type { MadeProducts } from "./makeProducts.ts";
import { showMoney } from "./Money.ts";
import type { Product, WantedProduct } from "./Product.ts";
import type { ReadBack } from "./readBack.ts";

/** What the stock of one product must be, and how it comes about. */
export interface Expectation {
  readonly sku: string;
  readonly stock: number;
  /** What the product holds that the files of this import do not explain; 0 unless something else moved it. */
  readonly elsewhere: number;
  /** The newest version that an answer named. */
  readonly versionId: number;
  /** Two answers named the same version: one of the two changes is lost. */
  readonly versionsTwice: readonly number[];
}

/** What one line of an order takes from a stock. */
export interface Ordered {
  readonly sku: string;
  readonly quantity: number;
  /** The order was there before this run sent anything, so that the stock found is without these pieces. */
  readonly earlier: boolean;
}

/**
 * The rule: stock = stock from elsewhere + all accepted adjustments of the files (raises and lines) − all that is ordered.
 *
 * Stock from elsewhere is 0 for a product that this run created. For one that it found, it is the stock found less the
 * adjustments that were already in it, which are those whose answer names a version not above the one found: they
 * belong to an earlier run, whether or not the answer is a replay. (A replay alone does not tell: a request whose
 * answer got lost on the way is answered by a replay too, and may have been counted after the product was read.) An order's answer names no version
 * of the products; there the list of the orders, read before the first change, tells what is earlier.
 */
export function expectStock(applied: {
  readonly before: ReadonlyMap<string, Product>;
  readonly accepted: readonly Accepted[];
  readonly ordered: readonly Ordered[];
}): Expectation[] {
  const bySku = Map.groupBy(applied.accepted, ({ adjustment }) => adjustment.sku);
  const orderedBySku = Map.groupBy(applied.ordered, ({ sku }) => sku);
  return [...applied.before].map(([sku, before]) => {
    const accepted = bySku.get(sku) ?? [];
    const earlier = accepted.filter(({ versionId }) => versionId <= before.versionId);
    const ordered = orderedBySku.get(sku) ?? [];
    const elsewhere = before.stock - sumOf(earlier) + piecesOf(ordered.filter((line) => line.earlier));
    const versions = accepted.map(({ versionId }) => versionId);
    return {
      sku,
      elsewhere,
      stock: elsewhere + sumOf(accepted) - piecesOf(ordered),
      versionId: versions.reduce((newest, version) => Math.max(newest, version), before.versionId),
      versionsTwice: versions.filter((version, index) => versions.indexOf(version) !== index),
    };
  });
}

/** Compares one pass with the files. Nothing that was read is taken on trust, the SKU neither. */
export function compareProducts(
  expectations: readonly Expectation[],
  wanted: ReadonlyMap<string, WantedProduct>,
  readBack: Pick<ReadBack<Product>, "entities" | "unread">,
): Difference[] {
  return expectations.flatMap((expectation): Difference[] => {
    const { sku } = expectation;
    const found = readBack.entities.get(sku);
    const want = wanted.get(sku);
    if (want === undefined) return [];
    if (found === undefined) {
      return [{ of: sku, field: "product", expected: "a product", found: readBack.unread.get(sku) ?? "not read" }];
    }
    return [...compareFields(want, found), ...compareStock(expectation, found)];
  });
}

const compareFields = (want: WantedProduct, found: Product): Difference[] => [
  ...expectField(want.sku, "sku", want.sku, found.sku),
  ...expectField(want.sku, "name", want.name, found.name),
  ...expectField(want.sku, "description", want.description ?? found.description, found.description),
  ...expectField(want.sku, "price", showMoney(want.price), showMoney(found.price)),
  ...expectField(want.sku, "status", want.status ?? found.status, found.status),
];

function compareStock({ sku, stock, versionId, versionsTwice }: Expectation, found: Product): Difference[] {
  const differences = expectField(sku, "stock", stock, found.stock);
  if (found.versionId < versionId) {
    differences.push({ of: sku, field: "version", expected: `${versionId} or newer`, found: String(found.versionId) });
  }
  for (const version of versionsTwice) {
    differences.push({ of: sku, field: "version", expected: `one change made ${version}`, found: "two changes answered with it" });
  }
  return differences;
}

/** Products that this run created or gave a newer version; none after the second import of the same files. */
export function countChanged(
  applied: Pick<MadeProducts, "before" | "created">,
  last: Pick<ReadBack<Product>, "entities">,
): number {
  const changed = [...applied.before].filter(([sku, { versionId }]) => {
    const now = last.entities.get(sku);
    return applied.created.has(sku) || (now !== undefined && now.versionId !== versionId);
  });
  return changed.length;
}

const sumOf = (accepted: readonly Accepted[]): number =>
  accepted.reduce((sum, { adjustment }) => sum + adjustment.delta, 0);

const piecesOf = (ordered: readonly Ordered[]): number => ordered.reduce((sum, { quantity }) => sum + quantity, 0);
