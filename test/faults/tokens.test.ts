import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { createProducts, on, startCache, startHoldfast, startNetwork, startTruth, status } from "../support/holdfast.ts";
import type { Proxy } from "../support/proxy.ts";

const READERS = 8, EACH = 125;

/** 1,000 times: a write through one api, and a read with its token through the other. One of the two is parted from the cache. */
const readYourWrites = async (part: (network: Proxy) => unknown) => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const network = await startNetwork(redis);
  const [parted, whole, relay] = await Promise.all([
    startHoldfast("api", on(truth, network.url("redis"))),
    startHoldfast("api", on(truth, redis)),
    startHoldfast("relay", on(truth, redis)),
  ]);
  const products = await createProducts(whole, READERS);
  // It has told both that the cache may be read. From now on there is no relay, and no replay: what the cache was not told stays untold.
  await eventually(async () => (await parted.call("GET", "/readyz")).body.degraded === false && (await whole.call("GET", "/readyz")).body.degraded === false, { within: 50_000 });
  await relay.kill();
  await part(network);

  const older: unknown[] = [], statuses: (string | null)[] = [];
  await Promise.all(products.map(async ({ id }, reader) => {
    for (let n = 0; n < EACH; n++) {
      const [by, from] = (n + reader) % 2 === 0 ? [parted, whole] : [whole, parted];
      const name = randomUUID();
      const written = await by.call("PATCH", `/v1/products/${id}`, { body: { name } });
      expect(written.status).toBe(200);
      const read = await from.call("GET", `/v1/products/${id}`, { headers: { "consistency-token": written.headers.get("consistency-token")! } });
      if (read.status !== 200 || read.text !== written.text) older.push({ written: written.text, read: read.text, status: status(read) });
      if (by === parted) statuses.push(status(read));
    }
  }));
  expect(older).toEqual([]);
  return statuses;
};

test("a read with the token of a write is never older than it, though the writer cannot reach the cache", async () => {
  const statuses = await readYourWrites((network) => network.cut());
  // The cache held an older entry all the time, and was not believed once; on a busy machine some did not even hear of it.
  expect(statuses).toContain("holdfast; fwd=stale; stored");
  expect(statuses.filter((of) => of!.includes("hit"))).toEqual([]);
}, 150_000);

test("a read with the token of a write is never older than it, though the writer hears nothing of the cache's answers", async () => {
  const statuses = await readYourWrites((network) => network.blackhole("answers"));
  expect(statuses).toContain("holdfast; fwd=stale; stored");
}, 150_000);
