import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { becomesHit, createProducts, on, relayWorks, startCache, startHoldfast, startTruth, status, untrue } from "../support/holdfast.ts";
import { latency, type Load, startLoad } from "../support/load.ts";
import type { RedisOptions, RedisServer } from "../support/redis.ts";

const PRODUCTS = 50;
/** In CI as short as the rules allow; HOLDFAST_OUTAGE_SECONDS=600 looks for longer, with fewer clients: every request is remembered. */
const SECONDS = Number(process.env["HOLDFAST_OUTAGE_SECONDS"] ?? 0);
const TIMEOUT = 300_000 + SECONDS * 1_500;

/** So much of every kind of request has begun and ended since a moment. */
const enough = (load: Load, since: number, count: number) => {
  const after = load.sent.filter(({ at }) => at >= since);
  return (["read", "write"] as const).every((is) => after.filter((one) => one.is === is).length >= count);
};

const outage = async (options: RedisOptions, away: (redis: RedisServer) => Promise<void>, back: (redis: RedisServer) => Promise<void>) => {
  const [truth, redis] = await Promise.all([startTruth(), startCache(options)]);
  const [one, two] = await Promise.all([startHoldfast("api", on(truth, redis)), startHoldfast("api", on(truth, redis)), startHoldfast("relay", on(truth, redis))]);
  const apis = [one, two];
  await relayWorks(redis);
  const products = await createProducts(one, PRODUCTS);
  const ids = products.map(({ id }) => id);
  const breakers = async () => Promise.all(apis.map(async (api) => (await api.call("GET", "/ops/stats")).body.breaker));

  const load = startLoad(apis, products, { clients: SECONDS > 0 ? 3 : 16 });
  // The first requests warm the processes up, and are not measured.
  await eventually(() => enough(load, 0, 150), { within: 60_000 });
  const began = performance.now();
  await eventually(() => enough(load, began, 300), { within: 60_000 });

  const wentAway = performance.now();
  await away(redis);
  await eventually(async () => expect(await breakers()).toEqual(["open", "open"]), { within: 40_000 });
  const opened = performance.now();
  const sizes: number[] = [];
  await eventually(async () => {
    sizes.push(await truth.queued());
    // Everything that the load changes is owed by now, and it goes on.
    return sizes.at(-1) === PRODUCTS && enough(load, opened, 500) && performance.now() - opened > SECONDS * 1_000;
  }, { within: 60_000 + SECONDS * 1_200 });
  expect(Math.max(...sizes, await truth.queued())).toBe(PRODUCTS);
  expect(new Set((await truth.query("select entity_id as id from sync_retry_queue")).map((row) => row["id"]))).toEqual(new Set(ids));

  const returned = performance.now();
  await back(redis);
  await eventually(async () => expect([await truth.queued(), ...(await breakers())]).toEqual([0, "closed", "closed"]), { within: 60_000 });
  const settled = performance.now();
  const hits = () => load.sent.filter(({ is, token, at, answer }) => is === "read" && !token && at >= returned && answer !== null && status(answer)!.includes("hit")).length;
  await eventually(() => enough(load, settled, 300) && hits() > PRODUCTS, { within: 60_000 });
  await load.stop();
  const over = performance.now();

  expect(load.failures()).toEqual([]);
  expect(load.tooOld).toEqual([]);
  // Without a token too: what changed while the cache was away is never served as it was before.
  const atReturn = load.versionsAt(returned);
  const afterwards = load.sent.filter(({ is, token, at }) => is === "read" && !token && at >= returned);
  expect(afterwards.filter(({ id, answer }) => answer!.body.versionId < atReturn.get(id)!).map(({ id, answer }) => [id, answer!.text, status(answer!)])).toEqual([]);
  // Every acknowledged change counts once, and no other does.
  expect(new Map((await truth.rows()).map(({ id, stock }) => [id, stock - 1_000]))).toEqual(load.acknowledged());
  await eventually(async () => expect(await untrue(one, ids)).toEqual([]));
  // Filled again, every product becomes a hit of both, and whatever a read is on the way there, it shows the row.
  const rows = new Map((await truth.rows()).map(({ id, version }) => [id, version]));
  for (const api of apis) for (const id of ids) await becomesHit(api, id, rows.get(id)!);

  const stretches = { before: [began, wentAway], opening: [wentAway, opened], open: [opened, returned], returning: [returned, settled], after: [settled, over] } as const;
  const measured = (is: "read" | "write") => Object.fromEntries(Object.entries(stretches).map(([name, [from, to]]) => [name, latency(load.sent, is, from, to)]));
  const reads = measured("read"), writes = measured("write");
  console.log(`opened after ${Math.round(opened - wentAway)} ms, away for ${Math.round((returned - wentAway) / 1_000)} s, ${Math.max(...sizes)} rows at most, settled after ${Math.round(settled - returned)} ms; ${load.sent.length} requests, ${load.failures().length} failed`);
  console.log("reads", reads);
  console.log("writes", writes);
  /** Of the pieces into which a stretch is cut the fastest. */
  const fastest = (is: "read" | "write", [from, to]: readonly [number, number]) => {
    const pieces = Array.from({ length: PIECES }, (_, n) => latency(load.sent, is, from + (n * (to - from)) / PIECES, from + ((n + 1) * (to - from)) / PIECES)).filter(({ count }) => count > 0);
    return { p10: Math.min(...pieces.map(({ p10 }) => p10)), p50: Math.min(...pieces.map(({ p50 }) => p50)) };
  };
  return (["read", "write"] as const).map((is) => ({ before: measured(is)["before"]!, open: fastest(is, stretches.open) }));
};

// The shortest deadline of the cache is 50 ms: if everybody waited for it, the fastest would be slower by that, and if half did, the median. What a machine that
// stalls adds, it adds to a few; and what others do on it for a while, to some of the pieces of the time without the cache.
const ADDED = 40, PIECES = 5;
const noWaiting = (measured: Awaited<ReturnType<typeof outage>>) => {
  for (const { before, open } of measured) {
    expect(open.p10).toBeLessThan(Math.max(before.p10 * 2, before.p10 + ADDED));
    expect(open.p50).toBeLessThan(Math.max(before.p50 * 3, before.p50 + ADDED));
  }
};

test("a Redis that is killed under load costs no request, and one that comes back empty is filled with nothing old", async () => {
  noWaiting(await outage({}, (redis) => redis.kill(), (redis) => redis.start()));
}, TIMEOUT);

test("a Redis that is killed under load and comes back with its old data serves none of it", async () => {
  noWaiting(await outage({ persistent: true }, (redis) => redis.kill(), (redis) => redis.start()));
}, TIMEOUT);

test("a Redis that freezes under load costs no request, and nobody waits for it again and again", async () => {
  noWaiting(await outage({}, (redis) => redis.freeze(), (redis) => redis.thaw()));
}, TIMEOUT);
