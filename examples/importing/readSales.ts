import { concurrently } from "./concurrently.ts";
import { asCustomer, customerPath, type Customer } from "./Customer.ts";
import { listOrders } from "./listAll.ts";
import type { MadeCustomers } from "./makeCustomers.ts";
import { asOrder, orderPath, type Order } from "./Order.ts";
import type { PlacedOrders } from "./placeOrders.ts";
import { readBack, type ReadBack } from "./readBack.ts";
import type { Run } from "./Run.ts";

/** Each pass is null if the run was broken off before it. */
export interface ReadSales {
  /** As the cache gives it to anybody who may read customers: without the person. */
  readonly customers: ReadBack<Customer> | null;
  readonly fullCustomers: ReadBack<Customer> | null;
  readonly orders: ReadBack<Order> | null;
  readonly fullOrders: ReadBack<Order> | null;
  /** By the customer's number, the ids of all orders that the service lists for the customer. */
  readonly listed: ReadonlyMap<string, ReadonlySet<string>> | null;
}

export async function readSales(
  customers: Pick<MadeCustomers, "before">,
  { placed }: Pick<PlacedOrders, "placed">,
  run: Run,
): Promise<ReadSales> {
  const customerPaths = (view: "" | "?view=full") => new Map([...customers.before].map(([number, { id }]) => [number, customerPath(id, view)]));
  const orderPaths = (view: "" | "?view=full") => new Map([...placed].map(([{ number }, { id }]) => [number, orderPath(id, view)]));
  const unlessHalted = async <T>(read: () => Promise<T>): Promise<T | null> => (run.halt.signal.aborted ? null : await read());

  return {
    customers: await unlessHalted(() => readBack("customers through the cache", customerPaths(""), false, asCustomer, run)),
    fullCustomers: await unlessHalted(() => readBack("customers in full", customerPaths("?view=full"), true, asCustomer, run)),
    orders: await unlessHalted(() => readBack("orders through the cache", orderPaths(""), false, asOrder, run)),
    fullOrders: await unlessHalted(() => readBack("orders in full", orderPaths("?view=full"), true, asOrder, run)),
    listed: await unlessHalted(() => listAllOrders(customers, run)),
  };
}

async function listAllOrders({ before }: Pick<MadeCustomers, "before">, run: Run): Promise<Map<string, Set<string>>> {
  const listed = new Map<string, Set<string>>();
  run.progress.stage("listing the orders of each customer", before.size);
  await concurrently(before, run.halt, async ([number, { id }]) => {
    listed.set(number, new Set((await listOrders(run.client, id)).keys()));
    run.progress.tick();
  });
  return listed;
}
