import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectInvalid, expectProblem } from "./problem.ts";
import { adjust, create, newProduct, patch, post, read, remove } from "./products.ts";
import { expectReplay, newKey, replayed } from "./replay.ts";

describe("the same request under the same Idempotency-Key gets the first answer again", () => {
  it("a creation: one product, and status, body, ETag, Location and token as before", async () => {
    const headers = newKey();
    const body = newProduct();
    const first = await call("POST", "/v1/products", { body, headers });
    expect(first.status).toBe(201);
    expectReplay(await call("POST", "/v1/products", { body, headers }), first);
  });

  it("a change: it takes effect once, also if the entity moved on since", async () => {
    const headers = newKey();
    const { path } = await create({ stock: 10 });
    const first = await adjust(path, { delta: -3 }, headers);
    await adjust(path, { delta: 5 });
    expectReplay(await adjust(path, { delta: -3 }, headers), first);
    expect((await read(path)).json.stock).toBe(12);
  });

  it("a PATCH", async () => {
    const headers = newKey();
    const { path } = await create();
    const first = await patch(path, { name: "Torch" }, headers);
    expectReplay(await patch(path, { name: "Torch" }, headers), first);
    expect((await read(path)).json.versionId).toBe(2);
  });

  it("a DELETE: 204 again, not 410", async () => {
    const headers = newKey();
    const { path } = await create();
    const first = await call("DELETE", path, { headers });
    expect(first.status).toBe(204);
    expectReplay(await call("DELETE", path, { headers }), first);
  });

  it("a change that changed nothing: the answer of that time, not today's", async () => {
    const headers = newKey();
    const { path } = await create();
    const first = await patch(path, { name: "Lamp" }, headers);
    await patch(path, { name: "Torch" });
    expectReplay(await patch(path, { name: "Lamp" }, headers), first);
    expect((await read(path)).json.name).toBe("Torch");
  });

  it("bare and as a quoted string it is the same key", async () => {
    const key = randomUUID();
    const body = newProduct();
    const first = await call("POST", "/v1/products", { body, headers: { "idempotency-key": key } });
    expectReplay(await call("POST", "/v1/products", { body, headers: { "idempotency-key": `"${key}"` } }), first);
  });

  it("without a key nothing is remembered: the same adjustment counts twice", async () => {
    const { path } = await create({ stock: 10 });
    for (const stock of [9, 8]) {
      const answer = await adjust(path, { delta: -1 });
      expect(replayed(answer)).toBeNull();
      expect(answer.json.stock).toBe(stock);
    }
  });
});

describe("the same key at the same moment", () => {
  it("two creations: exactly one takes effect, and both get the same answer", async () => {
    const headers = newKey();
    const body = newProduct();
    const [one, other] = await Promise.all([1, 2].map(() => call("POST", "/v1/products", { body, headers })));
    expect([one!.status, other!.status]).toEqual([201, 201]);
    expect(other!.text).toBe(one!.text);
    expect(other!.headers.get("consistency-token")).toBe(one!.headers.get("consistency-token"));
    expect([replayed(one!), replayed(other!)].filter((value) => value === "true")).toHaveLength(1);
  });

  it("ten adjustments: one takes effect, nine are replayed", async () => {
    const headers = newKey();
    const { path } = await create({ stock: 10 });
    const answers = await Promise.all(Array.from({ length: 10 }, () => adjust(path, { delta: -1 }, headers)));
    for (const answer of answers) expect(answer.text).toBe(answers[0]!.text);
    expect(answers.filter((answer) => replayed(answer) === "true")).toHaveLength(9);
    expect((await read(path, { "cache-control": "no-cache" })).json).toMatchObject({ stock: 9, versionId: 2 });
  });
});

describe("another request under a used key is 422 idempotency-key-reused, and takes no effect", () => {
  it("another body, another path, another method", async () => {
    const headers = newKey();
    const { path } = await create();
    const other = await create();
    expect((await patch(path, { name: "Torch" }, headers)).status).toBe(200);
    expectProblem(await patch(path, { name: "Lantern" }, headers), 422, "idempotency-key-reused");
    expectProblem(await patch(other.path, { name: "Torch" }, headers), 422, "idempotency-key-reused");
    expectProblem(await call("DELETE", path, { headers }), 422, "idempotency-key-reused");
    expect((await read(path)).json).toMatchObject({ name: "Torch", versionId: 2 });
    expect((await read(other.path)).json.versionId).toBe(1);
  });

  it("the body is compared byte by byte: the same JSON with another space is another request", async () => {
    const headers = newKey();
    const { path } = await create();
    const change = (raw: string) => call("PATCH", path, { raw, headers });
    expect((await change('{"name":"Torch"}')).status).toBe(200);
    expectProblem(await change('{"name": "Torch"}'), 422, "idempotency-key-reused");
  });
});

describe("a refusal leaves the key free", () => {
  it("409: the same request counts once the reason is gone", async () => {
    const headers = newKey();
    const { path } = await create({ stock: 1 });
    expectProblem(await adjust(path, { delta: -2 }, headers), 409, "insufficient-stock");
    await adjust(path, { delta: 1 });
    const answer = await adjust(path, { delta: -2 }, headers);
    expect(answer.status).toBe(200);
    expect(replayed(answer)).toBeNull();
    expect(answer.json.stock).toBe(0);
  });

  it("409 sku-taken: the creation succeeds when the SKU is free again", async () => {
    const headers = newKey();
    const holder = await create();
    const body = newProduct({ sku: holder.sku });
    expectProblem(await call("POST", "/v1/products", { body, headers }), 409, "sku-taken");
    await remove(holder.path);
    expect((await call("POST", "/v1/products", { body, headers })).status).toBe(201);
  });

  it("404, 412 and 422: another request may use it", async () => {
    const headers = newKey();
    const { path } = await create();
    expectProblem(await patch(`/v1/products/${randomUUID()}`, { name: "Torch" }, headers), 404, "not-found");
    expectProblem(await patch(path, { name: "Torch" }, { ...headers, "if-match": '"none"' }), 412, "version-mismatch");
    expectInvalid(await patch(path, { name: "" }, headers), "#/name");
    expect((await patch(path, { name: "Torch" }, headers)).status).toBe(200);
  });
});

describe("the form of an Idempotency-Key", () => {
  it.each([
    ["one character", () => "!"],
    ["255 characters", () => randomUUID().padEnd(255, "~")],
    ["255 characters in quotes: the quotes do not count", () => `"${randomUUID().padEnd(255, "x")}"`],
    ["any visible ASCII", () => `${randomUUID()}!#$%&'()*+-./:<=>?@[]^_\`{|}~`],
  ])("%s is accepted", async (_, key) => {
    const { path } = await create();
    const answer = await call("DELETE", path, { headers: { "idempotency-key": key() } });
    // One character may be in use by an earlier run: then it was read, and belongs to another request.
    expect([204, 422]).toContain(answer.status);
    if (answer.status === 422) expectProblem(answer, 422, "idempotency-key-reused");
  });

  it.each([
    ["256 characters", "x".repeat(256)],
    ["256 characters in quotes", `"${"x".repeat(256)}"`],
    ["a space inside", "a b"],
    ["a space inside the quotes", '"a b"'],
    ["an empty quoted string", '""'],
    ["a quote that is not closed", '"abc'],
    ["a letter outside ASCII", "clé"],
    ["two keys", ["a", "b"]],
  ])("%s is 400", async (_, key) => {
    expectProblem(await post({}, { headers: { "idempotency-key": key } }), 400, "malformed");
  });

  it("on what changes no entity it is ignored, also a malformed one", async () => {
    const { id, path } = await create();
    for (const headers of [newKey(), { "idempotency-key": "a b" }]) {
      expect((await read(path, headers)).status).toBe(200);
      for (const _ of [1, 2]) {
        const answer = await call("DELETE", `/ops/entries/product/${id}`, { headers });
        expect([answer.status, replayed(answer)]).toEqual([204, null]);
      }
    }
  });
});
