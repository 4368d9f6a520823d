import { randomUUID } from "node:crypto";
import { expect, inject, onTestFinished, test } from "vitest";
import { createDatabase, dropDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { createProducts, launch, on, type Role, startHoldfast, startTruth, status } from "../support/holdfast.ts";

/** It does not come up; what it says of that. */
const refusal = async (role: Role, environment: Readonly<Record<string, string>>) => {
  const process = launch(role, environment);
  expect(await process.exited).toEqual({ code: 1, signal: null });
  return process.output().split("\n").filter((line) => line !== "" && !line.startsWith("{")).join("\n");
};

test.for(["redis://127.0.0.1:1", "invalid"])("a Redis that cannot be used (%s) is a degraded start: everything answers, from Postgres", { timeout: 120_000 }, async (redis) => {
  const truth = await startTruth();
  const [api, relay] = await Promise.all([startHoldfast("api", on(truth, redis)), startHoldfast("relay", on(truth, redis))]);
  const [product] = await createProducts(api, 1, { withCache: false });
  const path = `/v1/products/${product!.id}`;
  for (const { lines } of [api, relay]) {
    await eventually(() => lines().some(({ level, msg }) => level === "warn" && msg === "Redis unavailable, falling back to PostgreSQL"));
  }
  const changed = await api.call("PATCH", path, { body: { name: "changed" } });
  expect([changed.status, status(changed)]).toEqual([200, "holdfast; fwd=method; detail=queued"]);
  for (let n = 0; n < 5; n++) {
    const read = await api.call("GET", path, { headers: { "consistency-token": changed.headers.get("consistency-token")! } });
    expect([read.text, status(read)]).toEqual([changed.text, "holdfast; fwd=bypass; detail=cache-unavailable"]);
  }
  expect(await api.call("GET", "/v1/products")).toMatchObject({ status: 200, body: { items: [changed.body] } });
  expect(await api.call("GET", `${path}/events`)).toMatchObject({ status: 200, body: { items: [{ versionId: 1 }, { versionId: 2 }] } });
  expect(await api.call("GET", "/readyz")).toMatchObject({ status: 200, body: { ready: true, degraded: true } });
  expect(await api.call("GET", "/ops/queue-size")).toMatchObject({ status: 200, body: { size: 1 } });
  expect(await api.call("GET", "/ops/stats")).toMatchObject({ status: 200, body: { breaker: "open" } });
  // What stands in the cache cannot be said, so nothing is.
  expect(await api.call("GET", `/ops/entries/product/${product!.id}`)).toMatchObject({ status: 503 });
  expect(await api.call("GET", "/metrics")).toMatchObject({ status: 200 });
  expect(await api.call("DELETE", path)).toMatchObject({ status: 204 });
  expect(await api.call("GET", path)).toMatchObject({ status: 410 });
});

test("a wrong configuration ends the start with code 1 and one message that lists every fault and shows no value", async () => {
  const secret = `too-short-${randomUUID().slice(0, 8)}`;
  const said = await refusal("api", { DATABASE_URL: "mysql://root:hunter2@localhost/x", PORT: "99999", SYNC_BUDGET_MS: "soon", BOOTSTRAP_API_KEY: secret, REDIS_CLUSTER_ENABLED: "true" });
  expect(said.split("\n")[0]).toBe("Holdfast cannot start; the configuration is wrong:");
  for (const name of ["DATABASE_URL", "PORT", "SYNC_BUDGET_MS", "BOOTSTRAP_API_KEY", "REDIS_CLUSTER_ENABLED", "KEYRING_FILE"]) expect(said).toMatch(new RegExp(`^ {2}- ${name} `, "m"));
  expect(said).not.toContain(secret);
  expect(said).not.toContain("hunter2");
}, 120_000);

test.for(["api", "relay"] as const)("%s as a process of its own refuses the memory cache", { timeout: 120_000 }, async (role) => {
  const said = await refusal(role, { DATABASE_URL: "postgres://127.0.0.1:1/none", CACHE_PROVIDER: "memory" });
  expect(said).toMatch(/CACHE_PROVIDER memory is for one process/u);
});

test("a database that cannot be reached ends the start with code 1 and never a fall-back", async () => {
  expect(await refusal("api", { DATABASE_URL: "postgres://127.0.0.1:1/none", KEYRING_FILE: inject("keyringFile"), REDIS_URL: "redis://127.0.0.1:1" })).toMatch(/the database cannot be reached: ECONNREFUSED/u);
}, 120_000);

test("a schema that is behind is refused, with the command that helps", async () => {
  const database = await createDatabase();
  onTestFinished(() => dropDatabase(database));
  const truth = await startTruth();
  await truth.query("delete from schema_migrations where number = (select max(number) from schema_migrations)");
  const [empty, behind] = await Promise.all([
    refusal("api", on({ database }, "redis://127.0.0.1:1")),
    refusal("relay", on(truth, "redis://127.0.0.1:1")),
  ]);
  for (const said of [empty, behind]) expect(said).toContain("npm run migrate");
}, 120_000);

test("another number of partitions than the installation was made with is refused", async () => {
  const truth = await startTruth();
  expect(await refusal("relay", on(truth, "redis://127.0.0.1:1", { CACHE_PARTITIONS: "32" }))).toMatch(/has 64 partitions, and CACHE_PARTITIONS says 32/u);
}, 120_000);
