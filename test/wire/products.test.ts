import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectInvalid, expectProblem } from "./problem.ts";
import { adjust, create, newProduct, patch, post, read, remove } from "./products.ts";

describe("POST /v1/products", () => {
  it("answers 201 with what was sent, active, at version 1", async () => {
    const sent = newProduct({ description: "warm" });
    const answer = await call("POST", "/v1/products", { body: sent });
    expect(answer.status).toBe(201);
    const { id, updatedAtNs } = answer.json;
    expect(answer.json).toEqual({ ...sent, status: "active", versionId: 1, id, updatedAtNs });
  });

  it.each(["sku", "name", "price", "stock"])("needs %s", async (field) => {
    expectInvalid(await post({ [field]: undefined }), `#/${field}`);
  });

  it("does not need a description", async () => {
    expect((await post()).json.description).toBeNull();
  });

  it("does not take a status: it begins active", async () => {
    expectInvalid(await post({ status: "active" }), "#/status");
  });

  it("refuses a taken SKU: 409 sku-taken", async () => {
    const { sku } = await create();
    expectProblem(await post({ sku }), 409, "sku-taken");
  });

  it("compares SKUs case-sensitively", async () => {
    const { sku } = await create();
    expect((await post({ sku: sku.toUpperCase() })).status).toBe(201);
  });

  it("compares SKUs as they are, without trimming and without normalisation", async () => {
    const sku = `é ${randomUUID()}`;
    await create({ sku });
    for (const other of [`${sku} `, ` ${sku}`, sku.normalize("NFD")]) expect((await post({ sku: other })).json.sku).toBe(other);
  });

  it("keeps the SKU of a discontinued product taken", async () => {
    const { sku, path } = await create();
    await patch(path, { status: "discontinued" });
    expectProblem(await post({ sku }), 409, "sku-taken");
  });

  it("gives the SKU of a deleted product to a new one, with an id of its own", async () => {
    const first = await create();
    await remove(first.path);
    const second = await create({ sku: first.sku });
    expect(second.id).not.toBe(first.id);
    expectProblem(await read(first.path), 410, "deleted");
    expectProblem(await post({ sku: first.sku }), 409, "sku-taken");
  });

  it("of ten with one SKU at the same moment makes exactly one", async () => {
    const { sku } = newProduct();
    const answers = await Promise.all(Array.from({ length: 10 }, () => post({ sku })));
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
  });
});

describe("GET and PATCH /v1/products/{id}", () => {
  it("every field that was changed is read back, also from the database", async () => {
    const { path } = await create();
    const changes = { name: "Torch", description: "cold", price: { amount: 0, currency: "JPY" }, status: "discontinued" };
    await patch(path, changes);
    expect((await read(path)).json).toMatchObject(changes);
    expect((await read(path, { "cache-control": "no-cache" })).json).toMatchObject(changes);
  });

  it("a discontinued product can become active again", async () => {
    const { path } = await create();
    expect((await patch(path, { status: "discontinued" })).json.status).toBe("discontinued");
    expect((await patch(path, { status: "active" })).json).toMatchObject({ status: "active", versionId: 3 });
  });

  it.each(["gone", "", "Active", 1])("a status is active or discontinued, not %j", async (status) => {
    const { path } = await create();
    expectInvalid(await patch(path, { status }), "#/status");
  });
});

describe("POST /v1/products/{id}/stock-adjustments", () => {
  it("adds the delta and answers with the product", async () => {
    const product = await create({ stock: 10 });
    const down = await adjust(product.path, { delta: -3, reason: "broken 💔" });
    expect(down.status).toBe(200);
    const { path, ...before } = product;
    expect(down.json).toEqual({ ...before, stock: 7, versionId: 2, updatedAtNs: down.json.updatedAtNs });
    expect((await adjust(path, { delta: 5 })).json).toMatchObject({ stock: 12, versionId: 3 });
  });

  it("goes down to 0 and not below: 409 insufficient-stock, and nothing changed", async () => {
    const { path } = await create({ stock: 3 });
    expectProblem(await adjust(path, { delta: -4 }), 409, "insufficient-stock");
    expect((await read(path, { "cache-control": "no-cache" })).json).toMatchObject({ stock: 3, versionId: 1 });
    expect((await adjust(path, { delta: -3 })).json.stock).toBe(0);
    expectProblem(await adjust(path, { delta: -1 }), 409, "insufficient-stock");
  });

  it.each(["0", "-0", "1.5", '"1"', "null", "true", "9007199254740992", "-9007199254740992"])("a delta of %s is 422", async (delta) => {
    const { path } = await create();
    expectInvalid(await call("POST", `${path}/stock-adjustments`, { raw: `{"delta":${delta}}` }), "#/delta");
  });

  it("needs a delta and knows no other field than the reason", async () => {
    const { path } = await create();
    expectInvalid(await adjust(path, {}), "#/delta");
    expectInvalid(await adjust(path, { delta: 1, stock: 5 }), "#/stock");
  });

  it("of fifty at the same moment loses none", async () => {
    const { path } = await create({ stock: 100 });
    const deltas = Array.from({ length: 50 }, (_, n) => (n % 2 === 0 ? 3 : -2));
    const answers = await Promise.all(deltas.map((delta) => adjust(path, { delta })));
    expect(answers.map((answer) => answer.status)).toEqual(deltas.map(() => 200));
    expect(new Set(answers.map((answer) => answer.json.versionId)).size).toBe(50);
    for (const headers of [{}, { "cache-control": "no-cache" }]) {
      expect((await read(path, headers)).json).toMatchObject({ stock: 125, versionId: 51 });
    }
  });

  it("of many at the same moment never sells more than there is", async () => {
    const { path } = await create({ stock: 5 });
    const answers = await Promise.all(Array.from({ length: 15 }, () => adjust(path, { delta: -1 })));
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(5);
    for (const answer of answers.filter(({ status }) => status !== 200)) expectProblem(answer, 409, "insufficient-stock");
    expect((await read(path)).json.stock).toBe(0);
  });
});

describe("DELETE /v1/products/{id}", () => {
  it("answers 204; afterwards every read and change of the product is 410", async () => {
    const { path } = await create();
    await remove(path);
    expectProblem(await read(path), 410, "deleted");
    expectProblem(await read(path, { "cache-control": "no-cache" }), 410, "deleted");
    expectProblem(await patch(path, { name: "Torch" }), 410, "deleted");
    expectProblem(await patch(path, {}), 410, "deleted");
    expectProblem(await adjust(path, { delta: 1 }), 410, "deleted");
    expectProblem(await call("DELETE", path), 410, "deleted");
  });

  it("of a discontinued product works too", async () => {
    const { path } = await create();
    await patch(path, { status: "discontinued" });
    await remove(path);
    expectProblem(await read(path), 410, "deleted");
  });

  it("of two at the same moment one is 204 and the other 410", async () => {
    const { path } = await create();
    const answers = await Promise.all([1, 2].map(() => call("DELETE", path)));
    expect(answers.map((answer) => answer.status).sort()).toEqual([204, 410]);
  });
});
