import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { eventually, usually } from "../support/eventually.ts";
import { becomesHit, CHANGED_WITHOUT_STORE, createProducts, explain, type Holdfast, keyOf, on, type Product, relayWorks, request, startCache, startHoldfast, startTruth, type Truth, untrue } from "../support/holdfast.ts";

/**
 * A change whose process dies after the commit and before its store: the statement is made to wait by the test; meanwhile its writer is
 * stopped, and hears nothing of the commit. The relay stands still until the process is dead.
 */
const killBetween = async (truth: Truth, prepare: (other: Holdfast, id: string) => Promise<unknown>) => {
  const redis = await startCache();
  const [writer, other, relay] = await Promise.all([
    startHoldfast("api", on(truth, redis)),
    startHoldfast("api", on(truth, redis)),
    startHoldfast("relay", on(truth, redis)),
  ]);
  await relayWorks(redis);
  const [product] = await createProducts(other, 1), key = await keyOf(redis, product!.id);
  await prepare(other, product!.id);
  relay.signal("SIGSTOP");

  const change = { body: { delta: -7 }, headers: { "idempotency-key": randomUUID() } };
  const path = `/v1/products/${product!.id}/stock-adjustments`;
  const gate = await truth.gate(product!.id);
  const answer = writer.call("POST", path, change).then(() => "answered", () => "never answered");
  await gate.reached();
  // What stands there does not go by itself: a lease would after 5 s, and nobody would know who broke it.
  await eventually(async () => await redis.cli("EXISTS", key) === 1);
  await redis.cli("PERSIST", key);
  writer.signal("SIGSTOP");
  await gate.open();
  await eventually(async () => (await truth.rows())[0]!.version === 2);
  await writer.kill();
  expect(await answer).toBe("never answered");
  expect(await truth.queued()).toBe(0);
  return { redis, other, relay, product: product!, path, change };
};

/** From a version without a store to what the relay makes of it. The row is of a product that nobody else touches. */
const repaired = async (truth: Truth, api: Holdfast, prepare: (id: string) => Promise<unknown>, is: (explained: Awaited<ReturnType<typeof explain>>) => boolean) => {
  const [product] = await createProducts(api, 1);
  const ms = await usually(async () => {
    await prepare(product!.id);
    await truth.query(CHANGED_WITHOUT_STORE, [product!.id]);
    await eventually(async () => is(await explain(api, product!.id)));
  });
  console.log(`relay repaired after ${Math.round(ms)} ms`);
  return ms;
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
  relay.signal("SIGCONT");
  await eventually(async () => (await explain(other, product.id)).entry?.versionId === 2);
  expect(await untrue(other, [product.id])).toEqual([]);
  await repeated(truth, other, path, change, product);
  expect(await repaired(truth, other, async () => undefined, ({ row, entry }) => entry?.versionId === row.versionId)).toBeLessThan(2_000);
}, 120_000);

test("a lease that a dead writer left is broken by the relay within 2 s, and the next read fills what it committed", async () => {
  const truth = await startTruth();
  const evict = (api: Holdfast, id: string) => eventually(async () => (await api.call("DELETE", `/ops/entries/product/${id}`)).status === 204);
  const { redis, other, relay, product, path, change } = await killBetween(truth, evict);
  expect(await explain(other, product.id)).toMatchObject({ row: { versionId: 2 }, entry: null, lease: true });
  relay.signal("SIGCONT");
  await eventually(async () => !(await explain(other, product.id)).lease);
  expect(await explain(other, product.id)).toMatchObject({ entry: null, lease: false });
  const [first] = await becomesHit(other, product.id, 2);
  expect(first).not.toBe("holdfast; hit");
  expect(await untrue(other, [product.id])).toEqual([]);
  await repeated(truth, other, path, change, product);
  const leave = async (id: string) => {
    await becomesHit(other, id, (await explain(other, id)).row.versionId);
    await redis.cli("SET", await keyOf(redis, id), "Lof_somebody_who_died");
  };
  expect(await repaired(truth, other, leave, ({ lease }) => !lease)).toBeLessThan(2_000);
}, 120_000);

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
  await eventually(() => done.length > 200, { within: 60_000 });
  await first.kill();
  const before = done.length;
  await eventually(() => done.length > before + 200, { within: 60_000 });
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
}, 150_000);
