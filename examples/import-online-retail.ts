/**
 * Imports files of the Online Retail data set through the HTTP interface, then reads everything back and compares.
 *
 *     node examples/import-online-retail.ts FILE… [--url http://127.0.0.1:8080] [--key dev] [--json FILE] [--exclusive] [--orders]
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
 * Stock must be what the files say plus what was there from elsewhere (see `importing/compareProducts.ts`). What else
 * moves stock while the import runs is a difference. `--exclusive` says that nothing but these files has ever moved these
 * products: then stock from elsewhere is a failure too. It is the sharper check, for a fresh database, also after an
 * interruption. Every row must be, byte by byte, what the service folds from its events.
 *
 * With `--orders` the lines are no adjustments: an invoice of a file is an order of its lines, in their order and with
 * their prices (repeated ones stay separate), by the customer `Customer <id>` with the e-mail `<id>@example.com`. Each
 * line is in an order or refused: `invoice-cancelled`, `customer-missing`, `quantity-below-1`, `price-0`, the first that
 * holds. It is the line that is refused, the rest of the invoice is the order; the first two are said on every line of an
 * invoice and so refuse it whole. The products are the same as without `--orders`: what is no sale may still describe.
 *
 * Exits with 0 if clean, 130 if broken off by a signal (a second one does not wait for the answers under way), else 1.
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addServiceOptions, runImport, type ServiceOptions } from "./importing/commandLine.ts";
import { importFiles } from "./online-retail/importFiles.ts";
import { readSourceFile, refuseRepeated } from "./online-retail/SourceFile.ts";

interface Options extends ServiceOptions {
  readonly exclusive: boolean;
  readonly orders: boolean;
}

const SCOPES = "catalog:read, catalog:write; for --orders also orders:read, orders:write, orders:import, customers:read, customers:write, customers:pii";

addServiceOptions(new Command("import-online-retail"), SCOPES)
  .argument("<file...>", "CSV files of the Online Retail data set, oldest first")
  .option("--exclusive", "nothing but these files has ever moved these products, or placed orders for these customers", false)
  .option("--orders", "invoices become orders of customers; else each line adjusts a stock", false)
  .action(async (names: string[], options: Options) => {
    process.exitCode = await runImport(options, async (halt, progress) => {
      const files = refuseRepeated(names.map((name) => readSourceFile(name, readFileSync(name), options.orders)));
      return await importFiles(files, options, halt, progress);
    });
  })
  .parse();
