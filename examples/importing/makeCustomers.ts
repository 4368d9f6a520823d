import { concurrently } from "./concurrently.ts";
import { asCustomer, compareFullCustomer, customerPath, type Customer, type WantedCustomer } from "./Customer.ts";
import { explain } from "./explain.ts";
import { listOrders } from "./listAll.ts";
import type { Order } from "./Order.ts";
import type { Why } from "./Refusal.ts";
import type { Run } from "./Run.ts";
import { correctCustomer, createCustomer, lookUpCustomer } from "./salesChanges.ts";

type Made = Pick<Customer, "id" | "versionId">;

export interface MadeCustomers {
  /** By the source's number, as found or as created. */
  readonly before: ReadonlyMap<string, Made>;
  readonly created: ReadonlySet<string>;
  readonly corrected: number;
  readonly refused: ReadonlyMap<string, Why>;
  /** Customers that are there but keep other data. */
  readonly correctionsRefused: ReadonlyMap<string, Why>;
  /** The orders that the customers found had before this run placed any, by id. */
  readonly ordersBefore: ReadonlyMap<string, Order>;
}

/** Finds, creates or corrects the customers. There is no list of customers: the key or the e-mail finds them again. */
export async function makeCustomers(
  dataSet: string,
  wanted: readonly WantedCustomer[],
  { client, halt, progress, took }: Run,
): Promise<MadeCustomers> {
  const before = new Map<string, Made>();
  const created = new Set<string>();
  const refused = new Map<string, Why>();
  const correctionsRefused = new Map<string, Why>();
  const ordersBefore = new Map<string, Order>();
  let corrected = 0;

  const take = async (id: string, one: WantedCustomer): Promise<void> => {
    const answer = await client.read(customerPath(id, "?view=full"), true, []);
    const customer = answer.status === 200 ? asCustomer(answer.body) : null;
    if (customer === null) {
      refused.set(one.number, found(explain(answer)));
      return;
    }
    for (const [orderId, order] of await listOrders(client, id)) ordersBefore.set(orderId, order);
    before.set(one.number, { id, versionId: customer.versionId });
    if (compareFullCustomer(one, customer).length === 0) return;
    const correction = await client.change(correctCustomer(id, one), took);
    if (correction.status === 200) corrected++;
    else correctionsRefused.set(one.number, explain(correction));
  };

  const lookUp = async (one: WantedCustomer): Promise<void> => {
    const answer = await client.change(lookUpCustomer(one), took);
    const customer = answer.status === 200 ? asCustomer(answer.body) : null;
    if (customer === null) refused.set(one.number, found(explain(answer)));
    else await take(customer.id, one);
  };

  progress.stage("customers", wanted.length);
  await concurrently(wanted, halt, async (one) => {
    const answer = await client.change(createCustomer(dataSet, one), took);
    const customer = answer.status === 201 ? asCustomer(answer.body) : null;
    if (customer !== null && answer.replayed) {
      await take(customer.id, one);
    } else if (customer !== null) {
      before.set(one.number, { id: customer.id, versionId: customer.versionId });
      created.add(one.number);
    } else if (answer.problem === "email-taken") {
      await lookUp(one);
    } else {
      const [reason, detail] = explain(answer);
      refused.set(one.number, [`customer not made: ${reason}`, detail]);
    }
    progress.tick();
  });
  return { before, created, corrected, refused, correctionsRefused, ordersBefore };
}

const found = ([reason, detail]: Why): Why => [`customer not found again: ${reason}`, detail];
