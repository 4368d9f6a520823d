import type { AdjustedStocks } from "./adjustStocks.ts";
import { compareProducts, countChanged, expectStock } from "./compareProducts.ts";
import { orderedOf } from "./compareSales.ts";
import { countBy } from "./countBy.ts";
import type { Difference } from "./Difference.ts";
import { summarizeLatency, type Performance } from "./latency.ts";
import type { MadeProducts } from "./makeProducts.ts";
import type { NotMade } from "./NotMade.ts";
import { asPass, type Pass } from "./Pass.ts";
import type { Product, WantedProduct } from "./Product.ts";
import type { ReadBack } from "./readBack.ts";
import type { Refusal, Why } from "./Refusal.ts";
import type { RowsFromEvents } from "./rowsFromEvents.ts";
import { judgeSales, type SalesEvidence, type SalesResult } from "./SalesResult.ts";
import type { Settled } from "./settle.ts";

/** A column, or what is in it, that the model of the service has no place for. */
export interface NotCarried {
  readonly file: string;
  readonly column: string;
  /** Lines in which it says something. */
  readonly values: number;
  readonly note: string;
}

interface SourceSummary {
  readonly name: string;
  readonly digest: string;
  readonly total: number;
  readonly refusals: readonly Refusal[];
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
    readonly refused: readonly NotMade[];
    /** Created or given a newer version by this run; null if it could not be read back. */
    readonly changed: number | null;
  };
  readonly stock: {
    readonly raised: number;
    readonly raisesRefused: number;
    readonly moved: number;
    readonly ordered: number;
    readonly expected: number;
    readonly elsewhere: readonly { readonly sku: string; readonly stock: number }[];
  };
  readonly throughCache: Pass | null;
  readonly fromDatabase: Pass | null;
  /** null: the import knows no orders. */
  readonly sales: SalesResult | null;
  /** Of products, customers and orders; null if the run was broken off before. */
  readonly rowsFromEvents: RowsFromEvents | null;
  readonly notCarried: readonly NotCarried[];
  readonly writes: Performance;
  readonly retries: number;
}

export interface Evidence {
  readonly files: readonly SourceSummary[];
  readonly settled: Settled;
  readonly wanted: ReadonlyMap<string, WantedProduct>;
  readonly made: MadeProducts;
  readonly raises: AdjustedStocks;
  /** Lines that are stock adjustments. */
  readonly moves: AdjustedStocks;
  readonly sales: SalesEvidence | null;
  /** Products that should be discontinued and are not. */
  readonly notDiscontinued: ReadonlyMap<string, Why>;
  /** Through the cache, then from the database. */
  readonly passes: readonly ReadBack<Product>[];
  readonly rowsFromEvents: RowsFromEvents | null;
  readonly notCarried: readonly NotCarried[];
  readonly brokenOff: string | null;
  readonly retries: number;
  readonly took: readonly number[];
  readonly seconds: number;
  /** Nothing but these files has ever moved these products. */
  readonly exclusive: boolean;
}

/**
 * Clean: nothing was broken off, every line is imported or refused by the rules for the files, the service refused
 * nothing, all passes read what the files say, and every row is what its events come to.
 */
export function judge(evidence: Evidence): Result {
  const { files, settled, wanted, made, raises, moves, notDiscontinued, passes, exclusive, brokenOff } = evidence;
  const ordered = evidence.sales === null ? [] : orderedOf(evidence.sales.placed, evidence.sales.customers);
  const accepted = [...raises.accepted, ...moves.accepted];
  const expectations = expectStock({ before: made.before, accepted, ordered });
  const compareEach = (pass: ReadBack<Product>): Difference[] => compareProducts(expectations, wanted, pass);
  const [throughCache = null, fromDatabase = null] = passes.map((pass) => asPass(pass, compareEach(pass)));
  const sales = evidence.sales === null ? null : judgeSales(evidence.sales, made, exclusive);
  const last = passes[1];

  const refusals = [...files.flatMap((file) => file.refusals), ...settled.refusals];
  const total = sum(files.map((file) => file.total));
  const unaccounted = total - settled.imported - refusals.length;
  const elsewhere = expectations.filter((one) => one.elsewhere !== 0);
  const notMade = [...made.refused, ...made.correctionsRefused, ...notDiscontinued]
    .map(([name, [reason, detail]]): NotMade => ({ name, reason, detail }));

  const clean = brokenOff === null
    && unaccounted === 0
    && settled.refusals.length === 0
    && raises.refused.size === 0
    && notMade.length === 0
    && throughCache?.differences.length === 0
    && fromDatabase?.differences.length === 0
    && sales?.clean !== false
    && evidence.rowsFromEvents?.differences.length === 0
    && !(exclusive && elsewhere.length > 0);

  return {
    clean,
    brokenOff,
    files: files.map(({ name, digest, total: lines }) => ({ name, digest, lines })),
    lines: {
      total,
      imported: settled.imported,
      replayed: settled.replayed,
      refused: refusals.length,
      unaccounted,
      refusedByReason: countBy(refusals, ({ reason }) => reason),
    },
    refusals,
    products: {
      total: wanted.size,
      created: made.created.size,
      corrected: made.corrected,
      refused: notMade,
      changed: last === undefined ? null : countChanged(made, last),
    },
    stock: {
      raised: sum(raises.accepted.map(({ adjustment }) => adjustment.delta)),
      raisesRefused: raises.refused.size,
      moved: sum(moves.accepted.map(({ adjustment }) => adjustment.delta)),
      ordered: sum(ordered.map(({ quantity }) => quantity)),
      expected: sum(expectations.map(({ stock }) => stock)),
      elsewhere: elsewhere.map(({ sku, elsewhere: stock }) => ({ sku, stock })),
    },
    throughCache,
    fromDatabase,
    sales,
    rowsFromEvents: evidence.rowsFromEvents,
    notCarried: evidence.notCarried,
    writes: summarizeLatency(evidence.took, evidence.seconds),
    retries: evidence.retries,
  };
}


const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
