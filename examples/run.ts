/**
 * Runs the examples on a service of their own: embedded, on a free port, with a temporary folder.
 *
 *     npm run examples
 *
 * First the README's commands, held against the output that the README shows; then the imports, of small files and, if
 * they are there, of the real ones: one day of invoices, as adjustments and as orders, and the whole of Northwind. Every
 * import runs twice, and the second one must change nothing. Exits with 1 on any difference. Nothing is left behind.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import type { Result } from "./importing/Result.ts";
import { runReadme } from "./readme.ts";
import { FILES, REFUSED } from "./samples.ts";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const REAL_DAY = at("../../shared/data/online-retail/2010-12-01.csv");
const REAL_NORTHWIND = at("../../shared/data/northwind");

interface Import {
  readonly name: string;
  readonly script: "import-online-retail.ts" | "import-northwind.ts";
  readonly args: readonly string[];
  /** Of lines, by reason; undefined where nobody knows beforehand. */
  readonly refused?: Readonly<Record<string, number>>;
}

/** Starts the service; its log goes to a file that is shown if something goes wrong. */
const startService = async (folder: string) => {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [at("../src/main.ts")], {
    env: { PATH, HOME, HOLDFAST_FOLDER: folder, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  let url: string | null = null;
  let unpurged = 64;
  for await (const line of createInterface({ input: child.stdout, signal: AbortSignal.timeout(60_000) })) {
    const { msg, url: ready, partitions } = JSON.parse(line) as { msg: string; url?: string; partitions?: number };
    if (msg === "Holdfast is ready") url = ready!;
    // A new cache is emptied once; what is stored before that is gone again.
    if (partitions !== undefined) unpurged -= partitions;
    if (url !== null && unpurged <= 0) break;
  }
  child.stdout.resume();
  if (url === null) throw new Error("The service did not start.");
  await untilRead(url);
  return { url, stop };
};

/** A service that has just started serves an entry only once it has seen that its partition is settled, a moment after that is so. */
const untilRead = async (url: string): Promise<void> => {
  const late = AbortSignal.timeout(60_000);
  for (;;) {
    const answer = await fetch(`${url}/ops/stats`, { headers: { authorization: "Bearer dev" }, signal: late });
    const { breaker } = await answer.json() as { breaker: string };
    if (breaker === "closed") return;
    await delay(10);
  }
};

const runImport = async ({ script, args }: Import, url: string, report: string): Promise<Result> => {
  const child = spawn(process.execPath, [at(script), ...args, "--url", url, "--json", report], { stdio: ["ignore", "ignore", "inherit"] });
  await once(child, "exit");
  return JSON.parse(await readFile(report, "utf8")) as Result;
};

/** How many entities a run made or changed. */
const changedBy = ({ products, sales }: Result): number | null =>
  sales === null ? products.changed : (products.changed ?? NaN) + (sales.customers.changed ?? NaN) + (sales.orders.changed ?? NaN);

/** Runs an import twice; answers what is not as it should be. */
const importTwice = async (one: Import, url: string, folder: string): Promise<readonly string[]> => {
  const start = performance.now();
  const [first, second] = [await runImport(one, url, join(folder, "1.json")), await runImport(one, url, join(folder, "2.json"))];
  const orders = first.sales === null ? "" : `, ${first.sales.customers.total} customers, ${first.sales.orders.placed} orders`;
  console.log(`${one.name}: ${first.lines.imported} of ${first.lines.total} lines imported, ${first.lines.refused} refused, ${first.products.total} products${orders}; `
    + `${first.writes.perSecond} writes/s, ${Math.round((performance.now() - start) / 1_000)} s for two imports`);
  const repeated = second.sales === null ? [second.lines.replayed, first.lines.imported] : [second.sales.orders.replayed, first.sales?.orders.placed];
  return [
    ...first.clean ? [] : [`The import of ${one.name} was not clean: ${JSON.stringify(first, null, 1)}`],
    ...second.clean ? [] : [`The second import of ${one.name} was not clean.`],
    ...changedBy(second) === 0 ? [] : [`The second import of ${one.name} changed ${changedBy(second)} entities.`],
    ...repeated[0] === repeated[1] ? [] : [`The second import of ${one.name} replayed ${repeated[0]} of ${repeated[1]}.`],
    ...one.refused === undefined || isDeepStrictEqual(first.lines.refusedByReason, one.refused)
      ? [] : [`The import of ${one.name} refused ${JSON.stringify(first.lines.refusedByReason)}.`],
  ];
};

/** What there is to import; says what is left out for want of files. */
const importsIn = (folder: string): readonly Import[] => {
  const invoices = (name: string, file: string, refused: typeof REFUSED | undefined): readonly Import[] => [
    { name, script: "import-online-retail.ts", args: [file], ...refused && { refused: refused.lines } },
    { name: `${name} as orders`, script: "import-online-retail.ts", args: [file, "--orders"], ...refused && { refused: refused.orders } },
  ];
  const real: readonly (readonly [string, readonly Import[]])[] = [
    [REAL_DAY, invoices("a day of invoices", REAL_DAY, undefined)],
    [REAL_NORTHWIND, [{ name: "Northwind", script: "import-northwind.ts", args: [REAL_NORTHWIND] }]],
  ];
  for (const [path] of real) if (!existsSync(path)) console.log(`Skipped, for it is not there: ${path}`);
  const present = real.filter(([path]) => existsSync(path)).flatMap(([, imports]) => imports);
  const sample: Import = { name: "a sample of Northwind", script: "import-northwind.ts", args: [folder], refused: REFUSED.northwind };
  // Both Northwinds have the same keys and products, as two editions of it: only one of them goes into an installation.
  return [...invoices("sample invoices", join(folder, "invoices.csv"), REFUSED), ...present.some(({ script }) => script === sample.script) ? present : [...present, sample]];
};

const folder = await mkdtemp(join(tmpdir(), "holdfast-examples-"));
try {
  const { url, stop } = await startService(join(folder, "holdfast"));
  try {
    for (const [name, text] of Object.entries(FILES)) await writeFile(join(folder, name), text);
    const differences = [...await runReadme(url)];
    for (const one of importsIn(folder)) differences.push(...await importTwice(one, url, folder));
    for (const difference of differences) console.error(difference);
    console.log(differences.length === 0 ? "Every example does what it says." : `${differences.length} differences.`);
    process.exitCode = differences.length === 0 ? 0 : 1;
  } finally {
    await stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
