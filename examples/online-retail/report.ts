import type { Performance } from "./latency.ts";
import type { Result } from "./Result.ts";

/** A list that is longer is cut in the report; `--json` has all of it. */
const MOST_LISTED = 20;

type Row = readonly [label: string, value: string | number, note?: string];

export function renderReport(result: Result): string {
  const { lines, products, stock, throughCache, fromDatabase } = result;
  const passes = [["through the cache", throughCache], ["from the database", fromDatabase]] as const;
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
    ["stock", "", ""],
    ["  raised", stock.raised],
    ["  moved by the lines", stock.moved],
    ["  expected in the end", stock.expected],
    ["  products with stock from elsewhere", stock.elsewhere.length],
    ...passes.flatMap(([label, pass]): Row[] => pass === null ? [[`read back ${label}`, "not done"]] : [
      [`read back ${label}`, pass.read, countsOf(pass.cacheStatuses)],
      ["  differences", pass.differences.length],
    ]),
    ["writes", result.writes.requests, `${speedOf(result.writes)}, ${result.retries} requests repeated in the whole run`],
    ...passes.flatMap(([label, pass]): Row[] => pass === null ? [] : [
      [`reads ${label}`, pass.performance.requests, speedOf(pass.performance)],
    ]),
  ];
  return [renderRows(rows), ...renderLists(result), verdictOf(result)].join("\n");
}

function renderLists({ refusals, products, stock, throughCache, fromDatabase }: Result): string[] {
  const differences = [throughCache, fromDatabase].map((pass) => (pass?.differences ?? [])
    .map(({ sku, field, expected, found }) => `${sku}: ${field}: expected ${expected}, found ${found}`));
  return [
    ...renderList("Refused lines", refusals.map(({ file, line, reason, detail }) => `${file}:${line}: ${join(reason, detail)}`)),
    ...renderList("Refused products", products.refused.map(({ sku, reason, detail }) => `${sku}: ${join(reason, detail)}`)),
    ...renderList("Stock from elsewhere", stock.elsewhere.map((one) => `${one.sku}: ${one.stock}`)),
    ...renderList("Differences through the cache", differences[0] ?? []),
    ...renderList("Differences from the database", differences[1] ?? []),
  ];
}

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
