import { Effect } from "effect";
import { expect, onTestFinished, test } from "vitest";
import { Log } from "../../src/domain/observe/Log.ts";
import { migrate } from "../../src/infrastructure/postgres/migrate.ts";
import { startCluster } from "../support/clusters.ts";
import { eventually } from "../support/eventually.ts";
import { type Answer, createProducts, type Holdfast, on, startCache, startHoldfast } from "../support/holdfast.ts";

const silent = Log.of({ debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined });
const WITHIN = { within: 30_000 };

const counts = async (api: Holdfast) => {
  const { text } = await api.call("GET", "/metrics");
  const count = (result: string) => Number(new RegExp(`^holdfast_replica_reads_total\\{result="${result}"\\} (\\d+)$`, "mu").exec(text)?.[1] ?? 0);
  return { answered: count("answered"), failed: count("failed") };
};

test("a replica serves lists, histories and bounded reads; frozen, killed or promoted it costs no error and at most one deadline, and back it serves again", async () => {
  const [primary, redis] = await Promise.all([startCluster(), startCache()]);
  await Effect.runPromise(migrate(primary.url, { partitions: 64, log: silent }));
  const replica = await primary.replica(primary.port);
  // Nobody relays: what is said to be bounded is never known to be settled.
  const api = await startHoldfast("api", on({ database: primary.url }, redis, { DB_REPLICA_URL: replica.url }));
  const [product] = await createProducts(api, 3, { withCache: false });
  const path = `/v1/products/${product!.id}`;
  const asks: readonly (() => Promise<Answer>)[] = [
    () => api.call("GET", "/v1/products"),
    () => api.call("GET", `${path}/events`),
    () => api.call("GET", `${path}?version=1`),
    () => api.call("GET", path, { headers: { "cache-control": "max-age=600" } }),
  ];
  const serves = async () => {
    for (const ask of asks) {
      await eventually(async () => {
        const { answered } = await counts(api);
        expect((await ask()).status).toBe(200);
        return (await counts(api)).answered > answered;
      }, WITHIN);
    }
  };
  /** Everything is answered, and by the primary but for what a replica that dies just now has to be asked once to be found out. */
  const doesWithout = async () => {
    const { failed } = await counts(api);
    for (let n = 0; n < 10; n++) for (const ask of asks) expect((await ask()).status).toBe(200);
    expect((await counts(api)).failed - failed).toBeLessThanOrEqual(1);
    expect((await api.call("GET", "/v1/products")).body.items).toHaveLength(3);
    expect((await api.call("PATCH", path, { body: { name: `product ${Math.random()}` } })).status).toBe(200);
    await eventually(() => api.lines().findLast(({ msg }) => msg.startsWith("The replica"))?.msg === "The replica is not used", WITHIN);
  };
  await serves();

  let frozen = false;
  onTestFinished(async () => { if (frozen) await replica.thaw(); });
  await replica.freeze();
  frozen = true;
  await doesWithout();
  await replica.thaw();
  frozen = false;
  await serves();

  await replica.kill();
  await doesWithout();
  await replica.start();
  await serves();

  await replica.promote();
  await eventually(async () => (await replica.query("select pg_is_in_recovery() as follows"))[0].follows === false, WITHIN);
  await replica.query("update products set name = 'of another life'");
  await doesWithout();
  for (const ask of asks) expect((await ask()).text).not.toContain("of another life");
}, 180_000);
