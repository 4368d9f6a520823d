import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectInvalid, expectProblem } from "./problem.ts";
import { create, newProduct, read, remove } from "./products.ts";

const batch = (items: unknown, headers: Record<string, string> = {}) =>
  call("POST", "/v1/products/batch", { body: { items }, headers });

const many = (count: number) => Array.from({ length: count }, () => newProduct());
const statuses = (answer: { json: any }) => answer.json.results.map((result: any) => result.status);

describe("POST /v1/products/batch", () => {
  it("answers 200 with one result for each item, in order", async () => {
    const items = many(5);
    const answer = await batch(items);
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.json)).toEqual(["results"]);
    expect(answer.json.results).toEqual(items.map(() => ({ status: 201, id: expect.any(String), versionId: 1 })));
    for (const [n, { id }] of answer.json.results.entries()) {
      expect((await read(`/v1/products/${id}`)).json).toMatchObject(items[n]!);
    }
  });

  it("takes 1 item", async () => {
    expect(statuses(await batch(many(1)))).toEqual([201]);
  });

  it("takes 1,000 items", async () => {
    const answer = await batch(many(1_000));
    expect(statuses(answer)).toEqual(Array.from({ length: 1_000 }, () => 201));
    expect(new Set(answer.json.results.map((result: any) => result.id)).size).toBe(1_000);
  });

  it("a product made in a batch is like any other: its ETag, its history, its deletion", async () => {
    const { id } = (await batch(many(1))).json.results[0];
    const path = `/v1/products/${id}`;
    expect((await read(path)).headers.get("etag")).toMatch(/^"1/);
    expect((await read(`${path}/events`)).json.items).toHaveLength(1);
    await remove(path);
    expectProblem(await read(path), 410, "deleted");
  });
});

describe("each item stands for itself", () => {
  it("a taken SKU is the 409 sku-taken of its item, and the others are made", async () => {
    const { sku } = await create();
    const answer = await batch([newProduct(), newProduct({ sku }), newProduct()]);
    expect(answer.status).toBe(200);
    expect(statuses(answer)).toEqual([201, 409, 201]);
    expect(answer.json.results[1]).toEqual({
      status: 409,
      problem: expect.objectContaining({ type: "/problems/sku-taken", status: 409, title: expect.any(String), detail: expect.any(String) }),
    });
  });

  it("an invalid item is the 422 of its item, with pointers into the whole request, and the others are made", async () => {
    const answer = await batch([newProduct(), newProduct({ name: "", price: { amount: -1, currency: "EUR" }, colour: 1 }), newProduct()]);
    expect(answer.status).toBe(200);
    expect(statuses(answer)).toEqual([201, 422, 201]);
    const { problem } = answer.json.results[1];
    expect(problem).toMatchObject({ type: "/problems/invalid", status: 422 });
    expect(problem.errors.map((error: any) => error.pointer).sort())
      .toEqual(["#/items/1/colour", "#/items/1/name", "#/items/1/price/amount"]);
  });

  it("an item that is no object is the 422 of its item", async () => {
    const answer = await batch([newProduct(), "x", null, []]);
    expect(statuses(answer)).toEqual([201, 422, 422, 422]);
    expect(answer.json.results.slice(1).map((result: any) => result.problem.errors[0].pointer)).toEqual(["#/items/1", "#/items/2", "#/items/3"]);
  });

  it("a lone surrogate in an item is the 422 of its item", async () => {
    const raw = JSON.stringify({ items: [newProduct(), newProduct({ name: "VALUE" })] }).replace("VALUE", "\\ud800");
    const answer = await call("POST", "/v1/products/batch", { raw });
    expect(statuses(answer)).toEqual([201, 422]);
    expect(answer.json.results[1].problem.errors[0].pointer).toBe("#/items/1/name");
  });

  it("of two equal SKUs in one batch the first wins and the second is 409 sku-taken", async () => {
    const { sku } = newProduct();
    const answer = await batch([newProduct({ sku, name: "first" }), newProduct(), newProduct({ sku, name: "second" })]);
    expect(statuses(answer)).toEqual([201, 201, 409]);
    expect(answer.json.results[2].problem.type).toBe("/problems/sku-taken");
    expect((await read(`/v1/products/${answer.json.results[0].id}`)).json.name).toBe("first");
  });

  it("an invalid item does not take its SKU from a valid one after it", async () => {
    const { sku } = newProduct();
    expect(statuses(await batch([newProduct({ sku, name: "" }), newProduct({ sku })]))).toEqual([422, 201]);
  });

  it("a batch in which nothing succeeds is still 200", async () => {
    const answer = await batch([newProduct({ name: "" }), newProduct({ stock: -1 })]);
    expect(answer.status).toBe(200);
    expect(statuses(answer)).toEqual([422, 422]);
  });
});

describe("a batch whose own shape is wrong is 422 as a whole, and nothing is made", () => {
  it("without items", async () => {
    expectInvalid(await call("POST", "/v1/products/batch", { body: {} }), "#/items");
  });

  it("with no item", async () => {
    expectInvalid(await batch([]), "#/items");
  });

  it("with 1,001 items", async () => {
    expectInvalid(await batch(many(1_001)), "#/items");
  });

  it.each([["an object", {}], ["a string", "x"], ["null", null]])("with items that are %s", async (_, items) => {
    expectInvalid(await batch(items), "#/items");
  });

  it("with an unknown field beside the items", async () => {
    const item = newProduct();
    expectInvalid(await call("POST", "/v1/products/batch", { body: { items: [item], atomic: true } }), "#/atomic");
    expect(statuses(await batch([item])), "the SKU is still free").toEqual([201]);
  });
});

describe("the Idempotency-Key covers the whole batch", () => {
  it("the same results come again, successes and refusals, and nothing is made twice", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const { sku } = await create();
    const items = [newProduct(), newProduct({ sku }), newProduct({ name: "" })];
    const first = await batch(items, headers);
    expect(statuses(first)).toEqual([201, 409, 422]);
    const again = await batch(items, headers);
    expect(again.text).toBe(first.text);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(again.headers.get("consistency-token")).toBe(first.headers.get("consistency-token"));
  });

  it("two at the same moment make each product once", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const items = many(20);
    const [one, other] = await Promise.all([batch(items, headers), batch(items, headers)]);
    expect(statuses(one)).toEqual(items.map(() => 201));
    expect(other.text).toBe(one.text);
  });

  it("other items under the same key are 422 idempotency-key-reused", async () => {
    const headers = { "idempotency-key": randomUUID() };
    expect((await batch(many(2), headers)).status).toBe(200);
    expectProblem(await batch(many(2), headers), 422, "idempotency-key-reused");
  });

  it("a batch refused as a whole leaves the key free", async () => {
    const headers = { "idempotency-key": randomUUID() };
    expectInvalid(await batch([], headers), "#/items");
    expect((await batch(many(1), headers)).status).toBe(200);
  });
});
