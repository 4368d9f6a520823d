import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type Answer, call } from "./client.ts";
import { create, read } from "./products.ts";
import { until } from "./until.ts";

describe("GET /healthz", () => {
  it('is 200 {"status": "ok"}, with and without a key', async () => {
    for (const key of [null, undefined]) {
      const answer = await call("GET", "/healthz", { key });
      expect([answer.status, answer.json]).toEqual([200, { status: "ok" }]);
    }
  });
});

describe("GET /readyz", () => {
  /** The first answer of a database that a stall of the machine did not keep from answering in time. */
  const ready = (key: string | null | undefined): Promise<Answer> =>
    until("a service that is ready", async () => {
      const answer = await call("GET", "/readyz", { key });
      return answer.status === 503 ? undefined : answer;
    });

  it("of a quiet service is 200, ready and not degraded", async () => {
    const answer = await ready(undefined);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ ready: true, degraded: false });
  });

  it("without a key says whether it is ready and degraded, and nothing more", async () => {
    const answer = await ready(null);
    expect([answer.status, answer.json]).toEqual([200, { ready: true, degraded: false }]);
  });
});

// A sample of the Prometheus text format: a name, labels, a value, perhaps a time.
const SAMPLE = /^[a-zA-Z_:][\w:]*(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*",?)*\})? (?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|NaN|[+-]Inf)(?: -?\d+)?$/i;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;

const metrics = async (): Promise<string> => {
  const answer = await read("/metrics");
  expect(answer.status).toBe(200);
  return answer.text;
};

describe("GET /metrics", () => {
  it("is the text that Prometheus reads", async () => {
    const answer = await read("/metrics");
    expect(answer.headers.get("content-type")).toMatch(/^(text\/plain|application\/openmetrics-text)\b/);
    const samples = answer.text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    expect(samples.length).toBeGreaterThan(0);
    for (const sample of samples) expect(sample).toMatch(SAMPLE);
  });

  it("names the route's pattern, never an id, a SKU or a query", async () => {
    const mark = randomUUID();
    const { path, id, sku } = await create({ sku: `wire-${mark}` });
    await read(`${path}?mark=${mark}`);
    await read(`/v1/products/${mark}`);
    await read(`/ops/entries/product/${id}`);
    const text = await metrics();
    expect(text).toMatch(/"[^"]*\/v1\/products\/(:id|\{id\})[^"]*"/);
    for (const value of [id, sku, mark]) expect(text).not.toContain(value);
    expect(text).not.toMatch(UUID);
  });

  it("an unknown path or kind makes no label of its own", async () => {
    const mark = `m${randomUUID().replaceAll("-", "")}`;
    await read(`/${mark}`);
    await read(`/v1/${mark}/x`);
    await read(`/ops/entries/${mark}/x`);
    expect(await metrics()).not.toContain(mark);
  });

  it("has one set of names, each described once", async () => {
    const types = (await metrics()).split("\n").filter((line) => line.startsWith("# TYPE ")).map((line) => line.split(" ")[2]);
    expect(types.length).toBeGreaterThan(0);
    expect(new Set(types).size).toBe(types.length);
  });
});
