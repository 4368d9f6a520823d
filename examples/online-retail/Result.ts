import type { Applied } from "./applyPlan.ts";
import type { Refusal } from "./InvoiceLine.ts";
import { summarizeLatency, type Performance } from "./latency.ts";
import type { Plan } from "./plan.ts";
import type { ReadBack } from "./readBack.ts";
import { compare, countChanged, expectStock, type Difference } from "./reconcile.ts";
import type { SourceFile } from "./SourceFile.ts";

interface Pass {
  readonly read: number;
  readonly cacheStatuses: Readonly<Record<string, number>>;
  readonly differences: readonly Difference[];
  readonly performance: Performance;
}

/** What `--json` writes. */
export interface Result {
  readonly clean: boolean;
  /** Why the run ended early; null if it did not. */
  readonly brokenOff: string | null;
  readonly files: readonly { readonly name: string; readonly digest: string; readonly lines: number }[];
  readonly lines: {
    readonly total: number;
    readonly imported: number;
    /** Of the imported: already counted by an earlier run, or answered again after a lost answer. */
    readonly replayed: number;
    readonly refused: number;
    /** total − imported − refused: 0, unless the run was broken off. */
    readonly unaccounted: number;
    readonly refusedByReason: Readonly<Record<string, number>>;
  };
  readonly refusals: readonly Refusal[];
  readonly products: {
    readonly total: number;
    readonly created: number;
    readonly corrected: number;
    readonly refused: readonly { readonly sku: string; readonly reason: string; readonly detail: string }[];
    /** Created or given a newer version by this run; null if it could not be read back. */
    readonly changed: number | null;
  };
  readonly stock: {
    readonly raised: number;
    readonly raisesRefused: number;
    readonly moved: number;
    readonly expected: number;
    readonly elsewhere: readonly { readonly sku: string; readonly stock: number }[];
  };
  readonly throughCache: Pass | null;
  readonly fromDatabase: Pass | null;
  readonly writes: Performance;
  readonly retries: number;
}

export interface Evidence {
  readonly files: readonly SourceFile[];
  readonly plan: Plan;
  readonly applied: Applied;
  readonly passes: readonly ReadBack[];
  readonly brokenOff: string | null;
  readonly retries: number;
  readonly exclusive: boolean;
}

/**
 * Clean: nothing was broken off, every line is imported or refused by the rules for the files, the service refused
 * nothing, and both passes read what the files say.
 */
export function judge({ files, plan, applied, passes, brokenOff, retries, exclusive }: Evidence): Result {
  const expectations = expectStock(applied);
  const [throughCache = null, fromDatabase = null] = passes.map((pass): Pass => ({
    read: pass.products.size,
    cacheStatuses: Object.fromEntries([...pass.cacheStatuses].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    differences: compare(expectations, plan.products, pass),
    performance: summarizeLatency(pass.took, pass.seconds),
  }));
  const last = passes[1];

  const importedLines = applied.accepted.filter(({ adjustment }) => adjustment.origin.kind === "line");
  const raises = applied.accepted.filter(({ adjustment }) => adjustment.origin.kind === "raise");
  const refusals = [...files.flatMap((file) => file.refusals), ...applied.refusals];
  const total = files.reduce((sum, file) => sum + file.total, 0);
  const unaccounted = total - importedLines.length - refusals.length;
  const elsewhere = expectations.filter((one) => one.elsewhere !== 0);
  const refusedProducts = [...applied.refused, ...applied.correctionsRefused]
    .map(([sku, [reason, detail]]) => ({ sku, reason, detail }));

  const clean = brokenOff === null
    && unaccounted === 0
    && applied.refusals.length === 0
    && applied.raisesRefused === 0
    && refusedProducts.length === 0
    && throughCache?.differences.length === 0
    && fromDatabase?.differences.length === 0
    && !(exclusive && elsewhere.length > 0);

  return {
    clean,
    brokenOff,
    files: files.map(({ name, digest, total: lines }) => ({ name, digest, lines })),
    lines: {
      total,
      imported: importedLines.length,
      replayed: importedLines.filter(({ replayed }) => replayed).length,
      refused: refusals.length,
      unaccounted,
      refusedByReason: countBy(refusals, ({ reason }) => reason),
    },
    refusals,
    products: {
      total: plan.products.size,
      created: applied.created.size,
      corrected: applied.corrected,
      refused: refusedProducts,
      changed: last === undefined ? null : countChanged(applied, last),
    },
    stock: {
      raised: sum(raises.map(({ adjustment }) => adjustment.delta)),
      raisesRefused: applied.raisesRefused,
      moved: sum(importedLines.map(({ adjustment }) => adjustment.delta)),
      expected: sum(expectations.map(({ stock }) => stock)),
      elsewhere: elsewhere.map(({ sku, elsewhere: stock }) => ({ sku, stock })),
    },
    throughCache,
    fromDatabase,
    writes: summarizeLatency(applied.took, applied.seconds),
    retries,
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

function countBy<T>(items: readonly T[], reasonOf: (item: T) => string): Record<string, number> {
  const counts = Object.groupBy(items, reasonOf);
  return Object.fromEntries(Object.entries(counts).map(([reason, group]) => [reason, group?.length ?? 0] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
