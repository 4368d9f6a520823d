import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { directives, expectInvalid, expectProblem, PROBLEMS } from "./problem.ts";
import { adjust, create, newProduct, patch, post, read, remove } from "./products.ts";

describe("every problem has a page that explains it, without a key", () => {
  it.each(PROBLEMS)("/problems/%s", async (name) => {
    const answer = await call("GET", `/problems/${name}`, { key: null });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^text\//);
    expect(directives(answer)).toContain("private");
    expect(answer.text).toContain(name);
  });

  it("a problem that does not exist has none, and that too is said without a key", async () => {
    expectProblem(await call("GET", "/problems/no-such-problem", { key: null }), 404, "not-found");
  });
});

describe("an error is a problem of RFC 9457 with type, title, status, detail and instance", () => {
  it("whatever it is about", async () => {
    const { path } = await create({ stock: 1 });
    const gone = await create();
    await remove(gone.path);
    expectProblem(await read(path, { authorization: undefined }), 401, "unauthenticated");
    expectProblem(await read("/v1/nothing"), 404, "not-found");
    expectProblem(await call("PUT", path), 405, "method-not-allowed");
    expectProblem(await post({}, { headers: { "content-type": "text/plain" } }), 415, "unsupported-media-type");
    expectProblem(await call("POST", "/v1/products", { raw: "{" }), 400, "malformed");
    expectProblem(await read(`/v1/products/${randomUUID()}`), 404, "not-found");
    expectProblem(await read(gone.path), 410, "deleted");
    expectProblem(await patch(path, { name: "x" }, { "if-match": '"none"' }), 412, "version-mismatch");
    expectProblem(await adjust(path, { delta: -2 }), 409, "insufficient-stock");
  });

  it("all errors are listed at once, each with its place and what is wrong there", async () => {
    const body = { sku: "", price: { amount: -1, currency: "eur", net: 1 }, stock: 1.5, description: 7, colour: "red" };
    expectInvalid(
      await call("POST", "/v1/products", { body }),
      "#/sku", "#/name", "#/price/amount", "#/price/currency", "#/price/net", "#/stock", "#/description", "#/colour",
    );
  });

  it("a missing field is named by the place where it should stand", async () => {
    expectInvalid(await call("POST", "/v1/products", { body: {} }), "#/sku", "#/name", "#/price", "#/stock");
  });

  it.each([["an array", []], ["a string", "x"], ["a number", 3], ["null", null]])("a body that is no object is invalid as a whole: %s", async (_, body) => {
    expectInvalid(await call("POST", "/v1/products", { body }), "#");
  });
});

describe("404 and 405", () => {
  it.each(["/v1", "/v1/nothing", "/v2/products", "/v1/products/x/y/z", "/ops/nothing"])("an unknown path is 404: %s", async (path) => {
    expectProblem(await read(path), 404, "not-found");
  });

  it.each([
    ["PUT", "", ["GET", "HEAD", "POST"]],
    ["DELETE", "", ["GET", "HEAD", "POST"]],
    ["PUT", "/{id}", ["DELETE", "GET", "HEAD", "PATCH"]],
    ["POST", "/{id}", ["DELETE", "GET", "HEAD", "PATCH"]],
    ["GET", "/{id}/stock-adjustments", ["POST"]],
    ["POST", "/{id}/events", ["GET", "HEAD"]],
  ])("%s /v1/products%s is 405, and Allow names exactly what is allowed, HEAD where GET is", async (method, suffix, allowed) => {
    const { id } = await create();
    const answer = await call(method, `/v1/products${suffix.replace("{id}", id)}`);
    expectProblem(answer, 405, "method-not-allowed");
    const allow = (answer.headers.get("allow") ?? "").split(",").map((name) => name.trim());
    expect(allow.filter((name) => name !== "OPTIONS").sort()).toEqual(allowed);
  });

  it.each(["/v1/products/batch", "/v1/customers/lookup"])("%s is no entity, though it looks like the path of one: 405 for what it does not take", async (path) => {
    for (const method of ["GET", "PATCH", "DELETE", "PUT"]) {
      const answer = await call(method, path);
      expectProblem(answer, 405, "method-not-allowed");
      expect(answer.headers.get("allow")).toBe("POST");
    }
  });

  it.each(["no-uuid", "1", "00000000-0000-0000-0000-00000000000g", "%ff", "%00", "%27%20OR%201=1", "x".repeat(500)])(
    "an id that is no UUID is 404: %s",
    async (id) => {
      expectProblem(await read(`/v1/products/${id}`), 404, "not-found");
      expectProblem(await patch(`/v1/products/${id}`, { name: "x" }), 404, "not-found");
      expectProblem(await adjust(`/v1/products/${id}`, { delta: 1 }), 404, "not-found");
      expectProblem(await call("DELETE", `/v1/products/${id}`), 404, "not-found");
    },
  );

  it("a UUID that nobody has is 404 for every read and change", async () => {
    const path = `/v1/products/${randomUUID()}`;
    for (const asked of [path, `${path}?version=1`, `${path}/events`]) expectProblem(await read(asked), 404, "not-found");
    expectProblem(await patch(path, { name: "x" }), 404, "not-found");
    expectProblem(await adjust(path, { delta: 1 }), 404, "not-found");
    expectProblem(await call("DELETE", path), 404, "not-found");
  });
});

describe("X-Request-Id", () => {
  it.each(["a", "A-z0.9_", "x".repeat(128), randomUUID()])("one of 1 to 128 of A-Za-z0-9._- is echoed: %s", async (id) => {
    expect((await read("/healthz", { "x-request-id": id })).headers.get("x-request-id")).toBe(id);
    const refused = await read("/v1/nothing", { "x-request-id": id });
    expect(refused.headers.get("x-request-id")).toBe(id);
    expect(refused.json.instance).toBe(`/requests/${id}`);
  });

  it.each(["x".repeat(129), "a b", "a,b", "a/b", "é", '"a"', "<b>"])("another one is replaced by a new one: %s", async (id) => {
    const answer = await read("/v1/nothing", { "x-request-id": id });
    expect(answer.headers.get("x-request-id")).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
    expectProblem(answer, 404, "not-found");
  });

  it("every answer has one of its own", async () => {
    const { path } = await create();
    const answers = [
      await read(path), await read(path), await post(), await patch(path, { name: "x" }), await remove(path),
      await read("/ops/stats"), await read("/healthz"), await read(path, { authorization: undefined }),
    ];
    const ids = answers.map((answer) => answer.headers.get("x-request-id"));
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe("traceparent", () => {
  it.each(["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense", "00-00000000000000000000000000000000-0000000000000000-00"])(
    "neither a good nor a broken one disturbs the answer: %s",
    async (traceparent) => {
      expect((await post(newProduct(), { headers: { traceparent } })).status).toBe(201);
    },
  );
});
