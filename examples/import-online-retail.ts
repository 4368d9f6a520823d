/**
 * Imports files of the Online Retail data set through the HTTP interface, then reads everything back and compares.
 *
 *     node examples/import-online-retail.ts FILE… [--url http://127.0.0.1:8080] [--key dev] [--json FILE] [--exclusive]
 *
 * Every stock code (case-sensitive, trimmed) is a product. Over the files in the order given, the last price wins and
 * the last description that is not empty; it is the description (at most 2,000 characters) and the name (at most 200).
 * Without any the name is the stock code, and a description that the product has is left alone.
 *
 * Every invoice line is a stock adjustment of minus its quantity; a cancellation has a negative one and gives back.
 * Before that each stock is raised, per file, by all that the file takes, so that it suffices in any order.
 *
 * Prices become pence digit by digit. 0 is a price. A negative one, one finer than a penny or one above 2^53 − 1 pence
 * is none: its line is refused, as is a line with quantity 0, without an invoice or a stock code, with too few or too
 * many columns, broken quotes or broken text. A refused line says nothing, neither about stock nor price nor name.
 * The lines of a file given twice are refused the second time. Each line is imported or refused with a reason. A file
 * whose header lacks a column is another kind of file: nothing is sent at all.
 *
 * It can be broken off at any point, by kill -9 too, and be run again within 24 hours (as long as the service keeps
 * idempotency keys) with the same API key (they are kept per API key): the keys of the adjustments follow from the
 * bytes of the file, the line and the product, so a line that was counted is answered by a replay. A later run would
 * count the lines again. Importing the same files in the same order a second time gives no product a new version.
 *
 * Stock must be what the files say plus what was there from elsewhere (see `reconcile.ts`). What else moves stock while
 * the import runs is a difference. `--exclusive` says that nothing but these files has ever moved these products: then
 * stock from elsewhere is a failure too. It is the sharper check, for a fresh database, also after an interruption.
 *
 * Exits with 0 if clean, 130 if broken off by a signal (a second one does not wait for the answers under way), else 1.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { importFiles } from "./online-retail/importFiles.ts";
import { showProgress } from "./online-retail/progress.ts";
import { renderReport } from "./online-retail/report.ts";
import { readSourceFile, refuseRepeated } from "./online-retail/SourceFile.ts";

interface Options {
  readonly url: string;
  readonly key: string;
  readonly json?: string;
  readonly exclusive: boolean;
}

function parseUrl(text: string): string {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? "")) throw new InvalidArgumentError("Not an http URL.");
  return text;
}

function haltOnSignals(halt: AbortController): () => boolean {
  let signalled = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (signalled) process.exit(130);
      signalled = true;
      halt.abort(new Error(`by ${signal}`));
    });
  }
  return () => signalled;
}

async function main(names: readonly string[], { url, key, json, exclusive }: Options): Promise<number> {
  const halt = new AbortController();
  const signalled = haltOnSignals(halt);
  const progress = showProgress(process.stderr);
  try {
    const files = refuseRepeated(names.map((name) => readSourceFile(name, readFileSync(name))));
    const result = await importFiles(files, { url, key, exclusive }, halt, progress);
    console.log(renderReport(result));
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
    if (signalled()) return 130;
    return result.clean ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return signalled() ? 130 : 1;
  } finally {
    progress.end();
  }
}

new Command("import-online-retail")
  .argument("<file...>", "CSV files of the Online Retail data set, oldest first")
  .addOption(new Option("--url <url>", "where the service listens").default("http://127.0.0.1:8080").argParser(parseUrl))
  .addOption(new Option("--key <key>", "API key with catalog:read and catalog:write").env("HOLDFAST_API_KEY").default("dev"))
  .option("--json <file>", "also write the result, with every refusal and difference")
  .option("--exclusive", "nothing but these files has ever moved these products", false)
  .action(async (names: string[], options: Options) => {
    process.exitCode = await main(names, options);
  })
  .parse();
