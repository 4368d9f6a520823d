import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectBadQuery, expectInvalid, expectProblem } from "./problem.ts";
import { create, read } from "./products.ts";
import { until } from "./until.ts";

const QUEUE = "/ops/retry-queue";
const REPLAY = `${QUEUE}/replay`;
const QUEUE_SIZE_FIELDS = ["dead", "delayed", "due", "oldestAgeSeconds", "queue", "relayLagEvents", "relayLagSeconds", "size"];

const replay = (body: unknown) => call("POST", REPLAY, { body });

const expectCount = (value: unknown): void => {
  expect(Number.isSafeInteger(value) && Number(value) >= 0, `a count: ${value}`).toBe(true);
};

/** A measure is a number from 0, or null while there is nothing to measure. */
const expectMeasure = (value: unknown): void => {
  expect(value === null || (typeof value === "number" && value >= 0), `a measure: ${value}`).toBe(true);
};

const expectQueueSize = (json: any): void => {
  expect(Object.keys(json).sort()).toEqual(QUEUE_SIZE_FIELDS);
  expect(json.queue).toBe("sync_retry_queue");
  for (const field of ["size", "due", "delayed", "dead", "relayLagEvents"]) expectCount(json[field]);
  for (const field of ["oldestAgeSeconds", "relayLagSeconds"]) expectMeasure(json[field]);
};

describe("GET /ops/queue-size", () => {
  it("names the queue and counts what waits in it and before it", async () => {
    const answer = await read("/ops/queue-size");
    expect(answer.status).toBe(200);
    expectQueueSize(answer.json);
  });

  it("the size is what is due and what is delayed, with or without what is dead", async () => {
    const { size, due, delayed, dead } = (await read("/ops/queue-size")).json;
    expect([due + delayed, due + delayed + dead]).toContain(size);
  });
});

describe("GET /ops/stats", () => {
  it("has all of its fields", async () => {
    const answer = await read("/ops/stats");
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.json).sort()).toEqual([
      "breaker", "cacheLatencyMs", "epoch", "fallbackLatencyMs", "fallbackRate", "hitRate", "lastVerification",
      "providers", "queue", "reads", "relay", "stalePerMillion", "syncOverheadMs",
    ]);
  });

  it("counts, rates and latencies are numbers, or null where there is nothing to measure", async () => {
    const { json } = await read("/ops/stats");
    expect(Object.keys(json.reads).sort()).toEqual(["bypass", "hit", "miss", "request", "stale"]);
    for (const value of Object.values(json.reads)) expectMeasure(value);
    for (const name of ["hitRate", "fallbackRate"]) {
      expectMeasure(json[name]);
      expect(json[name] ?? 0).toBeLessThanOrEqual(1);
    }
    for (const name of ["cacheLatencyMs", "fallbackLatencyMs", "syncOverheadMs"]) {
      expect(Object.keys(json[name]).sort(), name).toEqual(["p50", "p99"]);
      for (const value of Object.values(json[name])) expectMeasure(value);
    }
    expect(Object.keys(json.stalePerMillion).sort()).toEqual(["100ms", "10s", "1m", "1s", "5m"]);
    for (const value of Object.values(json.stalePerMillion)) expectMeasure(value);
  });

  it("shows the breaker, the queue, the relay, the last verification, the providers and the epoch", async () => {
    const { json } = await read("/ops/stats");
    expect(["closed", "open", "half-open"]).toContain(json.breaker);
    expectQueueSize(json.queue);
    expect(Object.keys(json.relay).sort()).toEqual(["lagEvents", "lagSeconds"]);
    for (const value of Object.values(json.relay)) expectMeasure(value);
    expect(json.lastVerification).toBeTypeOf("object");
    expect(Object.keys(json.providers).sort()).toEqual(["cache", "database"]);
    for (const provider of Object.values<any>(json.providers)) {
      expect(Object.keys(provider).sort()).toEqual(["capabilities", "name"]);
      expect(provider.name).toEqual(expect.stringMatching(/\S/));
    }
    expect(json.epoch).toEqual(expect.anything());
  });

  it("counts a hit among the reads of the last 60 s", async () => {
    const { path } = await create();
    const stats = await until("a hit in the statistics", async () => {
      await read(path);
      const { json } = await read("/ops/stats");
      return json.reads.hit > 0 && json.hitRate > 0 ? json : undefined;
    });
    expect(stats.cacheLatencyMs.p99).toBeGreaterThanOrEqual(stats.cacheLatencyMs.p50);
  });
});

describe("GET /ops/retry-queue", () => {
  it("is a list", async () => {
    const answer = await read(`${QUEUE}?limit=200`);
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.json).sort()).toEqual(["items", "nextCursor"]);
    for (const item of answer.json.items) {
      expect(Object.keys(item).sort()).toEqual(
        ["attempts", "firstFailedAt", "id", "kind", "nextAttemptAt", "reason", "state", "versionId"]);
    }
  });

  it.each(["due", "delayed", "dead"])("?state=%s shows only such", async (state) => {
    const answer = await read(`${QUEUE}?state=${state}`);
    expect(answer.status).toBe(200);
    for (const item of answer.json.items) expect(item.state).toBe(state);
  });

  it("refuses a bad state, limit and cursor, all at once", async () => {
    expectBadQuery(await read(`${QUEUE}?state=alive&limit=0&cursor=x`), "state", "limit", "cursor");
  });
});

describe("POST /ops/retry-queue/replay", () => {
  it("answers 202 with how many were selected", async () => {
    const answer = await replay({});
    expect(answer.status).toBe(202);
    expect(Object.keys(answer.json)).toEqual(["selected"]);
    expectCount(answer.json.selected);
  });

  it("with dryRun answers 200 with what would happen", async () => {
    const { status, json } = await replay({ dryRun: true });
    expect(status).toBe(200);
    expect(Object.keys(json).sort()).toEqual(["alreadyCurrent", "selected", "wouldStore"]);
    for (const value of Object.values(json)) expectCount(value);
    expect(json.wouldStore + json.alreadyCurrent).toBe(json.selected);
  });

  it("of one entity that is not in the queue selects none", async () => {
    const { id } = await create();
    const absent = await replay({ kind: "product", id });
    expect([absent.status, absent.json]).toEqual([202, { selected: 0 }]);
    const dry = await replay({ kind: "product", id, dryRun: true });
    expect([dry.status, dry.json]).toEqual([200, { selected: 0, wouldStore: 0, alreadyCurrent: 0 }]);
  });

  it("dryRun: false is the same as none", async () => {
    expect((await replay({ kind: "product", id: randomUUID(), dryRun: false })).status).toBe(202);
  });

  it("takes a kind and an id together or neither; what is missing is named", async () => {
    expectInvalid(await replay({ kind: "product" }), "#/id");
    expectInvalid(await replay({ id: randomUUID() }), "#/kind");
  });

  it("refuses an unknown kind, an id that is no UUID, a dryRun that is no boolean and unknown fields", async () => {
    expectInvalid(await replay({ kind: "planet", id: "x", dryRun: "yes", all: 1 }), "#/kind", "#/id", "#/dryRun", "#/all");
  });

  it("needs a body", async () => {
    expectProblem(await call("POST", REPLAY), 400, "malformed");
  });
});

describe("DELETE /ops/retry-queue/{kind}/{id}", () => {
  it("of what is not in the queue is 404", async () => {
    const { id } = await create();
    for (const path of [`product/${id}`, `product/${randomUUID()}`, "product/x", `planet/${id}`]) {
      expectProblem(await call("DELETE", `${QUEUE}/${path}`), 404, "not-found");
    }
  });
});
