import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Answer, type Holdfast, on, startCache, startHoldfast, startNetwork, startTruth, status } from "../support/holdfast.ts";
import { newAddress, newPerson, newProduct } from "../support/persons.ts";

const READERS = 8;
/** Reads of each kind. HOLDFAST_READS=10000 looks for longer. */
const READS = Number(process.env["HOLDFAST_READS"] ?? 500);

const STEPS = [["payment", { reference: "pay-1" }], ["shipment", { carrier: "DHL", trackingNumber: "1" }], ["delivery", undefined]] as const;

test("of products, orders and customers no read with the token of a write is older than it, though one of two apis is cut off from the cache", async () => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const network = await startNetwork(redis);
  const [parted, whole, relay] = await Promise.all([
    startHoldfast("api", on(truth, network.url("redis"))),
    startHoldfast("api", on(truth, redis)),
    startHoldfast("relay", on(truth, redis)),
  ]);
  const apis = [parted, whole];
  const made = async (path: string, body: unknown) => {
    const answer = await whole.call("POST", path, { body });
    expect(answer.status, answer.text).toBe(201);
    return answer.body as { readonly id: string };
  };
  const owned = await Promise.all(Array.from({ length: READERS }, async () => ({ product: await made("/v1/products", newProduct({ stock: READS })), customer: await made("/v1/customers", newPerson()) })));
  for (const { product, customer } of owned) for (const path of [`/v1/products/${product.id}`, `/v1/customers/${customer.id}`]) await whole.call("GET", path);
  await eventually(async () => expect((await Promise.all(apis.map((api) => api.call("GET", "/readyz")))).map(({ body }) => body.degraded)).toEqual([false, false]), { within: 50_000 });
  // From now on there is no relay, and no replay: what the cache was not told stays untold.
  await relay.kill();
  await network.cut();

  const older: unknown[] = [], ways = new Map<string, number>(), reads = { products: 0, orders: 0, customers: 0 };
  const reader = async ({ product, customer }: (typeof owned)[number], number: number) => {
    let turn = number, stock = READS;
    const other = (api: Holdfast) => apis[1 - apis.indexOf(api)]!;
    const write = async (method: string, path: string, body: unknown): Promise<{ readonly by: Holdfast; readonly answer: Answer }> => {
      const by = apis[turn++ % 2]!;
      const answer = await by.call(method, path, { ...(body === undefined ? {} : { body }), headers: { "idempotency-key": randomUUID() } });
      if (answer.status > 201) throw new Error(`${answer.status} ${answer.text}`);
      return { by, answer };
    };
    const read = async (kind: keyof typeof reads, path: string, { by, answer }: Awaited<ReturnType<typeof write>>, right: (got: Answer) => boolean) => {
      const got = await other(by).call("GET", path, { headers: { "consistency-token": answer.headers.get("consistency-token")! } });
      reads[kind]++;
      const way = `${kind} by ${by === parted ? "the one cut off" : "the other"}: ${status(got)}`;
      ways.set(way, (ways.get(way) ?? 0) + 1);
      if (got.status !== 200 || !right(got)) older.push({ path, written: answer.text, read: got.text, status: status(got) });
    };
    while (Object.values(reads).some((count) => count < READS) && stock > 0) {
      const path = `/v1/products/${product.id}`, person = `/v1/customers/${customer.id}`;
      const renamed = await write("PATCH", path, { name: randomUUID() });
      await read("products", path, renamed, ({ text }) => text === renamed.answer.text);

      const moved = newPerson();
      const changed = await write("PATCH", person, { name: moved.name, phone: moved.phone });
      await read("customers", person, changed, ({ text }) => text === changed.answer.text);
      await read("customers", `${person}?view=full`, changed, ({ body }) => body.name === moved.name && body.phone === moved.phone);

      // An order's token speaks for the products that it took from too.
      const placed = await write("POST", "/v1/orders", { customerId: customer.id, lines: [{ productId: product.id, quantity: 1 }], shippingAddress: newAddress() });
      stock--;
      await read("products", path, placed, ({ body }) => body.stock === stock);
      const order = `/v1/orders/${placed.answer.body.id}`;
      await read("orders", order, placed, ({ text }) => text === placed.answer.text);
      for (const [step, body] of STEPS.slice(0, 1 + (turn % STEPS.length))) {
        const done = await write("POST", `${order}/${step}`, body);
        await read("orders", order, done, ({ text }) => text === done.answer.text);
      }
    }
  };
  await Promise.all(owned.map(reader));
  console.log(reads, Object.fromEntries([...ways].sort()));
  expect(older).toEqual([]);
  for (const count of Object.values(reads)) expect(count).toBeGreaterThanOrEqual(READS);
  // The cache held an older entry after each write of the one that is cut off, and the other did not believe it.
  for (const kind of ["products", "customers"]) expect(ways.get(`${kind} by the one cut off: holdfast; fwd=stale; stored`)).toBeGreaterThan(0);
}, 150_000 + READS * 40);
