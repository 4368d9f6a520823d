import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { becomesHit, createProducts, explain, type Holdfast, on, type Product, relayWorks, request, startCache, startHoldfast, startNetwork, startTruth, type Truth, untrue } from "../support/holdfast.ts";

/** Waits until a writer waits for the lock of a row. */
const someoneWaits = (truth: Truth) =>
  eventually(async () => (await truth.query("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")).length > 0);

/**
 * A change whose process dies after the commit and before its store: the row is locked by the test, so that the commit waits; meanwhile
 * the network between the writer and the cache begins to swallow everything. The relay stands still until the process is dead.
 */
const killBetween = async (truth: Truth, prepare: (other: Holdfast, id: string) => Promise<unknown>) => {
  const redis = await startCache();
  const network = await startNetwork(redis);
  const [writer, other, relay] = await Promise.all([
    startHoldfast("api", on(truth, network.url("redis"), { SYNC_BUDGET_MS: "60000" })),
    startHoldfast("api", on(truth, redis)),
    startHoldfast("relay", on(truth, redis)),
  ]);
  await relayWorks(redis);
  const [product] = await createProducts(other, 1);
  await prepare(other, product!.id);
  relay.signal("SIGSTOP");

  const change = { body: { delta: -7 }, headers: { "idempotency-key": randomUUID() } };
  const path = `/v1/products/${product!.id}/stock-adjustments`;
  const letGo = await truth.hold("select from products where id = $1 for update", [product!.id]);
  const answer = writer.call("POST", path, change).then(() => "answered", () => "never answered");
  await someoneWaits(truth);
  network.blackhole();
  await letGo();
  await eventually(async () => (await truth.rows())[0]!.version === 2);
  await writer.kill();
  expect(await answer).toBe("never answered");
  expect(await truth.queued()).toBe(0);
  return { redis, other, relay, product: product!, path, change };
};

const repeated = async (truth: Truth, other: Holdfast, path: string, change: { body: unknown; headers: Record<string, string> }, product: Product) => {
  const again = await other.call("POST", path, change);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(again).toMatchObject({ status: 200, body: { id: product.id, versionId: 2, stock: product.stock - 7 } });
  expect(await truth.rows()).toEqual([{ id: product.id, version: 2, stock: product.stock - 7, name: product.name }]);
};

test("a version whose writer died before its store replaces the older entry within 2 s, and its repetition counts nothing twice", async () => {
  const truth = await startTruth();
  const { other, relay, product, path, change } = await killBetween(truth, async () => undefined);
  expect(await explain(other, product.id)).toMatchObject({ row: { versionId: 2 }, entry: { versionId: 1 }, verdict: "behind" });
  const began = performance.now();
  relay.signal("SIGCONT");
  await eventually(async () => (await explain(other, product.id)).entry?.versionId === 2, { within: 2_000 });
  console.log(`relay repaired after ${Math.round(performance.now() - began)} ms`);
  expect(await untrue(other, [product.id])).toEqual([]);
  await repeated(truth, other, path, change, product);
}, 30_000);

test("a lease that a dead writer left is broken by the relay within 2 s, and the next read fills what it committed", async () => {
  const truth = await startTruth();
  const { other, relay, product, path, change } = await killBetween(truth, (api, id) => api.call("DELETE", `/ops/entries/product/${id}`));
  expect(await explain(other, product.id)).toMatchObject({ row: { versionId: 2 }, entry: null, lease: true });
  relay.signal("SIGCONT");
  await eventually(async () => !(await explain(other, product.id)).lease, { within: 2_000 });
  expect(await explain(other, product.id)).toMatchObject({ entry: null, lease: false });
  const [first] = await becomesHit(other, product.id, 2);
  expect(first).not.toBe("holdfast; hit");
  expect(await untrue(other, [product.id])).toEqual([]);
  await repeated(truth, other, path, change, product);
}, 40_000);

test("of writes repeated after kill -9 of their api, every acknowledged one is there and none counts twice", async () => {
  const truth = await startTruth();
  const redis = await startCache();
  const [first, second] = await Promise.all([startHoldfast("api", on(truth, redis)), startHoldfast("api", on(truth, redis)), startHoldfast("relay", on(truth, redis))]);
  const products = await createProducts(second, 8);

  type Done = { readonly id: string; readonly key: string; readonly delta: number; readonly version: number; readonly repeated: boolean };
  const done: Done[] = [];
  const over = new AbortController();
  let repetitions = 0;
  const client = async (number: number) => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const { id } = products[(number + turn) % products.length]!, key = randomUUID(), delta = 1 + ((number + turn) % 5);
      const change = { body: { delta }, headers: { "idempotency-key": key, "x-request-id": key } };
      for (let url = first.url, attempt = 0; ; url = second.url, attempt++) {
        const answer = await request(url, "POST", `/v1/products/${id}/stock-adjustments`, change).catch(() => null);
        if (answer?.status === 200) {
          done.push({ id, key, delta, version: answer.body.versionId, repeated: answer.headers.get("idempotency-replayed") === "true" });
          break;
        }
        // Only a first attempt may go unanswered, or find its own row still being written.
        if (answer !== null && answer.status !== 409) throw new Error(answer.text);
        if (attempt > 0 && answer === null) throw new Error("the api that lives did not answer");
        repetitions++;
      }
    }
  };
  const clients = Promise.all(Array.from({ length: 8 }, (_, number) => client(number)));
  await eventually(() => done.length > 200, { within: 20_000 });
  await first.kill();
  const before = done.length;
  await eventually(() => done.length > before + 200, { within: 20_000 });
  over.abort();
  await clients;

  expect(repetitions).toBeGreaterThan(0);
  const events = await truth.query("select entity_id as id, version_id, data, metadata->>'request' as request from outbox where version_id > 1");
  const told = (one: { id: string; version: number; key: string; delta: number }) => `${one.id} ${one.version} ${one.key} ${one.delta}`;
  expect(events.map((e) => told({ id: e["id"], version: Number(e["version_id"]), key: e["request"], delta: e["data"].delta })).sort()).toEqual(done.map(told).sort());
  for (const { id, stock } of await truth.rows()) {
    expect(stock).toBe(1_000 + done.filter((one) => one.id === id).reduce((sum, { delta }) => sum + delta, 0));
  }
  console.log(`${done.length} changes, ${repetitions} repeated, ${done.filter((one) => one.repeated).length} had been committed by the dead process`);
  await eventually(async () => expect(await untrue(second, products.map(({ id }) => id))).toEqual([]));
}, 40_000);
