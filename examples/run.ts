/**
 * Runs the examples on a service of their own: embedded, on a free port, with a temporary folder.
 *
 *     npm run examples
 *
 * First the README's commands, held against the output that the README shows; then the import of invoices, of a small file
 * that is made here and, if it is there, of one day of the real data set. Every import runs twice, and the second one
 * must change nothing. Exits with 1 on any difference. Nothing is left behind.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Result } from "./online-retail/Result.ts";
import { runReadme } from "./readme.ts";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const REAL_DAY = at("../../shared/data/online-retail/2010-12-01.csv");

const SAMPLE = `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1001,10A,"TEA, GREEN",6,2010-12-01T08:26,4.50,1,France
1001,10a,TEA GREEN SMALL,2,2010-12-01T08:26,1.25,1,France
1002,10A,,4,2010-12-01T09:00,4.75,2,Germany
C1003,10A,"TEA, GREEN",-1,2010-12-01T09:30,4.75,1,France
1004,20,CUP שלום ☕,1,2010-12-01T10:00,0,2,Germany
1005,30,NOT A PRICE,1,2010-12-01T10:00,free,2,Germany
`;

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
  return { url, stop };
};

const importFile = async (file: string, url: string, report: string): Promise<Result> => {
  const child = spawn(process.execPath, [at("import-online-retail.ts"), file, "--url", url, "--json", report], { stdio: ["ignore", "ignore", "inherit"] });
  await once(child, "exit");
  return JSON.parse(await readFile(report, "utf8")) as Result;
};

/** Imports a file twice; answers what is not as it should be. */
const importTwice = async (file: string, url: string, folder: string): Promise<readonly string[]> => {
  const [first, second] = [await importFile(file, url, join(folder, "1.json")), await importFile(file, url, join(folder, "2.json"))];
  console.log(`${basename(file)}: ${first.lines.imported} of ${first.lines.total} lines imported, ${first.lines.refused} refused, ${first.products.total} products; ${first.writes.perSecond} writes/s`);
  return [
    ...first.clean ? [] : [`The import of ${basename(file)} was not clean.`],
    ...second.clean ? [] : [`The second import of ${basename(file)} was not clean.`],
    ...second.products.changed === 0 ? [] : [`The second import of ${basename(file)} changed ${second.products.changed} products.`],
    ...second.lines.replayed === first.lines.imported ? [] : [`The second import of ${basename(file)} replayed ${second.lines.replayed} of ${first.lines.imported} lines.`],
  ];
};

const folder = await mkdtemp(join(tmpdir(), "holdfast-examples-"));
try {
  const { url, stop } = await startService(join(folder, "holdfast"));
  try {
    const sample = join(folder, "sample.csv");
    await writeFile(sample, SAMPLE);
    const differences = [...await runReadme(url)];
    for (const file of [sample, REAL_DAY].filter((file) => existsSync(file))) differences.push(...await importTwice(file, url, folder));
    for (const difference of differences) console.error(difference);
    console.log(differences.length === 0 ? "Every example does what it says." : `${differences.length} differences.`);
    process.exitCode = differences.length === 0 ? 0 : 1;
  } finally {
    await stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
