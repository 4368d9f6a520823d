import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cacheStatus, CHANGE, HIT, UNCHANGED } from "./cacheStatus.ts";
import { call, wire } from "./client.ts";
import { directives, expectInvalid, expectProblem } from "./problem.ts";
import { getSession, newSession, putSession, sendSession, SESSIONS, sessionPath } from "./session.ts";
import { expectNoTrace } from "./traces.ts";
import { until } from "./until.ts";

const { limitedKey } = wire();
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$/;
const LONGEST = 2_592_000;

describe("PUT, GET and DELETE /v1/sessions/{id}", () => {
  it("PUT answers 204 without a body, GET with data and expiresAt and nothing else", async () => {
    const path = sessionPath();
    const id = randomUUID();
    const put = await putSession(path, { data: { cart: ["lamp"], step: 2 }, customerId: id });
    expect(put.text).toBe("");
    const got = await getSession(path);
    expect(got.status).toBe(200);
    expect(Object.keys(got.json).sort()).toEqual(["data", "expiresAt"]);
    expect(got.json.data).toEqual({ cart: ["lamp"], step: 2 });
  });

  it("a customerId of null is none", async () => {
    const path = sessionPath();
    await putSession(path, { customerId: null });
    expect((await getSession(path)).status).toBe(200);
  });

  it("every answer says what the cache had to do with it", async () => {
    const path = sessionPath();
    expect(cacheStatus(await putSession(path))).toEqual(CHANGE);
    expect(cacheStatus(await getSession(path))).toEqual(HIT);
    expect(cacheStatus(await call("DELETE", path))).toEqual(CHANGE);
    expect(cacheStatus(await getSession(path)), "that it is not there is known from the cache").toEqual(HIT);
    expect(cacheStatus(await call("DELETE", path))).toEqual(UNCHANGED);
  });

  it("PUT again replaces the whole, and its time begins anew", async () => {
    const path = sessionPath();
    await putSession(path, { data: { a: 1, b: 2 }, ttlSeconds: 60 });
    await putSession(path, { data: { c: 3 }, ttlSeconds: 600 });
    const { json } = await getSession(path);
    expect(json.data).toEqual({ c: 3 });
    expect(Date.parse(json.expiresAt) - Date.now()).toBeGreaterThan(500_000);
  });

  it("DELETE answers 204 without a body; afterwards it is 404", async () => {
    const path = sessionPath();
    await putSession(path);
    const answer = await call("DELETE", path);
    expect([answer.status, answer.text]).toEqual([204, ""]);
    expectProblem(await getSession(path), 404, "not-found");
  });

  it("absent: GET and DELETE are 404", async () => {
    const path = sessionPath();
    expectProblem(await getSession(path), 404, "not-found");
    expectProblem(await call("DELETE", path), 404, "not-found");
  });

  it("deleted, it can be put again", async () => {
    const path = sessionPath();
    await putSession(path);
    await call("DELETE", path);
    await putSession(path, { data: { again: true } });
    expect((await getSession(path)).json.data).toEqual({ again: true });
  });

  it("of several put at the same moment one stands, whole", async () => {
    const path = sessionPath();
    await Promise.all(Array.from({ length: 10 }, (_, n) => putSession(path, { data: { n, twice: [n, n] } })));
    const { n, twice } = (await getSession(path)).json.data;
    expect(twice).toEqual([n, n]);
  });

  it("HEAD works like GET", async () => {
    const path = sessionPath();
    await putSession(path);
    const head = await call("HEAD", path);
    expect([head.status, head.text]).toEqual([200, ""]);
    expect((await call("HEAD", sessionPath())).status).toBe(404);
  });

  it("another method is 405, and Allow names what there is", async () => {
    for (const method of ["POST", "PATCH"]) {
      const answer = await call(method, sessionPath(), { body: {} });
      expectProblem(answer, 405, "method-not-allowed");
      expect(answer.headers.get("allow")?.split(/, */).filter((name) => name !== "OPTIONS").sort()).toEqual(["DELETE", "GET", "HEAD", "PUT"]);
    }
  });
});

describe("a session's time", () => {
  it.each([60, LONGEST])("expiresAt is RFC 3339 in UTC, ttlSeconds from now: %d", async (ttlSeconds) => {
    const path = sessionPath();
    await putSession(path, { ttlSeconds });
    const { expiresAt } = (await getSession(path)).json;
    expect(expiresAt).toMatch(RFC_3339);
    // The service's clock may differ from ours, but not by much.
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - ttlSeconds * 1_000)).toBeLessThan(30_000);
  });

  it("is the same on every read: to read does not prolong it", async () => {
    const path = sessionPath();
    await putSession(path);
    const first = (await getSession(path)).json.expiresAt;
    await until("a second later", async () => (Date.parse(first) - Date.now() < 58_500 ? true : undefined));
    expect((await getSession(path)).json.expiresAt).toBe(first);
  });

  it("once over, it is absent: 404", async () => {
    const path = sessionPath();
    await putSession(path, { ttlSeconds: 1 });
    await until("expired", async () => ((await getSession(path)).status === 404 ? true : undefined));
    expectProblem(await getSession(path), 404, "not-found");
    expectProblem(await call("DELETE", path), 404, "not-found");
  });
});

describe("the data", () => {
  it("are any JSON object, and come back unchanged: what is said of the fields of an entity does not hold inside", async () => {
    const path = sessionPath();
    const data = { "": "", snake_case: null, "ключ 💡": [1.5, -1, 1e21, true, [[]], {}], long: "é".repeat(5_000), deep: { a: { b: { c: [null] } } }, __proto: 1 };
    await putSession(path, { data });
    expect((await getSession(path)).json.data).toEqual(data);
  });

  it("may be empty, and large", async () => {
    const path = sessionPath();
    for (const data of [{}, { text: "x".repeat(500_000) }]) {
      await putSession(path, { data });
      expect((await getSession(path)).json.data).toEqual(data);
    }
  });

  it.each([["a list", []], ["a string", "x"], ["a number", 1], ["null", null]])("that are no object are 422: %s", async (_, data) => {
    expectInvalid(await sendSession(sessionPath(), { data }), "#/data");
  });
});

describe("what is wrong with a session is refused, and leaves the one that is there", () => {
  it.each(["0", "-1", "1.5", String(LONGEST + 1), '"60"', "null", "true"])("ttlSeconds is a whole number from 1 to 2,592,000, not %s", async (written) => {
    const raw = JSON.stringify(newSession({ ttlSeconds: 4711 })).replace("4711", written);
    expectInvalid(await call("PUT", sessionPath(), { raw }), "#/ttlSeconds");
  });

  it("a missing field, an unknown one and a customerId that is no UUID are 422, all named", async () => {
    expectInvalid(await call("PUT", sessionPath(), { body: {} }), "#/data", "#/ttlSeconds");
    expectInvalid(await sendSession(sessionPath(), { customerId: "x", user: 1, expiresAt: "x" }), "#/customerId", "#/user", "#/expiresAt");
    expectInvalid(await call("PUT", sessionPath(), { body: [] }), "#");
  });

  it("no body, malformed JSON, another content type and more than 1 MiB: 400, 415, 413", async () => {
    const path = sessionPath();
    await putSession(path, { data: { kept: true } });
    expectProblem(await call("PUT", path), 400, "malformed");
    expectProblem(await call("PUT", path, { raw: '{"data":' }), 400, "malformed");
    expectProblem(await sendSession(path, {}, { "content-type": "text/plain" }), 415, "unsupported-media-type");
    expectProblem(await call("PUT", path, { raw: " ".repeat(1024 * 1024 + 1) }), 413, "too-large");
    expect((await getSession(path)).json.data).toEqual({ kept: true });
  });
});

describe("a session's id", () => {
  it.each([
    ["128 characters", () => randomUUID().padEnd(128, "x")],
    ["every URL-safe character", () => `${randomUUID()}ABCXYZabcxyz0189-._~`],
  ])("is any string of 1 to 128 URL-safe characters: %s", async (_, id) => {
    const path = `${SESSIONS}/${id()}`;
    await putSession(path);
    expect((await getSession(path)).status).toBe(200);
  });

  it("of one character is accepted", async () => {
    expect((await sendSession(`${SESSIONS}/s`, { ttlSeconds: 1 })).status).toBe(204);
  });

  it.each(["x".repeat(129), "a%20b", "%C3%A9", "a%2Fb", "a%00", "a+b", "a%40b", "%ff", "%zz"])("another can be nobody's: %s is 404", async (id) => {
    for (const method of ["GET", "DELETE"]) expectProblem(await call(method, `${SESSIONS}/${id}`), 404, "not-found");
    expectProblem(await sendSession(`${SESSIONS}/${id}`), 404, "not-found");
  });

  it("is case-sensitive", async () => {
    const path = `${SESSIONS}/${randomUUID()}-abc`;
    await putSession(path);
    expectProblem(await getSession(path.replace("-abc", "-ABC")), 404, "not-found");
  });

  it("is a secret, and so are the data: neither is in an error, in /metrics or under /ops", async () => {
    const path = sessionPath();
    const id = path.slice(SESSIONS.length + 1);
    const data = { secret: randomUUID() };
    await putSession(path, { data });
    const answers = [
      await sendSession(path, { data, ttlSeconds: 0 }), await call("POST", path, { body: { data } }), await call("PUT", path, { raw: `{"data":"${data.secret}"` }),
      await call("DELETE", path), await getSession(path), await call("GET", "/metrics"), await call("GET", "/ops/stats"), await call("GET", "/ops/retry-queue?limit=200"),
    ];
    for (const answer of answers) expectNoTrace(answer, [id, data.secret]);
    const { text } = await call("GET", "/metrics");
    expect(text).toMatch(/"\/v1\/sessions\/(:id|\{id\})"/);
  });
});

describe("a session is no entity", () => {
  it("an Idempotency-Key is ignored on it: every PUT counts", async () => {
    const path = sessionPath();
    const headers = { "idempotency-key": randomUUID() };
    for (const n of [1, 2, 1]) {
      const answer = await sendSession(path, { data: { n } }, headers);
      expect([answer.status, answer.headers.get("idempotency-replayed")]).toEqual([204, null]);
      expect((await getSession(path)).json.data).toEqual({ n });
    }
  });

  it("no answer about it may be kept: no-store", async () => {
    const path = sessionPath();
    const answers = [await putSession(path), await getSession(path), await call("DELETE", path), await getSession(path)];
    for (const answer of answers) expect(directives(answer)).toContain("no-store");
  });

  it("nobody without a key gets at it: 401", async () => {
    const path = sessionPath();
    await putSession(path);
    for (const method of ["GET", "DELETE"]) expectProblem(await call(method, path, { key: null }), 401, "unauthenticated");
  });

  it.runIf(limitedKey !== undefined)("nor without the scope sessions: 403", async () => {
    const path = sessionPath();
    await putSession(path);
    for (const method of ["GET", "DELETE"]) expectProblem(await call(method, path, { key: limitedKey }), 403, "forbidden");
    expectProblem(await call("PUT", path, { body: newSession(), key: limitedKey }), 403, "forbidden");
  });
});
