import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call, wire } from "./client.ts";
import { expectProblem } from "./problem.ts";
import { create, newProduct, read } from "./products.ts";

const { url, key, limitedKey } = wire();
const port = new URL(url).port;

const expectUnauthenticated = (answer: Awaited<ReturnType<typeof call>>): void => {
  expectProblem(answer, 401, "unauthenticated");
  expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
};

/** Each as a known path, with what it takes to get past everything but the key. */
const GUARDED: ReadonlyArray<[string, string, unknown?]> = [
  ["GET", "/v1/products"],
  ["POST", "/v1/products", newProduct()],
  ["POST", "/v1/products/batch", { items: [newProduct()] }],
  ["GET", "/v1/products/{id}"],
  ["HEAD", "/v1/products/{id}"],
  ["PATCH", "/v1/products/{id}", { name: "Torch" }],
  ["DELETE", "/v1/products/{id}"],
  ["POST", "/v1/products/{id}/stock-adjustments", { delta: 1 }],
  ["GET", "/v1/products/{id}/events"],
  ["GET", "/v1/changes"],
  ["GET", "/ops/queue-size"],
  ["GET", "/ops/stats"],
  ["GET", "/ops/retry-queue"],
  ["POST", "/ops/retry-queue/replay", { dryRun: true }],
  ["DELETE", "/ops/retry-queue/product/{id}"],
  ["GET", "/ops/entries/product/{id}"],
  ["DELETE", "/ops/entries/product/{id}"],
  ["GET", "/metrics"],
];

describe("without a key everything but the open paths is 401 with WWW-Authenticate: Bearer", () => {
  it.each(GUARDED)("%s %s", async (method, path, body) => {
    const { id } = await create();
    const answer = await call(method, path.replace("{id}", id), { body, key: null });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
    if (method !== "HEAD") expectUnauthenticated(answer);
    expect((await read(`/v1/products/${id}`)).json.versionId, "nothing happened").toBe(1);
  });

  it.each(["/healthz", "/readyz", "/problems/not-found"])("%s is open", async (path) => {
    expect((await call("GET", path, { key: null })).status).toBe(200);
  });
});

describe("a key that is none is 401", () => {
  it.each([
    ["unknown", `Bearer ${randomUUID()}`],
    ["in the form of a real one", `Bearer hf_${randomUUID()}_${"x".repeat(43)}`],
    ["empty", "Bearer "],
    ["without a scheme", key],
    ["with another scheme", `Basic ${Buffer.from(`x:${key}`).toString("base64")}`],
    ["with more behind it", `Bearer ${key}x`],
    ["with a second one behind it", `Bearer ${key} ${key}`],
    ["in another case", `Bearer ${key.toUpperCase()}`],
    ["very long", `Bearer ${"x".repeat(8_000)}`],
  ])("%s", async (_, authorization) => {
    expectUnauthenticated(await call("GET", "/v1/products?limit=1", { headers: { authorization } }));
  });

  it("nor does a key in the URL let anybody in", async () => {
    const query = `limit=1&key=${key}&access_token=${key}&api_key=${key}`;
    expectUnauthenticated(await call("GET", `/v1/products?${query}`, { key: null }));
  });

  it("the scheme may be written in any case, as in all of HTTP", async () => {
    const headers = { authorization: `bearer ${key}` };
    expect((await call("GET", "/v1/products?limit=1", { headers })).status).toBe(200);
  });
});

describe("the key dev", () => {
  it.each(["example.org", "holdfast", "localhost.example.org", "127.0.0.1.example.org", "127.0.0.2", "0.0.0.0", "[::2]"])(
    "is unknown when the Host is %s",
    async (name) => {
      const host = port === "" ? name : `${name}:${port}`;
      expectUnauthenticated(await call("GET", "/v1/products?limit=1", { key: "dev", headers: { host } }));
    },
  );

  it.runIf(key === "dev").each(["localhost", "127.0.0.1", "[::1]"])("where it is in force, has every scope when the Host is %s", async (name) => {
    for (const host of [name, `${name}:${port || 80}`]) {
      for (const path of ["/v1/products?limit=1", "/ops/stats", "/metrics"]) {
        expect((await call("GET", path, { headers: { host } })).status, path).toBe(200);
      }
    }
  });
});

describe.runIf(limitedKey !== undefined)("a key without the scope is 403", () => {
  const ALLOWED = new Set(["/v1/products", "/v1/products/{id}", "/v1/products/{id}/events"]);
  const refused = GUARDED.filter(([method, path]) => !(["GET", "HEAD"].includes(method) && ALLOWED.has(path)));

  it.each(refused)("catalog:read alone does not allow %s %s", async (method, path, body) => {
    const { id } = await create();
    expectProblem(await call(method, path.replace("{id}", id), { body, key: limitedKey }), 403, "forbidden");
    expect((await read(`/v1/products/${id}`)).json.versionId, "nothing happened").toBe(1);
  });

  it("catalog:read allows the product, its earlier versions, its history and the list", async () => {
    const { path } = await create();
    for (const asked of [path, `${path}?version=1`, `${path}/events`, "/v1/products?limit=1"]) {
      expect((await call("GET", asked, { key: limitedKey })).status, asked).toBe(200);
    }
  });

  it("a key with all scopes may do all of it: the same requests are not 403", async () => {
    for (const [method, path, body] of refused.filter(([, path]) => path !== "/v1/changes")) {
      const { id } = await create();
      expect((await call(method, path.replace("{id}", id), { body })).status, `${method} ${path}`).not.toBe(403);
    }
  });
});
