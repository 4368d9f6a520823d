import { describe, expect, it } from "vitest";
import { listen } from "./changeStream.ts";
import { createCustomer } from "./customers.ts";
import { eventsOf, evictEntry, statuses, token, versionsOf, withToken } from "./entries.ts";
import { countOf, lineOf, newAddress, newOrder, order, ORDERS, place, placeUntil, send, stockOf, take } from "./orders.ts";
import { expectProblem } from "./problem.ts";
import { adjust, create, patch, read, remove } from "./products.ts";
import { expectReplay, newKey } from "./replay.ts";

const many = <A>(count: number, make: (n: number) => Promise<A>): Promise<Array<A>> => Promise.all(Array.from({ length: count }, (_, n) => make(n)));

describe("an order reserves stock", () => {
  it("of each of its products, in the same moment: the product is a version further and has that much less", async () => {
    const [lamp, bulb] = [await create({ stock: 10 }), await create({ stock: 20 })];
    await place({ lines: [lineOf(lamp, 3), lineOf(bulb, 20)] });
    expect((await read(lamp.path)).json).toMatchObject({ stock: 7, versionId: 2 });
    expect((await read(bulb.path)).json).toMatchObject({ stock: 0, versionId: 2 });
  });

  it("of a product in several lines the sum, in one version and one event", async () => {
    const lamp = await create({ stock: 10 });
    await place({ lines: [lineOf(lamp, 3), lineOf(lamp, 3), lineOf(lamp, 4)] });
    expect((await read(lamp.path)).json).toMatchObject({ stock: 0, versionId: 2 });
    expect(await versionsOf(lamp.path)).toEqual([1, 2]);
  });

  it("the sum of several lines counts: each alone would do, together they are 409", async () => {
    const lamp = await create({ stock: 5 });
    expectProblem(await order({ lines: [lineOf(lamp, 3), lineOf(lamp, 3)] }), 409, "insufficient-stock");
    expect(await stockOf(lamp)).toBe(5);
  });

  it("or nothing: one product too few, and none of the others is a version further", async () => {
    const [lamp, bulb, cable] = [await create(), await create({ stock: 1 }), await create()];
    const { id: customerId } = await createCustomer();
    expectProblem(await order({ customerId, lines: [lineOf(lamp), lineOf(bulb, 2), lineOf(cable)] }), 409, "insufficient-stock");
    for (const product of [lamp, bulb, cable]) {
      expect((await read(product.path, { "cache-control": "no-cache" })).json.versionId).toBe(1);
      expect(await eventsOf(product.path)).toHaveLength(1);
    }
    expect((await read(`${ORDERS}?customerId=${customerId}`)).json.items).toEqual([]);
  });

  it("and leaves the customer as they are", async () => {
    const customer = await createCustomer();
    await place({ customerId: customer.id });
    expect((await read(customer.path, { "cache-control": "no-cache" })).json.versionId).toBe(1);
  });

  it("as the history and the changes tell: an event of the order, and one of each product", async () => {
    const stream = await listen();
    const [lamp, bulb] = [await create(), await create()];
    const placed = await place({ lines: [lineOf(lamp), lineOf(bulb)] });
    const changes = await stream.changesOf([lamp.id, bulb.id, placed.id], 5);
    const told = changes.map(({ data }) => `${data.kind} ${data.id} ${data.versionId}`);
    for (const product of [lamp, bulb]) expect(told).toContain(`product ${product.id} 2`);
    expect(told).toContain(`order ${placed.id} 1`);
    const positions = changes.map((change) => BigInt(change.id));
    expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)));
    expect((await eventsOf(lamp.path))[1].type).toBe(changes.find(({ data }) => data.id === lamp.id && data.versionId === 2)!.data.type);
  });

  it("the product's earlier version stays readable with its stock of then", async () => {
    const lamp = await create({ stock: 10 });
    const before = await read(lamp.path);
    await place({ lines: [lineOf(lamp, 4)] });
    expect((await read(`${lamp.path}?version=1`)).text).toBe(before.text);
  });
});

describe("a cancellation returns the stock", () => {
  it("of every product in full, a product in several lines in one version", async () => {
    const [lamp, bulb] = [await create({ stock: 10 }), await create({ stock: 10 })];
    const { path } = await place({ lines: [lineOf(lamp, 2), lineOf(bulb, 5), lineOf(lamp, 3)] });
    await take(path, "cancellation");
    expect((await read(lamp.path)).json).toMatchObject({ stock: 10, versionId: 3 });
    expect((await read(bulb.path)).json).toMatchObject({ stock: 10, versionId: 3 });
  });

  it("of a paid order too, once, and not again by a second cancellation", async () => {
    const lamp = await create({ stock: 10 });
    const { path } = await placeUntil("paid", { lines: [lineOf(lamp, 4)] });
    await take(path, "cancellation");
    expectProblem(await take(path, "cancellation"), 409, "order-not-cancellable");
    expect(await stockOf(lamp)).toBe(10);
  });

  it("of two at the same moment exactly one counts", async () => {
    const lamp = await create({ stock: 10 });
    const { path } = await place({ lines: [lineOf(lamp, 4)] });
    const answers = await Promise.all([take(path, "cancellation"), take(path, "cancellation")]);
    expect(statuses(answers)).toEqual([200, 409]);
    expect(await stockOf(lamp)).toBe(10);
  });

  it("also to a discontinued product; a deleted one stays deleted, and the cancellation succeeds all the same", async () => {
    const [lamp, gone] = [await create({ stock: 10 }), await create({ stock: 10 })];
    const { path } = await place({ lines: [lineOf(lamp, 4), lineOf(gone, 4)] });
    await patch(lamp.path, { status: "discontinued" });
    await remove(gone.path);
    expect((await take(path, "cancellation")).status).toBe(200);
    expect((await read(lamp.path)).json).toMatchObject({ stock: 10, status: "discontinued" });
    expectProblem(await read(gone.path, { "cache-control": "no-cache" }), 410, "deleted");
  });

  it("refused, it returns nothing", async () => {
    const lamp = await create({ stock: 10 });
    const { path } = await placeUntil("shipped", { lines: [lineOf(lamp, 4)] });
    expectProblem(await take(path, "cancellation"), 409, "order-not-cancellable");
    expect(await stockOf(lamp)).toBe(6);
  });
});

describe("many at the same moment", () => {
  it("an order for the last piece placed 50 times: one succeeds, the others are 409 insufficient-stock", async () => {
    const lamp = await create({ stock: 1 });
    const { id: customerId } = await createCustomer();
    const answers = await many(50, () => order({ customerId, lines: [lineOf(lamp)] }));
    expect(countOf(answers, 201)).toBe(1);
    for (const answer of answers.filter(({ status }) => status !== 201)) expectProblem(answer, 409, "insufficient-stock");
    expect((await read(lamp.path, { "cache-control": "no-cache" })).json).toMatchObject({ stock: 0, versionId: 2 });
    expect((await read(`${ORDERS}?customerId=${customerId}`)).json.items).toHaveLength(1);
  });

  it("40 orders for the same three products in every order of lines: none fails, none is lost", async () => {
    const products = await many(3, () => create({ stock: 100 }));
    const { id: customerId } = await createCustomer();
    const answers = await many(40, (n) => {
      const turned = [...products.slice(n % 3), ...products.slice(0, n % 3)];
      return order({ customerId, lines: (n % 2 === 0 ? turned : turned.toReversed()).map((product) => lineOf(product, 2)) });
    });
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 201));
    for (const product of products) {
      expect((await read(product.path, { "cache-control": "no-cache" })).json).toMatchObject({ stock: 20, versionId: 41 });
      expect(await versionsOf(product.path)).toEqual(Array.from({ length: 41 }, (_, n) => n + 1));
    }
  });

  it("orders, cancellations and adjustments: the sum is exact, in the cache and in the database", async () => {
    const lamp = await create({ stock: 100 });
    const { id: customerId } = await createCustomer();
    await Promise.all([
      many(15, () => place({ customerId, lines: [lineOf(lamp, 3)] })),
      many(10, async () => take((await place({ customerId, lines: [lineOf(lamp, 2)] })).path, "cancellation")),
      many(10, (n) => adjust(lamp.path, { delta: n % 2 === 0 ? 5 : -4 })),
    ]);
    for (const headers of [{}, { "cache-control": "no-cache" }]) expect((await read(lamp.path, headers)).json.stock).toBe(60);
    const positions = (await eventsOf(lamp.path)).map((event) => BigInt(event.position));
    expect(positions, "positions are in the order of the versions").toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)));
  });

  it("never sells more than there is, and never less than it could", async () => {
    const lamp = await create({ stock: 7 });
    const { id: customerId } = await createCustomer();
    const answers = await many(20, () => order({ customerId, lines: [lineOf(lamp)] }));
    expect([countOf(answers, 201), countOf(answers, 409)]).toEqual([7, 13]);
    expect(await stockOf(lamp)).toBe(0);
  });
});

describe("the Consistency-Token of an order", () => {
  it("speaks for the order and for every product in it, and so does that of a cancellation", async () => {
    const [lamp, bulb] = [await create({ stock: 10 }), await create({ stock: 10 })];
    for (let version = 2; version <= 12; version += 2) {
      const placed = await order({ lines: [lineOf(lamp), lineOf(bulb)] });
      const cancelled = await take(`${ORDERS}/${placed.json.id}`, "cancellation");
      if (version === 6) for (const { id } of [lamp, bulb]) await evictEntry("product", id);
      for (const { path } of [lamp, bulb]) {
        expect((await read(path, withToken(placed))).json.versionId).toBeGreaterThanOrEqual(version);
        expect((await read(path, withToken(cancelled))).json).toMatchObject({ versionId: version + 1, stock: 10 });
      }
      expect((await read(`${ORDERS}/${placed.json.id}`, withToken(cancelled))).text).toBe(cancelled.text);
    }
  });

  it("of a read speaks for that one entity and may be sent with another", async () => {
    const { path } = await place();
    const other = await place();
    const seen = await read(path);
    expect((await read(path, withToken(seen))).text).toBe(seen.text);
    expect((await read(other.path, { "consistency-token": `${token(seen)}, ${token(await read(other.path))}` })).status).toBe(200);
  });

  it("forged, cut, joined or made up is 400, for an order as for a list of orders", async () => {
    const placed = await order();
    const path = `${ORDERS}/${placed.json.id}`;
    const real = token(placed);
    const middle = Math.floor(real.length / 2);
    const forged = `${real.slice(0, middle)}${real[middle] === "A" ? "B" : "A"}${real.slice(middle + 1)}`;
    const madeUp = real.replace(/[A-Za-z0-9]/g, (character, at: number) => (at % 2 === 0 ? character : character === "Q" ? "R" : "Q"));
    for (const broken of [forged, madeUp, real.slice(0, -3), `${real}${real}`, "x".repeat(1_025), `${real}, garbage`]) {
      for (const asked of [path, `${ORDERS}?limit=1`, `${path}?view=full`, `${path}/events`]) {
        expectProblem(await read(asked, { "consistency-token": broken }), 400, "malformed");
      }
    }
  });
});

describe("an order under an Idempotency-Key", () => {
  it("is placed once: the first answer again, and the stock is reserved once, also when the product is gone since", async () => {
    const headers = newKey();
    const lamp = await create({ stock: 10 });
    const body = await newOrder({ lines: [lineOf(lamp, 3)] });
    const first = await send(body, headers);
    expectReplay(await send(body, headers), first);
    expect(await stockOf(lamp)).toBe(7);
    await remove(lamp.path);
    await take(`${ORDERS}/${first.json.id}`, "payment");
    expectReplay(await send(body, headers), first);
  });

  it("sent ten times at the same moment is placed once", async () => {
    const headers = newKey();
    const lamp = await create({ stock: 10 });
    const body = await newOrder({ lines: [lineOf(lamp)] });
    const answers = await many(10, () => send(body, headers));
    for (const answer of answers) expect([answer.status, answer.text]).toEqual([201, answers[0]!.text]);
    expect(await stockOf(lamp)).toBe(9);
  });

  it("refused for want of stock leaves the key free: it counts once there is enough", async () => {
    const headers = newKey();
    const lamp = await create({ stock: 1 });
    const body = await newOrder({ lines: [lineOf(lamp, 2)] });
    expectProblem(await send(body, headers), 409, "insufficient-stock");
    await adjust(lamp.path, { delta: 1 });
    expect((await send(body, headers)).status).toBe(201);
  });

  it("with another address is another request: 422 idempotency-key-reused, and no second order", async () => {
    const headers = newKey();
    const body = await newOrder();
    expect((await send(body, headers)).status).toBe(201);
    expectProblem(await send({ ...body, shippingAddress: newAddress() }, headers), 422, "idempotency-key-reused");
    expect((await read(`${ORDERS}?customerId=${body.customerId}`)).json.items).toHaveLength(1);
  });
});
