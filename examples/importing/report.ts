import type { Difference } from "./Difference.ts";
import type { Performance } from "./latency.ts";
import type { NotMade } from "./NotMade.ts";
import type { Pass } from "./Pass.ts";
import type { Result } from "./Result.ts";
import type { SalesResult } from "./SalesResult.ts";

/** A list that is longer is cut in the report; `--json` has all of it. */
const MOST_LISTED = 20;

type Row = readonly [label: string, value: string | number, note?: string];

type NamedPass = readonly [label: string, pass: Pass | null];

export function renderReport(result: Result): string {
  const { lines, products, stock, sales } = result;
  const passes = passesOf(result);
  const rows: Row[] = [
    ["lines of the files", lines.total],
    ["  imported", lines.imported, `${lines.replayed} of them answered by a replay`],
    ["  refused", lines.refused],
    ...Object.entries(lines.refusedByReason).map(([reason, count]): Row => [`    ${reason}`, count]),
    [result.brokenOff === null ? "  unaccounted for" : "  not settled", lines.unaccounted],
    ["products", products.total],
    ["  created", products.created],
    ["  corrected", products.corrected],
    ["  refused", products.refused.length],
    ["  changed by this run", products.changed ?? "not read"],
    ...(sales === null ? [] : salesRows(sales)),
    ["stock", "", ""],
    ["  raised", stock.raised],
    ...(sales === null ? [["  moved by the lines", stock.moved] as const] : [["  taken by the orders", stock.ordered] as const]),
    ["  expected in the end", stock.expected],
    ["  products with stock from elsewhere", stock.elsewhere.length],
    ...passes.flatMap(([label, pass]): Row[] => pass === null ? [[`read ${label}`, "not done"]] : [
      [`read ${label}`, pass.read, countsOf(pass.cacheStatuses)],
      ["  differences", pass.differences.length],
    ]),
    ["rows held against their events", result.rowsFromEvents?.compared ?? "not done"],
    ["  differences", result.rowsFromEvents?.differences.length ?? ""],
    ["writes", result.writes.requests, `${speedOf(result.writes)}, ${result.retries} requests repeated in the whole run`],
    ...passes.flatMap(([label, pass]): Row[] => pass === null ? [] : [
      [`reads of ${label}`, pass.performance.requests, speedOf(pass.performance)],
    ]),
  ];
  return [renderRows(rows), ...renderLists(result, passes), ...renderNotCarried(result), verdictOf(result)].join("\n");
}

function passesOf({ throughCache, fromDatabase, sales }: Result): NamedPass[] {
  const ofProducts: NamedPass[] = [["products through the cache", throughCache], ["products from the database", fromDatabase]];
  return sales === null ? ofProducts : [
    ...ofProducts,
    ["customers through the cache", sales.passes.customers],
    ["customers in full", sales.passes.fullCustomers],
    ["orders through the cache", sales.passes.orders],
    ["orders in full", sales.passes.fullOrders],
  ];
}

function salesRows({ customers, orders, listDifferences }: SalesResult): Row[] {
  return [
    ["customers", customers.total],
    ["  created", customers.created],
    ["  corrected", customers.corrected],
    ["  refused", customers.refused.length],
    ["  changed by this run", customers.changed ?? "not read"],
    ["orders", orders.total, `to be ${countsOf(orders.byStatus)}`],
    ["  placed", orders.placed, `${orders.replayed} of them answered by a replay`],
    ["  refused", orders.refused.length],
    ["  stopped half-way", orders.stepsRefused.length],
    ["  changed by this run", orders.changed ?? "not read"],
    ["  differences in the lists", listDifferences?.length ?? "not read"],
  ];
}

function renderLists({ refusals, products, stock, sales, rowsFromEvents }: Result, passes: readonly NamedPass[]): string[] {
  return [
    ...renderList("Refused lines", refusals.map(({ file, line, reason, detail }) => `${file}:${line}: ${join(reason, detail)}`)),
    ...renderNotMade("Refused products", products.refused),
    ...renderNotMade("Refused customers", sales?.customers.refused ?? []),
    ...renderNotMade("Refused orders", sales?.orders.refused ?? []),
    ...renderNotMade("Orders stopped half-way", sales?.orders.stepsRefused ?? []),
    ...renderList("Stock from elsewhere", stock.elsewhere.map((one) => `${one.sku}: ${one.stock}`)),
    ...passes.flatMap(([label, pass]) => renderDifferences(`Differences: ${label}`, pass?.differences ?? [])),
    ...renderDifferences("Differences: lists of orders", sales?.listDifferences ?? []),
    ...renderDifferences("Differences: rows and their events", rowsFromEvents?.differences ?? []),
  ];
}

/** Whole: what an import leaves behind is its other half. */
function renderNotCarried({ notCarried }: Result): string[] {
  if (notCarried.length === 0) return [];
  const rows = notCarried.map(({ file, column, values, note }): Row => [`  ${file} ${column}`, values, note]);
  return ["\nNot carried, for want of a place (lines that say something):", renderRows(rows)];
}

const renderNotMade = (title: string, items: readonly NotMade[]): string[] =>
  renderList(title, items.map(({ name, reason, detail }) => `${name}: ${join(reason, detail)}`));

const renderDifferences = (title: string, items: readonly Difference[]): string[] =>
  renderList(title, items.map(({ of, field, expected, found }) => `${of}: ${field}: expected ${expected}, found ${found}`));

function verdictOf({ clean, brokenOff }: Result): string {
  if (brokenOff !== null) return `\nBroken off: ${brokenOff}. Run it again within 24 hours; no line is counted twice.`;
  return clean ? "\nClean: the service holds what the files say." : "\nNot clean: see above.";
}

function renderRows(rows: readonly Row[]): string {
  const labelWidth = Math.max(...rows.map(([label]) => label.length));
  const valueWidth = Math.max(...rows.map(([, value]) => String(value).length));
  return rows
    .map(([label, value, note = ""]) => `${label.padEnd(labelWidth)}  ${String(value).padStart(valueWidth)}  ${note}`.trimEnd())
    .join("\n");
}

function renderList(title: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const more = items.length > MOST_LISTED ? [`  … and ${items.length - MOST_LISTED} more`] : [];
  return [`\n${title} (${items.length}):`, ...items.slice(0, MOST_LISTED).map((item) => `  ${item}`), ...more];
}

const countsOf = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts).map(([label, count]) => `${label} ${count}`).join(", ");

const speedOf = ({ perSecond, p50Ms, p99Ms }: Performance): string =>
  `${perSecond}/s, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;

const join = (reason: string, detail: string): string => (detail === "" ? reason : `${reason}: ${detail}`);
