/**
 * Imports the Northwind sample database (customers, products, orders and their lines) through the HTTP interface, then
 * reads everything back and compares it with the files, field by field, and each row with its events, byte by byte.
 *
 *     node examples/import-northwind.ts DIR [--url http://127.0.0.1:8080] [--key dev] [--json FILE]
 *
 * A customer is the contact person, with the e-mail `<customerID>@example.com`, which the files do not have, and without
 * consent to marketing, of which they do not speak. A product has the SKU `northwind-<productID>`; prices are US dollars.
 * Its stock is raised by all that is ordered plus `unitsInStock`, so that all orders succeed and what is left in the end
 * is what the file says. An order has its own prices: that of the line less its discount, rounded half to even to a cent;
 * the key needs `orders:import` for that. What has a `shippedDate` is paid and shipped, the rest stays placed. What is
 * discontinued becomes so after the orders. `NULL` is absence. What the service has no place for is listed in the end.
 *
 * `address` and `shipAddress` hold commas without quotes; the columns are counted from both ends, and each must have its
 * form. Each line of the files is imported or refused with a reason; an order with a line that is refused is refused.
 *
 * It can be broken off at any point, by kill -9 too, and be run again within 24 hours with the same API key: the
 * idempotency keys follow from the source. A second run changes nothing. Other files of the same names are refused as
 * reused keys.
 *
 * Reports name customers by their id and never print a person's data. Exits with 0 if clean, 130 if broken off by a
 * signal (a second one does not wait for the answers under way), else 1.
 */
import { Command } from "commander";
import { addServiceOptions, runImport, type ServiceOptions } from "./importing/commandLine.ts";
import { importNorthwind } from "./northwind/importNorthwind.ts";
import { readNorthwind } from "./northwind/tables.ts";

const SCOPES = "catalog:read, catalog:write, orders:read, orders:write, orders:import, customers:read, customers:write, customers:pii";

addServiceOptions(new Command("import-northwind"), SCOPES)
  .argument("<dir>", "folder with customers.csv, products.csv, orders.csv and order-details.csv")
  .action(async (folder: string, options: ServiceOptions) => {
    process.exitCode = await runImport(options, (halt, progress) => importNorthwind(readNorthwind(folder), options, halt, progress));
  })
  .parse();
