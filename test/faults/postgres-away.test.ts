import { randomUUID } from "node:crypto";
import { Effect } from "effect";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { Log } from "../../src/domain/observe/Log.ts";
import { migrate } from "../../src/infrastructure/postgres/migrate.ts";
import { eventually } from "../support/eventually.ts";
import { type Answer, createProducts, explain, look, on, relayWorks, request, startCache, startHoldfast, startNetwork, status, untrue } from "../support/holdfast.ts";
import { startPostgres } from "../support/postgres.ts";

const silent = Log.of({ debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined });

const unavailable = (answer: Answer, names = ["unavailable"]) => {
  expect(names.map((name) => `/problems/${name}`)).toContain(answer.body?.type);
  expect(answer).toMatchObject({ status: 503, body: { status: 503 } });
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
};

test.skipIf(process.env.TEST_DATABASE_URL !== undefined)(
  "while Postgres is away cached reads go on and all else is 503; when it is back everything works within seconds and nothing counts twice",
  async () => {
    const [postgres, redis] = await Promise.all([startPostgres(), startCache()]);
    onTestFinished(postgres.stop);
    await Effect.runPromise(migrate(postgres.url, { partitions: 64, log: silent }));
    const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
    pool.on("error", () => undefined);
    onTestFinished(() => pool.end());
    const truth = { database: postgres.url, ...look(pool) };
    const network = await startNetwork(redis);
    const [api, parted, relay] = await Promise.all([
      startHoldfast("api", on(truth, redis)),
      startHoldfast("api", on(truth, network.url("redis"))),
      startHoldfast("relay", on(truth, redis)),
    ]);
    const all = [api, parted, relay];
    let crashed = false;
    for (const { exited } of all) void exited.then(() => (crashed = true));
    await relayWorks(redis);
    const [cached, missing, ...written] = await createProducts(api, 6);
    await api.call("DELETE", `/ops/entries/product/${missing!.id}`);

    // Clients that send a change until it is acknowledged.
    const wanted = new Map(written.map(({ id }) => [id, 0]));
    const strange: unknown[] = [], refused: Answer[] = [];
    const over = new AbortController();
    let acknowledged = 0;
    const clients = Promise.all(written.map(async ({ id }) => {
      while (!over.signal.aborted) {
        const change = { body: { delta: 1 }, headers: { "idempotency-key": randomUUID() } };
        wanted.set(id, wanted.get(id)! + 1);
        for (let answered = false; !answered; ) {
          const answer = await request(api.url, "POST", `/v1/products/${id}/stock-adjustments`, change).catch((error: unknown) => error as Error);
          answered = !(answer instanceof Error) && answer.status === 200;
          if (answered) acknowledged++;
          else if (answer instanceof Error) strange.push(String(answer.cause));
          else refused.push(answer);
        }
      }
    }));
    await eventually(() => acknowledged > 100, { within: 60_000 });

    await postgres.kill();
    await eventually(() => refused.length > 20);
    const reads: Answer[] = [];
    await eventually(async () => {
      reads.push(await api.call("GET", `/v1/products/${cached!.id}`));
      return reads.filter(({ status }) => status === 200).length === 20;
    });
    // On a busy machine the cache, too, may be late, and then there is nobody left to ask.
    for (const read of reads) {
      if (read.status === 200) expect([read.body, status(read)]).toEqual([cached, "holdfast; hit; detail=database-unavailable"]);
      else unavailable(read);
    }
    for (const api of all.filter(({ role }) => role === "api")) {
      unavailable(await api.call("GET", `/v1/products/${missing!.id}`));
      unavailable(await api.call("GET", `/v1/products/${cached!.id}`, { headers: { "cache-control": "no-cache" } }));
      unavailable(await api.call("GET", "/v1/products"));
      unavailable(await api.call("PATCH", `/v1/products/${cached!.id}`, { body: { name: "never" } }), ["unavailable", "unknown-outcome"]);
      unavailable(await api.call("POST", "/v1/products", { body: { sku: randomUUID(), name: "never", price: { amount: 1, currency: "EUR" }, stock: 1 } }));
      expect(await api.call("GET", "/readyz")).toMatchObject({ status: 503, body: { ready: false } });
      expect(await api.call("GET", "/healthz")).toMatchObject({ status: 200 });
    }

    await postgres.start();
    const back = performance.now();
    await network.cut();
    await eventually(async () => {
      expect(await parted.call("PATCH", `/v1/products/${cached!.id}`, { body: { name: "after" } })).toMatchObject({ status: 200 });
      expect(await api.call("GET", `/v1/products/${missing!.id}`)).toMatchObject({ status: 200, body: missing });
      expect(await api.call("GET", "/readyz")).toMatchObject({ status: 200, body: { ready: true, degraded: false } });
      // Its writer cannot reach the cache, so this one came by relay or replay.
      expect((await explain(api, cached!.id)).entry?.versionId).toBe(2);
      expect(status(await api.call("GET", `/v1/products/${cached!.id}`))).toBe("holdfast; hit");
      expect(await truth.queued()).toBe(0);
    }, { within: 60_000 });
    console.log(`everything worked ${Math.round(performance.now() - back)} ms after Postgres did`);
    const then = acknowledged;
    await eventually(() => acknowledged > then + 100, { within: 60_000 });
    over.abort();
    await clients;

    expect(strange).toEqual([]);
    for (const answer of refused) unavailable(answer, ["unavailable", "unknown-outcome"]);
    console.log(`${refused.length} refused, ${refused.filter(({ body }) => body.type === "/problems/unknown-outcome").length} of them of unknown outcome`);
    expect(crashed).toBe(false);
    const rows = new Map((await truth.rows()).map((row) => [row.id, row]));
    for (const [id, count] of wanted) expect(rows.get(id)).toMatchObject({ stock: 1_000 + count, version: 1 + count });
    await eventually(async () => expect(await untrue(api, rows.keys())).toEqual([]));
  },
  300_000,
);
