import { Effect } from "effect";
import { expect, test, vi } from "vitest";
import { Log } from "../../src/domain/observe/Log.ts";
import { holdfast } from "../../src/cli/holdfast.ts";
import { migrate } from "../../src/infrastructure/postgres/migrate.ts";
import { type Cluster, startCluster } from "../support/clusters.ts";
import { eventually } from "../support/eventually.ts";
import { checkpoints, createProducts, type Holdfast, on, type Product, relayWorks, startCache, startHoldfast, startNetwork, status, untrue } from "../support/holdfast.ts";

// Three servers and up to eight processes are started, one after the other.
vi.setConfig({ testTimeout: 240_000 });

const silent = Log.of({ debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined });

/** A migrated cluster behind a network that can be led to another one, a cache, two processes that serve and one that relays. */
const deployment = async () => {
  const [primary, redis] = await Promise.all([startCluster(), startCache()]);
  await Effect.runPromise(migrate(primary.url, { partitions: 64, log: silent }));
  const network = await startNetwork(primary);
  const database = new URL(primary.url);
  database.port = String(network.port);
  const environment = on({ database: database.href }, redis, { SYNC_BUDGET_MS: "2000" });
  const [one, two, relay] = await Promise.all([startHoldfast("api", environment), startHoldfast("api", environment), startHoldfast("relay", environment)]);
  await relayWorks(redis);
  return { primary, redis, network, environment, one, two, relay };
};

const lives = async (cluster: Cluster) => (await cluster.query("select epoch, system_identifier, timeline from database_epochs order by epoch")).map(({ epoch, timeline, system_identifier }) =>
  ({ epoch: Number(epoch), timeline: Number(timeline), system_identifier }));
const knows = (api: Holdfast) => api.lines().some(({ msg }) => msg === "A new life of the database");
const rename = async (api: Holdfast, id: string, name: string) => {
  const answer = await api.call("PATCH", `/v1/products/${id}`, { body: { name } });
  expect(answer.status).toBe(200);
  return answer.headers.get("consistency-token")!;
};
const settled = (api: Holdfast) => eventually(async () => (await api.call("GET", "/ops/queue-size")).body.relayLagEvents === 0, { within: 40_000 });

/** Reads again and again, and keeps what a process answered to a request that began after it knew of the new life. */
const watch = (apis: readonly Holdfast[], products: readonly Product[]) => {
  let over = false;
  const afterwards: { readonly id: string; readonly name: string; readonly how: string | null }[] = [];
  const reader = async (api: Holdfast) => {
    while (!over) {
      for (const { id } of products) {
        const known = knows(api);
        const answer = await api.call("GET", `/v1/products/${id}`);
        if (known && answer.status === 200) afterwards.push({ id, name: answer.body.name, how: status(answer) });
      }
    }
  };
  const readers = Promise.all(apis.map(reader));
  return { afterwards, stop: async () => { over = true; await readers; } };
};

/** Everything that has to hold once the new life has begun: what was lost is served by nobody, and the work goes on. */
const livesOn = async ({ one, two, redis, server, products, lost, kept }: {
  readonly one: Holdfast; readonly two: Holdfast; readonly redis: Awaited<ReturnType<typeof startCache>>; readonly server: Cluster;
  readonly products: readonly Product[]; readonly lost: readonly string[]; readonly kept: string;
}) => {
  const { epoch } = (await lives(server)).at(-1)!;
  // The checkpoints of the new life: everything was purged.
  await eventually(async () => {
    const now = await checkpoints(redis);
    expect(now.filter((text) => parseInt(text.slice(1, 13), 16) === epoch)).toHaveLength(64);
  }, { within: 40_000 });
  for (const api of [one, two]) {
    await eventually(async () => expect((await api.call("GET", "/readyz")).body.degraded).toBe(false), { within: 40_000 });
    expect((await api.call("GET", "/ops/stats")).body.epoch).toBe(epoch);
    for (const [n, { id }] of products.entries()) {
      for (const headers of [{}, { "cache-control": "no-cache" }] as Record<string, string>[]) {
        expect((await api.call("GET", `/v1/products/${id}`, { headers })).body).toMatchObject({ versionId: 1, name: products[n]!.name });
      }
      const refused = await api.call("GET", `/v1/products/${id}`, { headers: { "consistency-token": lost[n]! } });
      expect(refused).toMatchObject({ status: 412, body: { type: "/problems/consistency-token-unknown" } });
    }
    expect((await api.call("GET", `/v1/products/${products[0]!.id}`, { headers: { "consistency-token": kept } })).status).toBe(200);
    // Where a page is empty the token alone can tell that something was lost.
    const emptyPage = (token: string) => api.call("GET", "/v1/products?status=discontinued", { headers: { "consistency-token": token } });
    expect(await emptyPage(lost[0]!)).toMatchObject({ status: 412, body: { type: "/problems/consistency-token-unknown" } });
    expect(await emptyPage(kept)).toMatchObject({ status: 200, body: { items: [] } });
  }
  // Version 2 once more, and not the one that was lost; by way of the relay, too, whatever the numbers of the transactions are.
  await Promise.all(products.map(({ id }, n) => rename(n % 2 === 0 ? one : two, id, "of the new life")));
  await settled(one);
  await eventually(async () => expect(await untrue(one, products.map(({ id }) => id))).toEqual([]), { within: 40_000 });
  for (const { id } of products) expect((await two.call("GET", `/v1/products/${id}`)).body).toMatchObject({ versionId: 2, name: "of the new life" });
};

/** A replica that has heard nothing of the last writes, whose entries stand in the cache. */
const lagging = async () => {
  const all = await deployment(), { primary, one } = all;
  const link = await startNetwork(primary);
  const replica = await primary.replica(link.port);
  const products = await createProducts(one, 12);
  const kept = (await one.call("GET", `/v1/products/${products[0]!.id}`)).headers.get("consistency-token")!;
  await eventually(async () => (await replica.query("select from products")).length === products.length, { within: 40_000 });
  await link.cut();
  const lost = await Promise.all(products.map(({ id }) => rename(one, id, "of the lost timeline")));
  await settled(one);
  for (const { id } of products) expect((await all.two.call("GET", `/v1/products/${id}`)).body.name).toBe("of the lost timeline");
  return { ...all, replica, products, kept, lost };
};

test("a replica that lagged and is promoted begins a new life: what it never heard of is served no more once that is known, and its token is unknown", async () => {
  const { primary, replica, network, redis, one, two, relay, products, kept, lost } = await lagging();
  const before = await lives(primary);
  const watched = watch([one, two], products);
  await primary.kill();
  network.redirect(replica.port);
  // As long as it only follows it is used by nobody.
  await eventually(() => one.lines().some(({ msg, reason }) => msg === "A Postgres server is not used" && String(reason).includes("recovery")), { within: 40_000 });
  await replica.promote();
  for (const process of [one, two, relay]) await eventually(() => knows(process), { within: 40_000 });
  await livesOn({ one, two, redis, server: replica, products, kept, lost });
  await watched.stop();
  expect(watched.afterwards.length).toBeGreaterThan(0);
  expect(watched.afterwards.filter(({ name }) => name === "of the lost timeline")).toEqual([]);
  const after = await lives(replica);
  expect(after.slice(0, -1)).toEqual(before);
  expect(after.at(-1)).toMatchObject({ timeline: 2, system_identifier: before[0]!.system_identifier });
});

test("its transactions may have overtaken every checkpoint before a process looks", async () => {
  const { primary, replica, network, redis, environment, one, two, relay, products, kept, lost } = await lagging();
  await Promise.all([one, two, relay].map(({ kill }) => kill()));
  const reached = Number((await primary.query("select pg_snapshot_xmax(pg_current_snapshot()) as next"))[0].next);
  await primary.kill();
  await replica.promote();
  await replica.burn(2_000);
  expect(Number((await replica.query("select pg_snapshot_xmax(pg_current_snapshot()) as next"))[0].next)).toBeGreaterThan(reached + 1_000);
  network.redirect(replica.port);
  const [again, other] = await Promise.all([startHoldfast("api", environment), startHoldfast("api", environment), startHoldfast("relay", environment)]);
  await livesOn({ one: again, two: other, redis, server: replica, products, kept, lost });
  expect(await lives(replica)).toHaveLength(2);
});

test("who is still on the server of before leaves the cache alone and says so, and the cache takes nothing from him", async () => {
  const { primary, replica, network, redis, one, two, relay, products, lost, kept } = await lagging();
  await replica.promote();
  network.redirect(replica.port);
  // No connection was lost. The first new one tells.
  await one.kill().then(() => two.kill());
  await relay.kill();
  const environment = on({ database: replica.url }, redis, { SYNC_BUDGET_MS: "2000" });
  const [here, there] = await Promise.all([startHoldfast("api", environment), startHoldfast("api", environment), startHoldfast("relay", environment)]);
  await livesOn({ one: here, two: there, redis, server: replica, products, kept, lost });
  // Who is on the old server by mistake leaves the cache alone and says so.
  const stray = await startHoldfast("api", on({ database: primary.url }, redis, { SYNC_BUDGET_MS: "2000" }));
  await eventually(() => stray.lines().some(({ msg }) => msg.startsWith("The cache is ahead of the database")), { within: 40_000 });
  expect((await stray.call("PATCH", `/v1/products/${products[0]!.id}`, { body: { name: "of a life that is over" } })).status).toBe(200);
  expect((await here.call("GET", `/v1/products/${products[0]!.id}`)).body.name).toBe("of the new life");
});

test("a file copy that is put back leaves no trace: the operator begins the life by hand, and every process hears of it", async () => {
  const { primary, redis, environment, one, two, relay } = await deployment();
  const products = await createProducts(one, 8);
  const kept = (await one.call("GET", `/v1/products/${products[0]!.id}`)).headers.get("consistency-token")!;
  await settled(one);
  await primary.stop();
  const backup = await primary.copy();
  await primary.start();
  await eventually(async () => (await one.call("GET", "/readyz")).status === 200, { within: 40_000 });
  const lost = await Promise.all(products.map(({ id }) => rename(one, id, "of the lost timeline")));
  await settled(one);
  await primary.stop();
  await primary.restore(backup);
  await primary.start();
  await eventually(async () => (await one.call("GET", "/readyz")).status === 200, { within: 40_000 });
  expect(await lives(primary)).toHaveLength(1);
  const printed: string[] = [];
  expect(await holdfast(["epoch", "new"], environment, { out: (text) => printed.push(text), err: (text) => printed.push(text) })).toBe(0);
  const [, { epoch }] = (await lives(primary)) as [unknown, { readonly epoch: number }];
  expect(printed).toEqual([`A new life of the database begins: epoch ${epoch}.\n`]);
  for (const process of [one, two, relay]) await eventually(() => knows(process), { within: 40_000 });
  await livesOn({ one, two, redis, server: primary, products, lost, kept });
});
