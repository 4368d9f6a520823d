import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call, wire } from "./client.ts";
import { expectBadQuery, expectInvalid, expectProblem } from "./problem.ts";
import { adjust, create, newProduct, patch, post, read, remove } from "./products.ts";

const { limitedKey } = wire();
const TOO_LARGE = " ".repeat(1024 * 1024 + 1);
const TEXT = { "content-type": "text/plain" };
const BAD_HEADER = { "idempotency-key": "x".repeat(256) };

describe("401 comes before everything else", () => {
  it.each([
    ["an unknown path", "GET", "/v1/nothing", {}],
    ["a method that is not allowed", "PUT", "/v1/products", {}],
    ["a body that is too large", "POST", "/v1/products", { raw: TOO_LARGE }],
    ["another content type", "POST", "/v1/products", { raw: "x", headers: TEXT }],
    ["malformed JSON", "POST", "/v1/products", { raw: "{" }],
    ["an invalid body", "POST", "/v1/products", { body: {} }],
    ["a bad query", "GET", "/v1/products?limit=0", {}],
    ["an id that is no UUID", "GET", "/v1/products/x", {}],
  ])("before %s", async (_, method, path, options) => {
    const answer = await call(method, path, { ...options, key: null });
    expectProblem(answer, 401, "unauthenticated");
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
  });
});

describe.runIf(limitedKey !== undefined)("403 comes before what is wrong with the request", () => {
  it.each([
    ["a body that is too large", "POST", "/v1/products", { raw: TOO_LARGE }],
    ["another content type", "POST", "/v1/products", { raw: "x", headers: TEXT }],
    ["malformed JSON", "POST", "/v1/products", { raw: "{" }],
    ["an invalid body", "POST", "/v1/products", { body: {} }],
    ["a malformed Idempotency-Key", "POST", "/v1/products", { body: newProduct(), headers: BAD_HEADER }],
    ["an entity that does not exist", "DELETE", "/v1/products/x", {}],
    ["a bad query", "GET", "/ops/retry-queue?limit=0", {}],
  ])("before %s", async (_, method, path, options) => {
    expectProblem(await call(method, path, { ...options, key: limitedKey }), 403, "forbidden");
  });

  it("an unknown path needs no scope: 404", async () => {
    expectProblem(await call("GET", "/v1/nothing", { key: limitedKey }), 404, "not-found");
  });
});

describe("404 of an unknown path and 405 come before the body is looked at", () => {
  it.each([
    ["too large", { raw: TOO_LARGE }],
    ["of another content type", { raw: "x", headers: TEXT }],
    ["malformed", { raw: "{" }],
  ])("if it is %s", async (_, options) => {
    const { path } = await create();
    expectProblem(await call("POST", "/v1/nothing", options), 404, "not-found");
    expectProblem(await call("PUT", path, options), 405, "method-not-allowed");
  });

  it("405 comes before 404 of an entity and before a bad query", async () => {
    expectProblem(await call("PUT", `/v1/products/${randomUUID()}`), 405, "method-not-allowed");
    expectProblem(await call("DELETE", "/v1/products?limit=0"), 405, "method-not-allowed");
  });
});

describe("413, 415, 400, 422, in this order", () => {
  it("413 comes before 415 and before 400", async () => {
    expectProblem(await call("POST", "/v1/products", { raw: TOO_LARGE, headers: TEXT }), 413, "too-large");
    expectProblem(await call("POST", "/v1/products", { raw: TOO_LARGE, headers: BAD_HEADER }), 413, "too-large");
  });

  it("415 comes before malformed JSON and before a malformed header", async () => {
    expectProblem(await call("POST", "/v1/products", { raw: "{", headers: TEXT }), 415, "unsupported-media-type");
    expectProblem(await post({}, { headers: { ...TEXT, ...BAD_HEADER } }), 415, "unsupported-media-type");
  });

  it("a malformed header is 400 before an invalid body is 422", async () => {
    const { path } = await create();
    expectProblem(await post({ name: "" }, { headers: BAD_HEADER }), 400, "malformed");
    expectProblem(await patch(path, { name: "" }, { "if-match": "1" }), 400, "malformed");
  });

  it("400 comes before 404 and 410 of an entity", async () => {
    const { path } = await create();
    await remove(path);
    expectProblem(await call("PATCH", "/v1/products/x", { raw: "{" }), 400, "malformed");
    expectBadQuery(await read("/v1/products/x?version=x"), "version");
    expectBadQuery(await read(`${path}?version=0`), "version");
  });

  it("422 comes before 404, 410 and 412", async () => {
    const { path } = await create();
    expectInvalid(await patch(path, { name: "" }, { "if-match": '"none"' }), "#/name");
    await remove(path);
    expectInvalid(await patch(path, { name: "" }), "#/name");
    expectInvalid(await adjust("/v1/products/x", { delta: 0 }), "#/delta");
  });
});

describe("the Idempotency-Key comes after 422 and before the entity", () => {
  it("an invalid body under a used key is invalid, not reused", async () => {
    const key = { "idempotency-key": randomUUID() };
    const { path } = await create();
    expect((await patch(path, { name: "Torch" }, key)).status).toBe(200);
    expectInvalid(await patch(path, { name: "" }, key), "#/name");
  });

  it("the first answer comes again after the entity is deleted", async () => {
    const key = { "idempotency-key": randomUUID() };
    const { path } = await create();
    const first = await patch(path, { name: "Torch" }, key);
    await remove(path);
    const again = await patch(path, { name: "Torch" }, key);
    expect(again.status).toBe(200);
    expect(again.text).toBe(first.text);
  });

  it("the first answer comes again although its If-Match no longer matches", async () => {
    const key = { "idempotency-key": randomUUID() };
    const { path } = await create();
    const etag = (await read(path)).headers.get("etag") ?? "";
    const first = await patch(path, { name: "Torch" }, { ...key, "if-match": etag });
    const again = await patch(path, { name: "Torch" }, { ...key, "if-match": etag });
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.text).toBe(first.text);
  });

  it("a reused key is 422 before 404 and 410 of the entity and before 412", async () => {
    const key = { "idempotency-key": randomUUID() };
    expect((await post({}, { headers: key })).status).toBe(201);
    const { path } = await create();
    const change = { name: "Torch" };
    expectProblem(await patch(path, change, { ...key, "if-match": '"none"' }), 422, "idempotency-key-reused");
    await remove(path);
    expectProblem(await patch(path, change, key), 422, "idempotency-key-reused");
    expectProblem(await patch("/v1/products/x", change, key), 422, "idempotency-key-reused");
  });
});

describe("404, 410, 412, 409, in this order", () => {
  it("404 of an entity comes before 412", async () => {
    for (const tag of ['"1"', "*"]) {
      expectProblem(await patch(`/v1/products/${randomUUID()}`, { name: "x" }, { "if-match": tag }), 404, "not-found");
    }
  });

  it("410 comes before 412", async () => {
    const { path } = await create();
    await remove(path);
    for (const tag of ['"none"', "*"]) expectProblem(await patch(path, { name: "x" }, { "if-match": tag }), 410, "deleted");
  });

  it("412 comes before 409", async () => {
    const { path } = await create({ stock: 1 });
    expectProblem(await adjust(path, { delta: -2 }, { "if-match": '"none"' }), 412, "version-mismatch");
  });
});
