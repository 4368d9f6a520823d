import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { CHANGED_WITHOUT_STORE, createProducts, type Holdfast, on, relayWorks, startCache, startHoldfast, startTruth, untrue } from "../support/holdfast.ts";
import { startLoad } from "../support/load.ts";

/** It ends with code 0, and says how long that took. */
const ends = async (process: Holdfast, began: number) => {
  const { code, signal } = await process.exited;
  const ms = Math.round(performance.now() - began);
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  expect(ms).toBeLessThan(12_000);
  return ms;
};

test.for(["api", "all"] as const)("a process (%s) that is asked to end under load answers every request that it accepted, closes its listeners, and exits with 0", { timeout: 180_000 }, async (role) => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const [ending, other] = await Promise.all([startHoldfast(role, on(truth, redis)), startHoldfast("all", on(truth, redis))]);
  await relayWorks(redis);
  const [slow, ...products] = await createProducts(other, 21);
  const listener = await fetch(`${ending.url}/v1/changes`, { headers: { authorization: `Bearer ${ending.key}` } });
  const heard = listener.text().then(() => "closed", () => "cut");

  const load = startLoad([ending], products, { clients: 8 });
  await eventually(() => load.sent.length > 200, { within: 60_000 });
  // One that is under way for longer than the load. The load, too, waits for rows now and then: this one alone waits at the gate.
  const gate = await truth.gate(slow!.id);
  const waiting = ending.call("POST", `/v1/products/${slow!.id}/stock-adjustments`, { body: { delta: 5 }, headers: { "x-request-id": "slow" } });
  await gate.reached();

  ending.signal("SIGTERM");
  const began = performance.now();
  await eventually(() => load.sent.at(-1)!.error === "ECONNREFUSED");
  await gate.open();
  expect(await waiting).toMatchObject({ status: 200, body: { versionId: 2, stock: slow!.stock + 5 } });
  expect(await heard).toBe("closed");
  await load.stop();
  console.log(`${role} ended ${await ends(ending, began)} ms after SIGTERM`);

  // What was answered was answered with success; what was not has never happened.
  expect(load.sent.filter(({ answer }) => answer !== null && answer.status !== 200).map(({ answer }) => answer!.text)).toEqual([]);
  const unanswered = load.sent.filter(({ answer }) => answer === null);
  expect(new Set(unanswered.map(({ error }) => error)).difference(new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]))).toEqual(new Set());
  const done = (await truth.query("select metadata->>'request' as request from outbox where version_id > 1")).map((row) => row["request"] as string);
  const acknowledged = load.sent.filter(({ is, answer }) => is === "write" && answer !== null).map(({ key }) => key);
  expect(done).toHaveLength(acknowledged.length + 1);
  expect(new Set(done)).toEqual(new Set([...acknowledged, "slow"]));
  // A connection that the server took is answered on: only who never was let in is turned away.
  const reset = unanswered.filter(({ error }) => error !== "ECONNREFUSED");
  console.log(`${acknowledged.length} changes answered, ${reset.length} requests met a closing connection`);

  await eventually(async () => expect(await truth.queued()).toBe(0));
  await eventually(async () => expect(await untrue(other, [slow!, ...products].map(({ id }) => id))).toEqual([]));
});

test("a relay that is asked to end gives its lanes back and exits with 0, and the next one goes on", async () => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const [api, relay] = await Promise.all([startHoldfast("api", on(truth, redis)), startHoldfast("relay", on(truth, redis))]);
  await relayWorks(redis);
  const products = await createProducts(api, 10);
  await startHoldfast("relay", on(truth, redis));
  const load = startLoad([api], products, { clients: 4 });
  await eventually(() => load.sent.length > 100, { within: 60_000 });
  relay.signal("SIGTERM");
  console.log(`relay ended ${await ends(relay, performance.now())} ms after SIGTERM`);
  await load.stop();
  expect(load.failures()).toEqual([]);

  // Only the relay can bring this one: it is committed without a store, as by a process that died.
  const [first] = products;
  const { id } = first!;
  const before = (await truth.rows()).find((row) => row.id === id);
  await truth.query(CHANGED_WITHOUT_STORE, [id]);
  await eventually(async () => {
    const { body } = await api.call("GET", `/ops/entries/product/${id}`);
    expect(body).toMatchObject({ row: { versionId: before!.version + 1 }, entry: { versionId: before!.version + 1 } });
  }, { within: 40_000 });
}, 150_000);
