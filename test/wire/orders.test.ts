import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call, wire } from "./client.ts";
import { createCustomer, erase } from "./customers.ts";
import { eventsOf } from "./entries.ts";
import { fullAddress, lineOf, newAddress, newOrder, order, ORDER_FIELDS, ORDERS, place, send, stockOf } from "./orders.ts";
import { expectInvalid, expectProblem } from "./problem.ts";
import { create, patch, read, remove } from "./products.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const writer = wire().scopedKeys["orders:write"];
const eur = (amount: number) => ({ amount, currency: "EUR" });

describe("POST /v1/orders", () => {
  it("answers 201 with the order, placed, at version 1, and with exactly its fields", async () => {
    const customer = await createCustomer();
    const lamp = await create({ price: eur(1250) });
    const bulb = await create({ price: eur(99) });
    const answer = await order({ customerId: customer.id, lines: [lineOf(lamp, 2), lineOf(bulb, 3)], shippingAddress: fullAddress() });
    expect(answer.status, answer.text).toBe(201);
    expect(Object.keys(answer.json).sort()).toEqual(ORDER_FIELDS);
    expect(answer.json).toMatchObject({
      id: expect.stringMatching(UUID_V7), versionId: 1, customerId: customer.id, status: "placed", total: eur(2797), payment: null, shipment: null,
    });
    expect(answer.json.lines).toEqual([
      { productId: lamp.id, sku: lamp.sku, quantity: 2, unitPrice: eur(1250) },
      { productId: bulb.id, sku: bulb.sku, quantity: 3, unitPrice: eur(99) },
    ]);
  });

  it("answers with the bytes and the ETag of the following GET, and a Location that leads to it", async () => {
    const placed = await order();
    const location = new URL(placed.headers.get("location") ?? "", new URL(ORDERS, wire().url));
    expect(location.pathname).toBe(`${ORDERS}/${placed.json.id}`);
    const got = await read(location.pathname);
    expect(got.text).toBe(placed.text);
    expect(got.headers.get("etag")).toBe(placed.headers.get("etag"));
  });

  it("keeps the lines in the order in which they were sent, also repeated ones, each for itself", async () => {
    const [lamp, bulb] = [await create(), await create()];
    const lines = [lineOf(bulb, 1), lineOf(lamp, 2), lineOf(bulb, 3), lineOf(bulb, 1)];
    const placed = await place({ lines });
    expect(placed.lines.map(({ productId, quantity }: any) => ({ productId, quantity }))).toEqual(lines);
  });

  it("takes the price that the product has at that moment, and keeps it when the product's changes", async () => {
    const lamp = await create({ price: eur(1000) });
    const before = await place({ lines: [lineOf(lamp, 2)] });
    await patch(lamp.path, { price: eur(1500) });
    expect((await place({ lines: [lineOf(lamp, 2)] })).total).toEqual(eur(3000));
    expect((await read(before.path, { "cache-control": "no-cache" })).json).toMatchObject({ versionId: 1, total: eur(2000) });
  });

  it("of products without a price to pay has a total of 0", async () => {
    expect((await place({ lines: [lineOf(await create({ price: { amount: 0, currency: "JPY" } }))] })).total).toEqual({ amount: 0, currency: "JPY" });
  });

  it("has a total of up to 2^53-1, to the last unit; above it is 422, named at the lines", async () => {
    const lamp = await create({ price: eur(Number.MAX_SAFE_INTEGER) });
    const bulb = await create({ price: eur(1) });
    expect((await place({ lines: [lineOf(lamp)] })).total).toEqual(eur(Number.MAX_SAFE_INTEGER));
    const answer = await order({ lines: [lineOf(lamp), lineOf(bulb)] });
    expectProblem(answer, 422, "invalid");
    for (const { pointer } of answer.json.errors) expect(pointer).toMatch(/^#\/lines/);
  });

  it("if-match on it is ignored: there is nothing yet to match", async () => {
    expect((await order({}, { "if-match": '"7"' })).status).toBe(201);
  });
});

describe("the limits of an order", () => {
  it("takes 1,000 lines and gives all of them back", async () => {
    const lamp = await create({ stock: 1_000, price: eur(3) });
    const answer = await order({ lines: Array.from({ length: 1_000 }, () => lineOf(lamp)) });
    expect(answer.status, answer.text).toBe(201);
    expect(answer.json.lines).toHaveLength(1_000);
    expect(answer.json.total).toEqual(eur(3_000));
    for (const headers of [{}, {}, { "cache-control": "no-cache" }]) {
      expect((await read(`${ORDERS}/${answer.json.id}`, headers)).text).toBe(answer.text);
    }
    expect(await stockOf(lamp)).toBe(0);
  });

  it("refuses 1,001 lines and none at all: 422, and no stock is reserved", async () => {
    const lamp = await create({ stock: 2_000 });
    expectInvalid(await order({ lines: Array.from({ length: 1_001 }, () => lineOf(lamp)) }), "#/lines");
    expectInvalid(await order({ lines: [] }), "#/lines");
    expect(await stockOf(lamp)).toBe(2_000);
  });

  it("takes a quantity of 1 and of 1,000,000", async () => {
    const lamp = await create({ stock: 1_000_001 });
    expect((await place({ lines: [lineOf(lamp, 1), lineOf(lamp, 1_000_000)] })).lines[1].quantity).toBe(1_000_000);
  });

  it.each(["0", "-1", "1.5", "1000001", '"1"', "null", "true"])("refuses a quantity of %s", async (written) => {
    const body = await newOrder({ lines: [lineOf(await create({ stock: 2_000_000 }), 4711)] });
    expectInvalid(await call("POST", ORDERS, { raw: JSON.stringify(body).replace("4711", written) }), "#/lines/0/quantity");
  });

  it("refuses two currencies in one order, named below #/lines, and reserves nothing", async () => {
    const [lamp, lampe] = [await create({ price: eur(1) }), await create({ price: { amount: 1, currency: "USD" } })];
    const answer = await order({ lines: [lineOf(lamp), lineOf(lampe)] });
    expectProblem(answer, 422, "invalid");
    expect(answer.json.errors.length).toBeGreaterThan(0);
    for (const { pointer } of answer.json.errors) expect(pointer).toMatch(/^#\/lines/);
    expect([await stockOf(lamp), await stockOf(lampe)]).toEqual([10, 10]);
  });
});

describe("what is wrong with an order is 422 and named, all of it", () => {
  it("a missing field by the place where it should stand", async () => {
    expectInvalid(await send({}), "#/customerId", "#/lines", "#/shippingAddress");
    expectInvalid(await order({ lines: [{}], shippingAddress: {} }),
      "#/lines/0/productId", "#/lines/0/quantity", ...["name", "line1", "city", "country"].map((field) => `#/shippingAddress/${field}`));
  });

  it("unknown fields, everywhere in it, and those that the service gives", async () => {
    const lamp = await create();
    expectInvalid(
      await order({ lines: [lineOf(lamp, 1, { sku: lamp.sku })], shippingAddress: newAddress({ street: "x" }), status: "paid", total: eur(1) }),
      "#/lines/0/sku", "#/shippingAddress/street", "#/status", "#/total");
  });

  it("strings of the address that are empty or too long: line1 has up to 2,000 characters, the others 200", async () => {
    const fields = ["name", "line2", "city", "region", "postcode", "country"];
    const all = (value: string) => Object.fromEntries(fields.map((field) => [field, value]));
    expect((await order({ shippingAddress: newAddress({ ...all("é".repeat(200)), line1: "💡".repeat(2_000) }) })).status).toBe(201);
    const places = [...fields, "line1"].map((field) => `#/shippingAddress/${field}`);
    expectInvalid(await order({ shippingAddress: newAddress({ ...all("x".repeat(201)), line1: "x".repeat(2_001) }) }), ...places);
    expectInvalid(await order({ shippingAddress: newAddress({ ...all(""), line1: "" }) }), ...places);
  });

  it.each([["customerId", "#/customerId"], ["productId", "#/lines/0/productId"]])("a %s that is no UUID", async (field, pointer) => {
    for (const id of ["x", "", 7, null]) {
      const body = await newOrder();
      expectInvalid(await send(field === "customerId" ? { ...body, customerId: id } : { ...body, lines: [{ productId: id, quantity: 1 }] }), pointer);
    }
  });

  it("an unknown customer and unknown products, by their places, all at once, and nothing is reserved", async () => {
    const lamp = await create();
    const nobody = { id: randomUUID() };
    expectInvalid(await order({ customerId: randomUUID() }), "#/customerId");
    expectInvalid(await order({ lines: [lineOf(lamp), lineOf(nobody)] }), "#/lines/1/productId");
    expectInvalid(await order({ customerId: randomUUID(), lines: [lineOf(nobody), lineOf(lamp), lineOf({ id: randomUUID() })] }),
      "#/customerId", "#/lines/0/productId", "#/lines/2/productId");
    expect(await stockOf(lamp)).toBe(10);
  });

  it("the id of another kind is unknown too", async () => {
    const [lamp, customer] = [await create(), await createCustomer()];
    expectInvalid(await order({ customerId: lamp.id, lines: [lineOf(customer)] }), "#/customerId", "#/lines/0/productId");
  });

  it("an unknown product comes before one that is not available: 422 before 409", async () => {
    const gone = await create();
    await remove(gone.path);
    expectInvalid(await order({ lines: [lineOf(gone), lineOf({ id: randomUUID() })] }), "#/lines/1/productId");
  });
});

describe("what cannot be ordered is 409", () => {
  it("a discontinued product: product-not-available, until it is active again", async () => {
    const lamp = await create();
    await patch(lamp.path, { status: "discontinued" });
    expectProblem(await order({ lines: [lineOf(lamp)] }), 409, "product-not-available");
    await patch(lamp.path, { status: "active" });
    expect((await order({ lines: [lineOf(lamp)] })).status).toBe(201);
  });

  it("a deleted product: product-not-available, and nothing of the other lines is reserved", async () => {
    const [lamp, gone] = [await create(), await create()];
    await remove(gone.path);
    expectProblem(await order({ lines: [lineOf(lamp), lineOf(gone)] }), 409, "product-not-available");
    expect(await stockOf(lamp)).toBe(10);
    expect(await eventsOf(lamp.path)).toHaveLength(1);
  });

  it("for an erased customer: customer-erased, and nothing is reserved", async () => {
    const [lamp, customer] = [await create(), await createCustomer()];
    await erase(customer.path);
    expectProblem(await order({ customerId: customer.id, lines: [lineOf(lamp)] }), 409, "customer-erased");
    expect(await stockOf(lamp)).toBe(10);
  });

  it("more than there is: insufficient-stock", async () => {
    expectProblem(await order({ lines: [lineOf(await create({ stock: 3 }), 4)] }), 409, "insufficient-stock");
  });
});

describe("unitPrice", () => {
  it("sent with the product's own price changes nothing", async () => {
    const lamp = await create({ price: eur(1250) });
    expect((await place({ lines: [lineOf(lamp, 2, { unitPrice: eur(1250) })] })).total).toEqual(eur(2500));
  });

  it("by a key with orders:import sets the price of its line, and of no other, and not the product's", async () => {
    const lamp = await create({ price: eur(1250) });
    const placed = await place({ lines: [lineOf(lamp, 2, { unitPrice: eur(1000) }), lineOf(lamp)] });
    expect(placed.lines.map((line: any) => line.unitPrice)).toEqual([eur(1000), eur(1250)]);
    expect(placed.total).toEqual(eur(3250));
    expect((await read(lamp.path)).json.price).toEqual(eur(1250));
  });

  it("is money: a broken one is 422, named inside", async () => {
    const lamp = await create();
    expectInvalid(await order({ lines: [lineOf(lamp, 1, { unitPrice: { amount: -1, currency: "eur" } })] }),
      "#/lines/0/unitPrice/amount", "#/lines/0/unitPrice/currency");
    expectInvalid(await order({ lines: [lineOf(lamp, 1, { unitPrice: 1250 })] }), "#/lines/0/unitPrice");
  });

  it.runIf(writer !== undefined)("by a key without orders:import must be the product's price: 409 price-changed, and nothing is reserved", async () => {
    const lamp = await create({ price: eur(1250) });
    for (const unitPrice of [eur(1249), { amount: 1250, currency: "USD" }]) {
      const body = await newOrder({ lines: [lineOf(lamp, 1, { unitPrice })] });
      expectProblem(await call("POST", ORDERS, { body, key: writer }), 409, "price-changed");
    }
    const body = await newOrder({ lines: [lineOf(lamp, 1, { unitPrice: eur(1250) })] });
    expect((await call("POST", ORDERS, { body, key: writer })).status).toBe(201);
    expect(await stockOf(lamp)).toBe(9);
  });
});
