import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Answer, on, relayWorks, request, startCache, startHoldfast, startTruth, type Truth, untrue } from "../support/holdfast.ts";
import { newAddress, newPerson, newProduct } from "../support/persons.ts";

const WRITERS = 50, PRODUCTS = 3;
/** In CI short; HOLDFAST_LOAD_SECONDS=60 looks for longer. */
const SECONDS = Number(process.env["HOLDFAST_LOAD_SECONDS"] ?? 5);
// Of the last one there is too little: orders are refused for it until others are cancelled.
const STOCK = [1_000_000, 1_000_000, 60];

type Line = { readonly productId: string; readonly quantity: number };
type Placed = { readonly id: string; readonly lines: readonly Line[]; answer: Answer; cancelled: boolean };

/** Events with a gap before them, that come twice, or whose positions or sequences are in another order than the versions. */
const disordered = (truth: Truth) => truth.query(`select kind, entity_id, version_id from (
    select kind, entity_id, version_id, row_number() over versions as place,
      (epoch, xid, seq) <= (lag(epoch) over versions, lag(xid) over versions, lag(seq) over versions) or seq <= lag(seq) over versions as earlier
    from outbox window versions as (partition by kind, entity_id order by version_id)) o
  where version_id <> place or earlier`);

/** How many deadlocks Postgres broke; sessions tell of them when they end. */
const deadlocks = async (truth: Truth) => Number((await truth.query("select deadlocks from pg_stat_database where datname = current_database()"))[0]!["deadlocks"]);

test("of many orders at once for a few products every piece is counted once: stock is what was there, less what was ordered, plus what was given back", async () => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const [one, two, relay] = await Promise.all([startHoldfast("api", on(truth, redis)), startHoldfast("api", on(truth, redis)), startHoldfast("relay", on(truth, redis))]);
  const apis = [one, two];
  await relayWorks(redis);
  const products: { readonly id: string; readonly stock: number }[] = [];
  for (const stock of STOCK) products.push((await one.call("POST", "/v1/products", { body: newProduct({ stock }) })).body);
  const customers = await Promise.all(apis.map(async (api) => (await api.call("POST", "/v1/customers", { body: newPerson() })).body.id as string));

  const placed: Placed[] = [], refusals = new Map<string, number>(), strange: unknown[] = [];
  const over = new AbortController();
  const began = performance.now();
  const writer = async (number: number) => {
    const own: Placed[] = [];
    for (let turn = 0; !over.signal.aborted; turn++) {
      const { url } = apis[(number + turn) % apis.length]!;
      const ask = async (path: string, body: unknown): Promise<Answer> => {
        const key = randomUUID();
        for (;;) {
          const answer = await request(url, "POST", path, { body, headers: { "idempotency-key": key } });
          // Who waited 2 s for a row, as where a disk stalls, is to ask again.
          if (answer.body?.type !== "/problems/idempotency-key-in-flight") return answer;
        }
      };
      const refuse = ({ status, body, text }: Answer) => {
        if (status !== 409 || body.type !== "/problems/insufficient-stock") strange.push(`${status} ${text}`);
        refusals.set(body?.type, (refusals.get(body?.type) ?? 0) + 1);
      };
      if (turn % 3 === 2 && own.length > 0) {
        const order = own.pop()!;
        const answer = await ask(`/v1/orders/${order.id}/cancellation`, { reason: "changed their mind" });
        if (answer.status === 200) Object.assign(order, { answer, cancelled: true });
        else strange.push(`${answer.status} ${answer.text}`);
        continue;
      }
      // In any order, and a product in two lines now and then: who locks in the order of the lines waits in circles.
      const chosen = Array.from({ length: 1 + ((number + turn) % PRODUCTS) }, (_, n) => products[(number + turn * 7 + n * (1 + (turn % 2))) % PRODUCTS]!);
      const lines = chosen.map(({ id }, n) => ({ productId: id, quantity: 1 + ((number + n) % 4) }));
      const answer = await ask("/v1/orders", { customerId: customers[number % customers.length], lines, shippingAddress: newAddress() });
      if (answer.status !== 201) {
        refuse(answer);
        continue;
      }
      const order = { id: answer.body.id as string, lines, answer, cancelled: false };
      own.push(order);
      placed.push(order);
    }
  };
  const timer = setTimeout(() => over.abort(), SECONDS * 1_000);
  await Promise.all(Array.from({ length: WRITERS }, (_, number) => writer(number)));
  clearTimeout(timer);
  const seconds = (performance.now() - began) / 1_000;
  const cancelled = placed.filter((order) => order.cancelled);
  console.log(`${placed.length} orders and ${cancelled.length} cancellations in ${seconds.toFixed(1)} s: ${Math.round((placed.length + cancelled.length) / seconds)} a second; refused: ${JSON.stringify(Object.fromEntries(refusals))}`);

  expect(strange).toEqual([]);
  expect(placed.length).toBeGreaterThan(WRITERS);
  expect(cancelled.length).toBeGreaterThan(0);
  expect(refusals.get("/problems/insufficient-stock")).toBeGreaterThan(0);
  const taken = (id: string) => placed.filter((order) => !order.cancelled).flatMap(({ lines }) => lines).filter(({ productId }) => productId === id).reduce((sum, { quantity }) => sum + quantity, 0);
  const rows = new Map((await truth.rows()).map((row) => [row.id, row]));
  expect(products.map(({ id }) => rows.get(id)!.stock)).toEqual(products.map(({ id, stock }) => stock - taken(id)));

  // Every acknowledged order is there as it was acknowledged, and there is none beside.
  const orders = new Map((await truth.query("select id, status, lines, version_id from orders")).map((row) => [row["id"] as string, row]));
  expect(orders.size).toBe(placed.length);
  for (const { id, lines, answer, cancelled } of placed) {
    const { status, lines: kept, version_id } = orders.get(id)!;
    expect({ status, kept, version: Number(version_id) }).toEqual({ status: cancelled ? "cancelled" : "placed", kept: answer.body.lines, version: answer.body.versionId });
    expect((kept as Line[]).map(({ productId, quantity }) => ({ productId, quantity }))).toEqual(lines);
  }
  // With the token: a store may have been missed, and is made good in a moment.
  for (const { id, answer } of placed.slice(-100)) {
    expect((await two.call("GET", `/v1/orders/${id}`, { headers: { "consistency-token": answer.headers.get("consistency-token")! } })).text).toBe(answer.text);
  }
  // For every piece that was taken or given back there is one event of its order.
  const moved = await truth.query(`select data->>'order' as "order", entity_id as product, sum(case type when 'StockReserved' then 1 else -1 end * (data->>'quantity')::bigint)::int as quantity
    from outbox where kind = 'product' and version_id > 1 group by 1, 2 having sum(case type when 'StockReserved' then 1 else -1 end * (data->>'quantity')::bigint) <> 0 order by 1, 2`);
  const wanted = placed.filter((order) => !order.cancelled).flatMap(({ id, lines }) => [...Map.groupBy(lines, ({ productId }) => productId)].map(([product, of]) =>
    ({ order: id, product, quantity: of.reduce((sum, { quantity }) => sum + quantity, 0) })));
  const sorted = (all: readonly { readonly order: string; readonly product: string; readonly quantity: number }[]) => all.map(({ order, product, quantity }) => `${order} ${product} ${quantity}`).sort();
  expect(sorted(moved as unknown as typeof wanted)).toEqual(sorted(wanted));
  expect(await disordered(truth)).toEqual([]);
  await eventually(async () => expect(await untrue(one, products.map(({ id }) => id))).toEqual([]), { within: 40_000 });

  for (const process of [one, two, relay]) process.signal("SIGTERM");
  await Promise.all([one, two, relay].map(({ exited }) => exited));
  expect(await deadlocks(truth)).toBe(0);
}, 150_000 + SECONDS * 4_000);
