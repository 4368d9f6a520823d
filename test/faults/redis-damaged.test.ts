import { randomUUID } from "node:crypto";
import { expect, inject, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { becomesHit, checkpoints, createProducts, explain, type Holdfast, keyOf, on, relayWorks, startCache, startHoldfast, startTruth, status, untrue } from "../support/holdfast.ts";
import { type Load, startLoad } from "../support/load.ts";
import type { RedisOptions, RedisServer } from "../support/redis.ts";

const processes = async (options: RedisOptions = {}) => {
  const [truth, redis] = await Promise.all([startTruth(), startCache(options)]);
  // What a store does is looked at, not whether a busy machine lets it be in time.
  const environment = on(truth, redis, { SYNC_BUDGET_MS: "2000" });
  const [one, two, relay] = await Promise.all([startHoldfast("api", environment), startHoldfast("api", environment), startHoldfast("relay", environment)]);
  await relayWorks(redis);
  return { truth, redis, one, two, relay };
};

/** So many more requests have ended. */
const goesOn = async (load: Load, count: number) => {
  const { length } = load.sent;
  await eventually(() => load.sent.length >= length + count, { within: 60_000 });
};

/** Nobody noticed anything, and the cache says what the rows say. */
const unharmed = async (load: Load, truth: Awaited<ReturnType<typeof startTruth>>, api: Holdfast, ids: readonly string[]) => {
  expect(load.failures()).toEqual([]);
  expect(load.tooOld).toEqual([]);
  const { rows } = truth;
  const counted = new Map((await rows()).filter(({ id }) => load.acknowledged().has(id)).map(({ id, stock }) => [id, stock - 1_000]));
  expect(counted).toEqual(load.acknowledged());
  await eventually(async () => expect(await truth.queued()).toBe(0), { within: 40_000 });
  await eventually(async () => expect(await untrue(api, ids)).toEqual([]), { within: 40_000 });
};

test("a cache that is flushed under load is purged and rebuilt, of what an old copy brings back nothing stays, and no client sees it", async () => {
  const { truth, redis, one, two, relay } = await processes();
  const [forgotten, ...products] = await createProducts(one, 31);
  const ids = [forgotten!, ...products].map(({ id }) => id);
  const key = await keyOf(redis, forgotten!.id);
  const old = (await redis.cli("GET", key)) as string;
  // Its event is settled, and nobody touches it again: once it is back in its old form, only a purge finds it.
  await one.call("PATCH", `/v1/products/${forgotten!.id}`, { body: { name: "as it is now" } });
  await eventually(async () => (await one.call("GET", "/ops/queue-size")).body.relayLagEvents === 0);
  const before = new Set(await checkpoints(redis));

  const load = startLoad([one, two], products);
  await goesOn(load, 400);
  const flushed = performance.now();
  await redis.cli("EVAL", "redis.call('FLUSHALL') redis.call('SET', KEYS[1], ARGV[1], 'PX', 86400000) return 1", 1, key, old);
  await eventually(async () => {
    const now = await checkpoints(redis);
    expect(now.filter((text) => !before.has(text))).toHaveLength(64);
  }, { within: 40_000 });
  const purged = performance.now();
  await goesOn(load, 400);
  await load.stop();

  const told = relay.lines().filter(({ msg }) => msg === "Partitions without a usable checkpoint were purged");
  expect(told.length).toBeGreaterThan(2);
  await unharmed(load, truth, one, ids);
  expect(await one.call("GET", `/v1/products/${forgotten!.id}`)).toMatchObject({ body: { versionId: 2, name: "as it is now" } });
  console.log(`64 checkpoints again ${Math.round(purged - flushed)} ms after FLUSHALL`);
}, 240_000);

test("a server that forgets its scripts under load, again and again, costs no request and no version", async () => {
  const { truth, redis, one, two } = await processes();
  const products = await createProducts(one, 20);
  const load = startLoad([one, two], products);
  for (let n = 0; n < 20; n++) {
    await goesOn(load, 40);
    await redis.cli("SCRIPT", "FLUSH");
  }
  await load.stop();
  const stored = load.sent.filter(({ is, answer }) => is === "write" && status(answer!) === "holdfast; fwd=method; stored");
  expect(stored.length).toBeGreaterThan(load.sent.filter(({ is }) => is === "write").length / 2);
  await unharmed(load, truth, one, products.map(({ id }) => id));
}, 240_000);

const LARGE = "☂".repeat(2_000);
const statistic = async (redis: RedisServer, name: string) => Number(new RegExp(`^${name}:(\\d+)`, "m").exec((await redis.cli("INFO")) as string)![1]);
const ownSettings = test.skipIf(inject("redisWay").kind === "given");

ownSettings("a cache that evicts under load costs no request, and what is left in it is true", async () => {
  const { truth, redis, one, two } = await processes({ config: "maxmemory-policy volatile-lru" });
  const products = await createProducts(one, 80, { description: LARGE });
  // Room for about a third of them.
  const used = await statistic(redis, "used_memory");
  await redis.cli("CONFIG", "SET", "maxmemory", used - 50 * 6_000);
  const load = startLoad([one, two], products);
  await goesOn(load, 800);
  await load.stop();
  expect(await statistic(redis, "evicted_keys")).toBeGreaterThan(50);
  expect(load.sent.some(({ is, answer }) => is === "read" && status(answer!)!.startsWith("holdfast; fwd=uri-miss"))).toBe(true);
  expect(await checkpoints(redis)).toHaveLength(64);
  await unharmed(load, truth, one, products.map(({ id }) => id));
}, 240_000);

ownSettings("a cache that is full and evicts nothing costs no request: hits go on, and what it cannot hold anew is absent, not old", async () => {
  const { truth, redis, one, two, relay } = await processes({ config: "maxmemory-policy noeviction" });
  const [still, changed, ...products] = await createProducts(one, 32, { description: LARGE });
  // Whatever goes from it, and whatever the connections take, it is full.
  await redis.cli("CONFIG", "SET", "maxmemory", 1);
  await expect(redis.cli("SET", randomUUID(), "x")).rejects.toThrow("OOM");
  // Before the relay could mend it.
  relay.signal("SIGSTOP");
  const { body } = await eventually(async () => {
    const answer = await one.call("PATCH", `/v1/products/${changed!.id}`, { body: { name: randomUUID() } });
    expect(answer).toMatchObject({ status: 200 });
    // On a busy machine the store may be missed, and then nobody but the relay would mend what stands there.
    expect(status(answer)).not.toBe("holdfast; fwd=method; detail=queued");
    return answer;
  });
  expect([undefined, body.versionId]).toContain((await explain(one, changed!.id)).entry?.versionId);
  relay.signal("SIGCONT");

  const load = startLoad([one, two], products);
  await goesOn(load, 400);
  await becomesHit(one, still!.id, 1);
  await eventually(async () => expect((await one.call("GET", "/ops/stats")).body.breaker).toBe("closed"));
  await goesOn(load, 200);
  await load.stop();
  await unharmed(load, truth, one, [still!, changed!, ...products].map(({ id }) => id));
  await expect(redis.cli("SET", randomUUID(), "x")).rejects.toThrow("OOM");

  await redis.cli("CONFIG", "SET", "maxmemory", 0);
  const rows = new Map((await truth.rows()).map(({ id, version }) => [id, version]));
  for (const api of [one, two]) for (const { id } of products) await becomesHit(api, id, rows.get(id)!);
}, 240_000);
