import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectInvalid } from "./problem.ts";
import { create, newProduct, patch, post, read } from "./products.ts";

const LARGEST = Number.MAX_SAFE_INTEGER;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TEN_MINUTES = 600_000;

/** A JSON body in which the amount stands as written, not as JavaScript would round it. */
const withAmount = (written: string) => JSON.stringify(newProduct()).replace('"amount":1250', `"amount":${written}`);
const withStock = (written: string) => JSON.stringify(newProduct()).replace('"stock":10', `"stock":${written}`);

describe("fields", () => {
  it("answers are application/json", async () => {
    const { path } = await create();
    expect((await read(path)).headers.get("content-type")).toMatch(/^application\/json\b/);
  });

  it("a product has exactly its fields, in camelCase", async () => {
    expect(Object.keys((await post()).json).sort()).toEqual(
      ["description", "id", "name", "price", "sku", "status", "stock", "updatedAtNs", "versionId"]);
  });

  it("a field without a value is null, not missing", async () => {
    const answer = await post();
    expect(answer.json.description).toBeNull();
    expect((await read(`/v1/products/${answer.json.id}`)).json.description).toBeNull();
  });

  it("unknown fields are refused, each of them named", async () => {
    expectInvalid(await post({ colour: "red", size: 3 }), "#/colour", "#/size");
    expectInvalid(await post({ price: { amount: 1, currency: "EUR", net: true } }), "#/price/net");
  });

  it("a pointer escapes what RFC 6901 escapes", async () => {
    expectInvalid(await post({ "a/b~c": 1 }), "#/a~1b~0c");
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("%s is an unknown field like any other", async (field) => {
    const raw = JSON.stringify(newProduct()).replace("{", `{"${field}":{"stock":1},`);
    expectInvalid(await call("POST", "/v1/products", { raw }), `#/${field}`);
  });

  it.each(["id", "versionId", "updatedAtNs"])("%s is the service's to give: sent, it is an unknown field", async (field) => {
    expectInvalid(await post({ [field]: field === "id" ? randomUUID() : 1 }), `#/${field}`);
  });
});

describe("ids and times", () => {
  it("an id is a UUIDv7 made at the time of creation", async () => {
    const answer = await post();
    expect(answer.json.id).toMatch(UUID_V7);
    const made = Number.parseInt(answer.json.id.replaceAll("-", "").slice(0, 12), 16);
    expect(Math.abs(made - Date.parse(answer.headers.get("date") ?? ""))).toBeLessThan(TEN_MINUTES);
  });

  it("updatedAtNs is a decimal string of nanoseconds since 1970", async () => {
    const answer = await post();
    expect(answer.json.updatedAtNs).toMatch(/^[1-9]\d*$/);
    const milliseconds = Number(BigInt(answer.json.updatedAtNs) / 1_000_000n);
    expect(Math.abs(milliseconds - Date.parse(answer.headers.get("date") ?? ""))).toBeLessThan(TEN_MINUTES);
  });

  it("a new version has a new updatedAtNs", async () => {
    const product = await create();
    expect((await patch(product.path, { name: "Torch" })).json.updatedAtNs).not.toBe(product.updatedAtNs);
  });

  it("times are RFC 3339 in UTC", async () => {
    const { path } = await create();
    for (const { recordedAt } of (await read(`${path}/events`)).json.items) {
      expect(recordedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$/);
    }
  });
});

describe("money", () => {
  it.each([0, 1, LARGEST])("an amount of %d minor units is accepted and comes back exactly", async (amount) => {
    const { path } = await create({ price: { amount, currency: "EUR" } });
    const answer = await read(path);
    expect(answer.json.price).toEqual({ amount, currency: "EUR" });
    expect(answer.text).toContain(`:${amount}`);
  });

  it.each(["9007199254740992", "9007199254740993", "-1", "12.5", "1e400", '"1250"', "null", "true"])(
    "an amount of %s is refused",
    async (written) => expectInvalid(await call("POST", "/v1/products", { raw: withAmount(written) }), "#/price/amount"),
  );

  it.each(["EUR", "JPY", "KWD"])("the currency %s is accepted", async (currency) => {
    expect((await create({ price: { amount: 5, currency } })).price).toEqual({ amount: 5, currency });
  });

  it.each(["eur", "EU", "EURO", "", "€", "ZZZ", 978, null])("a currency that ISO 4217 does not list is refused: %j", async (currency) => {
    expectInvalid(await post({ price: { amount: 5, currency } }), "#/price/currency");
  });

  it("money is both of its fields", async () => {
    expectInvalid(await post({ price: {} }), "#/price/amount", "#/price/currency");
    expectInvalid(await post({ price: 1250 }), "#/price");
  });
});

describe("stock", () => {
  it("may be 0", async () => {
    expect((await create({ stock: 0 })).stock).toBe(0);
  });

  it.each(["-1", "1.5", "9007199254740992", '"10"', "null", "true", "[]"])("a stock of %s is refused", async (written) => {
    expectInvalid(await call("POST", "/v1/products", { raw: withStock(written) }), "#/stock");
  });
});
