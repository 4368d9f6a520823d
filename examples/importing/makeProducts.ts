import { concurrently } from "./concurrently.ts";
import { explain } from "./explain.ts";
import { listProducts } from "./listAll.ts";
import { asProduct, type Product, type WantedProduct } from "./Product.ts";
import { correctProduct, createProduct } from "./productChanges.ts";
import type { Why } from "./Refusal.ts";
import type { Run } from "./Run.ts";

export interface MadeProducts {
  /** Each product as it was before any of its stock was adjusted by this run: as found, or as created. */
  readonly before: ReadonlyMap<string, Product>;
  readonly created: ReadonlySet<string>;
  readonly corrected: number;
  /** SKUs without a product, and why. */
  readonly refused: ReadonlyMap<string, Why>;
  /** Products that are there but keep another name, description, price or status. */
  readonly correctionsRefused: ReadonlyMap<string, Why>;
}

/** Finds, creates or corrects the products. An SKU that another importer took in between is found on a second look. */
export async function makeProducts(
  wanted: ReadonlyMap<string, WantedProduct>,
  { client, halt, progress, took }: Run,
): Promise<MadeProducts> {
  const runId = crypto.randomUUID();
  const before = new Map<string, Product>();
  const taken = new Map<string, WantedProduct>();
  const refused = new Map<string, Why>();
  const correctionsRefused = new Map<string, Why>();
  const created = new Set<string>();
  let corrected = 0;

  const refuse = (sku: string, [reason, detail]: Why): void => {
    refused.set(sku, [`product not made: ${reason}`, detail]);
  };

  const correct = async (product: Product, one: WantedProduct): Promise<void> => {
    before.set(one.sku, product);
    const change = correctProduct(product, one);
    if (change === null) return;
    const answer = await client.change(change, took);
    if (answer.status === 200) corrected++;
    else correctionsRefused.set(one.sku, explain(answer));
  };

  const create = async (one: WantedProduct): Promise<void> => {
    const answer = await client.change(createProduct(runId, one), took);
    const product = answer.status === 201 ? asProduct(answer.body) : null;
    if (product !== null) {
      before.set(one.sku, product);
      created.add(one.sku);
    } else if (answer.problem === "sku-taken") {
      taken.set(one.sku, one);
    } else {
      refuse(one.sku, explain(answer));
    }
  };

  progress.stage("looking for products", 0);
  const found = await listProducts(client);
  progress.stage("products", wanted.size);
  await concurrently(wanted.values(), halt, async (one) => {
    const product = found.get(one.sku);
    await (product === undefined ? create(one) : correct(product, one));
    progress.tick();
  });

  if (taken.size > 0) {
    let foundNow: Promise<ReadonlyMap<string, Product>> | undefined;
    await concurrently(taken.values(), halt, async (one) => {
      const product = (await (foundNow ??= listProducts(client))).get(one.sku);
      if (product === undefined) refuse(one.sku, ["409 sku-taken", "but no product of the list has it"]);
      else await correct(product, one);
    });
  }
  return { before, created, corrected, refused, correctionsRefused };
}
