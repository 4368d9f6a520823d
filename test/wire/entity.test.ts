import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call, wire } from "./client.ts";
import { adjust, create, evict, patch, post, read, remove } from "./products.ts";
import { rawExchange } from "./rawExchange.ts";

describe("a change answers with the entity as GET gives it", () => {
  it("a creation answers 201 with the bytes and the ETag of the following GET", async () => {
    const created = await post();
    expect(created.status).toBe(201);
    const got = await read(`/v1/products/${created.json.id}`);
    expect(got.status).toBe(200);
    expect(got.text).toBe(created.text);
    expect(got.headers.get("etag")).toBe(created.headers.get("etag"));
  });

  it("the Location of a creation leads to the entity", async () => {
    const created = await post();
    const location = new URL(created.headers.get("location") ?? "", new URL("/v1/products", wire().url));
    expect(location.pathname).toBe(`/v1/products/${created.json.id}`);
    expect((await read(location.pathname)).text).toBe(created.text);
  });

  it("a change and a sub-resource answer 200 with the bytes of the following GET, without Location", async () => {
    const { path } = await create();
    for (const change of [() => patch(path, { name: "Torch" }), () => adjust(path, { delta: 2 })]) {
      const changed = await change();
      expect(changed.status).toBe(200);
      expect(changed.headers.has("location")).toBe(false);
      expect((await read(path)).text).toBe(changed.text);
    }
  });

  it("a deletion answers 204 without a body", async () => {
    const { path } = await create();
    const answer = await remove(path);
    expect(answer.text).toBe("");
    expect(answer.headers.has("content-type")).toBe(false);
  });
});

describe("versions", () => {
  it("a new entity is version 1 and every change adds one", async () => {
    const product = await create();
    expect(product.versionId).toBe(1);
    expect((await patch(product.path, { name: "Torch" })).json.versionId).toBe(2);
    expect((await adjust(product.path, { delta: -1 })).json.versionId).toBe(3);
  });

  it.each([
    ["an empty patch", {}],
    ["the name it has", { name: "Lamp" }],
    ["null for an optional field that has no value", { description: null }],
    ["all the fields as they are", { name: "Lamp", price: { amount: 1250, currency: "EUR" }, status: "active" }],
  ])("a change that changes nothing answers 200 and makes no version: %s", async (_, body) => {
    const created = await post();
    const path = `/v1/products/${created.json.id}`;
    const answer = await patch(path, body);
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(created.text);
    expect(answer.headers.get("etag")).toBe(created.headers.get("etag"));
    expect((await read(path, { "cache-control": "no-cache" })).text).toBe(created.text);
    expect((await read(`${path}/events`)).json.items).toHaveLength(1);
  });

  it("the ETag is strong and begins with the version; more may be appended", async () => {
    const { path } = await create();
    expect((await read(path)).headers.get("etag")).toMatch(/^"1([^\d"][^"]*)?"$/);
    expect((await patch(path, { name: "Torch" })).headers.get("etag")).toMatch(/^"2([^\d"][^"]*)?"$/);
  });

  it("the bytes and the ETag of a version are the same on a hit, on a miss and from the database", async () => {
    const { id, path } = await create({ name: "Lampe 💡", description: "é \u2028 </script>", price: { amount: 2 ** 53 - 1, currency: "JPY" } });
    const hit = await read(path);
    await evict(id);
    const others = [
      await read(path),
      await read(path, { "cache-control": "no-cache" }),
      await read(path, { "cache-control": "max-age=0" }),
      await read(path),
    ];
    for (const other of others) {
      expect(other.text).toBe(hit.text);
      expect(other.headers.get("etag")).toBe(hit.headers.get("etag"));
      expect(other.headers.get("content-type")).toBe(hit.headers.get("content-type"));
    }
  });

  it("an unknown query parameter changes nothing", async () => {
    const { path } = await create();
    expect((await read(`${path}?colour=red`)).text).toBe((await read(path)).text);
  });
});

describe("answers have no content coding", () => {
  it("also when the client would take one", async () => {
    const { path } = await create({ description: "x".repeat(2_000) });
    for (const asked of [path, "/v1/products?limit=200", "/v1/nothing"]) {
      const answer = await read(asked, { "accept-encoding": "gzip, br, zstd, deflate" });
      expect(answer.headers.has("content-encoding")).toBe(false);
    }
  });
});

describe("HEAD works like GET", () => {
  const COMPARED = ["content-type", "etag", "cache-control", "cache-status", "allow", "www-authenticate"];

  it("with the same status and headers, for what is there, what never was and what is deleted", async () => {
    const { path } = await create();
    const deleted = await create();
    await remove(deleted.path);
    const absent = `/v1/products/${randomUUID()}`;
    await read(absent);
    for (const asked of [path, `${path}?version=1`, `${path}/events`, absent, deleted.path, "/v1/nothing", "/healthz"]) {
      const get = await read(asked);
      const head = await call("HEAD", asked);
      expect(head.status, asked).toBe(get.status);
      for (const name of COMPARED) expect(head.headers.get(name), `${name} of ${asked}`).toBe(get.headers.get(name));
    }
    expect((await call("HEAD", path)).headers.has("consistency-token")).toBe(true);
  });

  it("names the length that GET would have, if any, and sends no byte of a body", async () => {
    const { path } = await create();
    const { text } = await read(path);
    for (const asked of [path, "/v1/products?limit=1", "/v1/nothing"]) {
      const { head, body } = await rawExchange("HEAD", asked);
      expect(head).toMatch(/^HTTP\/1\.1 (200|404) /);
      expect(body).toBe("");
    }
    const length = (await call("HEAD", path)).headers.get("content-length");
    expect([null, String(Buffer.byteLength(text))]).toContain(length);
  });

  it("If-None-Match on HEAD is 304", async () => {
    const { path } = await create();
    const etag = (await read(path)).headers.get("etag") ?? "";
    expect((await call("HEAD", path, { headers: { "if-none-match": etag } })).status).toBe(304);
  });
});
