import type { Accepted, Applied } from "./applyPlan.ts";
import type { Wanted } from "./plan.ts";
import type { Product } from "./Product.ts";
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

export interface Difference {
  readonly sku: string;
  readonly field: "product" | "sku" | "name" | "description" | "price" | "stock" | "version";
  readonly expected: string;
  readonly found: string;
}

/**
 * The rule: stock = stock from elsewhere + all accepted adjustments of the files (raises and lines).
 *
 * Stock from elsewhere is 0 for a product that this run created. For one that it found, it is the stock found less the
 * adjustments that were already in it, which are those whose answer names a version not above the one found: they
 * belong to an earlier run, whether or not the answer is a replay. (A replay alone does not tell: a request whose
 * answer got lost on the way is answered by a replay too, and may have been counted after the product was read.)
 */
export function expectStock(applied: Pick<Applied, "before" | "accepted">): Expectation[] {
  const bySku = Map.groupBy(applied.accepted, ({ adjustment }) => adjustment.sku);
  return [...applied.before].map(([sku, before]) => {
    const accepted = bySku.get(sku) ?? [];
    const earlier = accepted.filter(({ versionId }) => versionId <= before.versionId);
    const elsewhere = before.stock - sumOf(earlier);
    const versions = accepted.map(({ versionId }) => versionId);
    return {
      sku,
      elsewhere,
      stock: elsewhere + sumOf(accepted),
      versionId: versions.reduce((newest, version) => Math.max(newest, version), before.versionId),
      versionsTwice: versions.filter((version, index) => versions.indexOf(version) !== index),
    };
  });
}

/** Compares one pass with the files. Nothing that was read is taken on trust, the SKU neither. */
export function compare(
  expectations: readonly Expectation[],
  wanted: ReadonlyMap<string, Wanted>,
  readBack: Pick<ReadBack, "products" | "unread">,
): Difference[] {
  return expectations.flatMap((expectation): Difference[] => {
    const { sku } = expectation;
    const found = readBack.products.get(sku);
    const want = wanted.get(sku);
    if (want === undefined) return [];
    if (found === undefined) {
      return [{ sku, field: "product", expected: "a product", found: readBack.unread.get(sku) ?? "not read" }];
    }
    return [...compareFields(want, found), ...compareStock(expectation, found)];
  });
}

function compareFields(want: Wanted, found: Product): Difference[] {
  const { sku } = want;
  const price = ({ amount, currency }: Product["price"]): string => `${amount} ${currency}`;
  const pairs = [
    ["sku", sku, found.sku],
    ["name", want.name, found.name],
    ["description", want.description ?? found.description, found.description],
    ["price", price(want.price), price(found.price)],
  ] as const;
  return pairs
    .filter(([, expected, actual]) => expected !== actual)
    .map(([field, expected, actual]) => ({ sku, field, expected: String(expected), found: String(actual) }));
}

function compareStock({ sku, stock, versionId, versionsTwice }: Expectation, found: Product): Difference[] {
  const differences: Difference[] = [];
  if (found.stock !== stock) {
    differences.push({ sku, field: "stock", expected: String(stock), found: String(found.stock) });
  }
  if (found.versionId < versionId) {
    differences.push({ sku, field: "version", expected: `${versionId} or newer`, found: String(found.versionId) });
  }
  for (const version of versionsTwice) {
    differences.push({ sku, field: "version", expected: `one change made ${version}`, found: "two changes answered with it" });
  }
  return differences;
}

/** Products that this run created or gave a newer version; none after the second import of the same files. */
export function countChanged(applied: Pick<Applied, "before" | "created">, last: Pick<ReadBack, "products">): number {
  const changed = [...applied.before].filter(([sku, { versionId }]) => {
    const now = last.products.get(sku);
    return applied.created.has(sku) || (now !== undefined && now.versionId !== versionId);
  });
  return changed.length;
}

const sumOf = (accepted: readonly Accepted[]): number =>
  accepted.reduce((sum, { adjustment }) => sum + adjustment.delta, 0);
