import type { Answer } from "./Client.ts";
import { concurrently } from "./concurrently.ts";
import { customerPath } from "./Customer.ts";
import type { Difference } from "./Difference.ts";
import { explain } from "./explain.ts";
import { isRecord } from "./isRecord.ts";
import type { MadeCustomers } from "./makeCustomers.ts";
import type { MadeProducts } from "./makeProducts.ts";
import { orderPath } from "./Order.ts";
import type { PlacedOrders } from "./placeOrders.ts";
import { productPath } from "./Product.ts";
import type { Run } from "./Run.ts";

/** Entities whose row was held against their own events. */
export interface RowsFromEvents {
  readonly compared: number;
  readonly differences: readonly Difference[];
}

/** Where everything is that an import touched, by what a report calls it. */
export function touchedPaths(
  products: Pick<MadeProducts, "before">,
  sales: { readonly customers: Pick<MadeCustomers, "before">; readonly placed: Pick<PlacedOrders, "placed"> } | null,
): Map<string, string> {
  return new Map([
    ...[...products.before].map(([sku, { id }]) => [`product ${sku}`, productPath(id)] as const),
    ...[...sales?.customers.before ?? []].map(([number, { id }]) => [`customer ${number}`, customerPath(id)] as const),
    ...[...sales?.placed.placed ?? []].map(([{ number }, { id }]) => [`order ${number}`, orderPath(id)] as const),
  ]);
}

/**
 * `no-cache` shows the row; a version asked for by its number is folded from the events. Of the current version both are
 * the same bytes, or a row says something that never happened. What changes in between does no harm: a version stays.
 * null if the run was broken off.
 */
export async function compareRowsWithEvents(paths: ReadonlyMap<string, string>, { client, halt, progress }: Pick<Run, "client" | "halt" | "progress">): Promise<RowsFromEvents | null> {
  if (halt.signal.aborted) return null;
  const differences: Difference[] = [];
  let compared = 0;

  progress.stage("folding events", paths.size);
  await concurrently(paths, halt, async ([of, path]) => {
    const row = await client.read(path, true, []);
    const version = row.status === 200 && isRecord(row.body) ? row.body.versionId : undefined;
    if (typeof version === "number") {
      differences.push(...compareRow(of, version, row, await client.read(`${path}?version=${version}`, false, [])));
      compared++;
    } else {
      differences.push({ of, field: "row", expected: "a row", found: explain(row)[0] });
    }
    progress.tick();
  });
  return halt.signal.aborted ? null : { compared, differences };
}

/** The current version as the row gives it, and as the events do. */
export function compareRow(of: string, version: number, row: Answer, folded: Answer): Difference[] {
  if (folded.status === 200 && folded.text === row.text) return [];
  const found = folded.status === 200 ? otherIn(row.body, folded.body) : explain(folded)[0];
  return [{ of, field: `version ${version} from events`, expected: "the row's bytes", found }];
}

/** Which fields differ, and not how: a hash or a reference is nobody's business either. */
function otherIn(row: unknown, folded: unknown): string {
  if (!isRecord(row) || !isRecord(folded)) return "something else";
  const fields = Object.keys({ ...row, ...folded }).filter((field) => JSON.stringify(row[field]) !== JSON.stringify(folded[field]));
  return fields.length === 0 ? "the same in other bytes" : `other ${fields.join(", ")}`;
}
