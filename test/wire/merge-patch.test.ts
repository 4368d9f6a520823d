import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectInvalid, expectProblem } from "./problem.ts";
import { create, patch, read } from "./products.ts";

describe("PATCH means RFC 7396", () => {
  it.each(["application/merge-patch+json", "application/json", "application/merge-patch+json; charset=utf-8", "Application/JSON"])(
    "takes %s",
    async (type) => {
      const { path } = await create();
      const answer = await patch(path, { name: "Torch" }, { "content-type": type });
      expect(answer.status, answer.text).toBe(200);
      expect(answer.json.name).toBe("Torch");
    },
  );

  it.each(["application/json-patch+json", "text/plain", "application/xml"])("another content type is 415: %s", async (type) => {
    const { path } = await create();
    expectProblem(await patch(path, { name: "Torch" }, { "content-type": type }), 415, "unsupported-media-type");
  });

  it("changes the fields that are sent and leaves the others", async () => {
    const product = await create({ description: "warm" });
    const answer = await patch(product.path, { name: "Torch" });
    const { path, ...before } = product;
    expect(answer.json).toEqual({ ...before, name: "Torch", versionId: 2, updatedAtNs: answer.json.updatedAtNs });
    expect((await read(path)).json).toEqual(answer.json);
  });

  it("every field of the list can be changed at once", async () => {
    const { path } = await create();
    const changes = { name: "Torch", description: "cold", price: { amount: 7, currency: "JPY" }, status: "discontinued" };
    expect((await patch(path, changes)).json).toMatchObject({ ...changes, versionId: 2 });
  });

  it("merges into an object: a new amount keeps the currency", async () => {
    const { path } = await create();
    expect((await patch(path, { price: { amount: 7 } })).json.price).toEqual({ amount: 7, currency: "EUR" });
    expect((await patch(path, { price: { currency: "JPY" } })).json.price).toEqual({ amount: 7, currency: "JPY" });
  });

  it("null removes an optional field", async () => {
    const { path } = await create({ description: "warm" });
    const answer = await patch(path, { description: null });
    expect(answer.json).toMatchObject({ description: null, versionId: 2 });
  });

  it.each(["name", "price", "status"])("null on the required %s is 422", async (field) => {
    const { path } = await create();
    expectInvalid(await patch(path, { [field]: null }), `#/${field}`);
  });

  it("null on a required field inside an object is 422 and names it", async () => {
    const { path } = await create();
    expectInvalid(await patch(path, { price: { currency: null } }), "#/price/currency");
  });

  it.each([["an array", []], ["a string", "x"], ["a number", 1], ["null", null]])(
    "a patch that is no object would replace the whole, and is 422: %s",
    async (_, body) => {
      const { path } = await create();
      expectInvalid(await patch(path, body), "#");
    },
  );

  it.each([["sku", "other"], ["stock", 5], ["id", "x"], ["versionId", 1], ["updatedAtNs", "1"], ["colour", "red"]])(
    "%s is not among the fields that PATCH changes: 422",
    async (field, value) => {
      const { path } = await create();
      expectInvalid(await patch(path, { [field]: value }), `#/${field}`);
    },
  );

  it("an invalid patch changes nothing, also what was valid in it", async () => {
    const { path } = await create();
    const before = await read(path);
    expectInvalid(await patch(path, { name: "Torch", status: "lost", price: { amount: -1 } }), "#/status", "#/price/amount");
    expect((await read(path, { "cache-control": "no-cache" })).text).toBe(before.text);
  });

  it("POST takes application/json, with parameters, and not the type of a patch", async () => {
    const { path } = await create();
    const adjust = (type: string) =>
      call("POST", `${path}/stock-adjustments`, { body: { delta: 1 }, headers: { "content-type": type } });
    expect((await adjust("application/json; charset=utf-8")).status).toBe(200);
    expectProblem(await adjust("application/merge-patch+json"), 415, "unsupported-media-type");
  });
});
