import { concurrently } from "./concurrently.ts";
import { explain } from "./explain.ts";
import type { MadeCustomers } from "./makeCustomers.ts";
import type { MadeProducts } from "./makeProducts.ts";
import { asOrder } from "./Order.ts";
import type { Why } from "./Refusal.ts";
import type { Run } from "./Run.ts";
import type { Sales, WantedOrder } from "./Sales.ts";
import { placeOrder, stepsAfter } from "./salesChanges.ts";

export interface Placed {
  readonly id: string;
  /** The newest version that an answer named. */
  readonly versionId: number;
  readonly replayed: boolean;
}

export interface PlacedOrders {
  readonly placed: ReadonlyMap<WantedOrder, Placed>;
  readonly refused: ReadonlyMap<WantedOrder, Why>;
  /** Orders that are placed but neither paid nor shipped as they should be. */
  readonly stepsRefused: ReadonlyMap<WantedOrder, Why>;
}

/** Sixteen orders at a time, the steps of each in turn. */
export async function placeOrders(
  { dataSet, orders }: Sales,
  products: Pick<MadeProducts, "before" | "refused">,
  customers: Pick<MadeCustomers, "before" | "refused">,
  /** Why an SKU must not be ordered: its stock was not raised. */
  blocked: ReadonlyMap<string, Why>,
  { client, halt, progress, took }: Run,
): Promise<PlacedOrders> {
  const placed = new Map<WantedOrder, Placed>();
  const refused = new Map<WantedOrder, Why>();
  const stepsRefused = new Map<WantedOrder, Why>();

  const lacks = ({ customer, lines }: WantedOrder): Why | undefined => customers.refused.get(customer)
    ?? lines.map(({ sku }) => products.refused.get(sku) ?? blocked.get(sku)).find((why) => why !== undefined);

  const place = async (order: WantedOrder): Promise<void> => {
    const why = lacks(order);
    const customer = customers.before.get(order.customer);
    if (why !== undefined || customer === undefined) {
      refused.set(order, why ?? ["no customer was made", order.customer]);
      return;
    }
    const answer = await client.change(placeOrder(dataSet, order, customer.id, products.before), took);
    const first = answer.status === 201 ? asOrder(answer.body) : null;
    if (first === null) {
      refused.set(order, explain(answer));
      return;
    }
    const { id } = first;
    placed.set(order, { id, versionId: first.versionId, replayed: answer.replayed });
    for (const step of stepsAfter(dataSet, order, id)) {
      const next = await client.change(step, took);
      const after = next.status === 200 ? asOrder(next.body) : null;
      if (after === null) {
        const [reason, detail] = explain(next);
        stepsRefused.set(order, [`${step.path.split("/").at(-1)}: ${reason}`, detail]);
        return;
      }
      placed.set(order, { id, versionId: after.versionId, replayed: answer.replayed });
    }
  };

  progress.stage("orders", orders.length);
  await concurrently(orders, halt, async (order) => {
    await place(order);
    progress.tick();
  });
  return { placed, refused, stepsRefused };
}
