import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cacheStatus, CHANGE, FROM_DATABASE, HISTORY, HIT, MISS } from "./cacheStatus.ts";
import { call } from "./client.ts";
import { createCustomer, full } from "./customers.ts";
import { eventsOf, evictEntry, explain, isLeaseBroken, token, versionsOf, withToken } from "./entries.ts";
import { fullAddress, lineOf, newAddress, order, ORDER_FIELDS, ORDERS, place, placeUntil, send, STATUSES, take } from "./orders.ts";
import { items, pages } from "./pages.ts";
import { directives, expectBadQuery, expectProblem } from "./problem.ts";
import { create, read } from "./products.ts";
import { expectNoTrace, textsIn } from "./traces.ts";

const FULL_VIEW = { fwd: "bypass", detail: "full-view" };

describe("GET /v1/orders/{id}?view=full", () => {
  it("adds the shipping address as it was sent, and nothing else", async () => {
    const shippingAddress = fullAddress();
    const placed = await order({ shippingAddress });
    const answer = await full(`${ORDERS}/${placed.json.id}`);
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ ...placed.json, shippingAddress });
  });

  it("what the address does not have is null, also where null was sent", async () => {
    const address = newAddress();
    const expected = { ...address, line2: null, region: null, postcode: null };
    for (const shippingAddress of [address, expected]) {
      expect((await full((await place({ shippingAddress })).path)).json.shippingAddress).toEqual(expected);
    }
  });

  it("keeps what is neither ASCII nor one line", async () => {
    const shippingAddress = fullAddress({ name: "مصباح 💡 e\u0301 \u00E9", line1: "c/o Ö\nHinterhaus, 3. OG" });
    expect((await full((await place({ shippingAddress })).path)).json.shippingAddress).toEqual(shippingAddress);
  });

  it("is answered past the cache, with a token and the version's ETag, and is 304 for it", async () => {
    const { path } = await place();
    const answer = await full(path);
    expect(cacheStatus(answer)).toEqual(FULL_VIEW);
    expect(token(answer)).not.toBe("");
    expect(answer.headers.get("etag")).toMatch(/^"1([^\d"][^"]*)?"$/);
    expect((await full(path, { "if-none-match": answer.headers.get("etag") ?? "" })).status).toBe(304);
  });

  it("shows the newest state after every step", async () => {
    const { path } = await placeUntil("shipped");
    expect((await full(path)).json).toMatchObject({ status: "shipped", versionId: 3, shippingAddress: { line2: null } });
  });

  it.each(["", "Full", "plain", "full,full"])("another view is 400: view=%s", async (view) => {
    expectBadQuery(await read(`${(await place()).path}?view=${view}`), "view");
  });

  it("of an order that never was is 404", async () => {
    for (const id of [randomUUID(), "x"]) expectProblem(await full(`${ORDERS}/${id}`), 404, "not-found");
  });
});

describe("the shipping address", () => {
  it("stands in no answer but the full view: not in a change, a read, an earlier version, a list, the history or under /ops", async () => {
    const shippingAddress = fullAddress();
    const customer = await createCustomer();
    const placed = await order({ customerId: customer.id, shippingAddress });
    const path = `${ORDERS}/${placed.json.id}`;
    const answers = [
      placed, await take(path, "payment"), await take(path, "shipment"), await read(path), await read(path, { "cache-control": "no-cache" }),
      await read(`${path}?version=1`), await read(`${path}/events`), await read(`${ORDERS}?customerId=${customer.id}`),
      await read(`/ops/entries/order/${placed.json.id}`),
    ];
    for (const answer of answers) expectNoTrace(answer, shippingAddress);
  });

  it("is referred to by an opaque string, which is the same in every version and another for every order", async () => {
    const shippingAddress = fullAddress();
    const [one, other] = [await place({ shippingAddress }), await place({ shippingAddress })];
    expect(one.shippingAddressRef).toEqual(expect.stringMatching(/^\S{8,}$/));
    expect((await take(one.path, "payment")).json.shippingAddressRef).toBe(one.shippingAddressRef);
    expect(other.shippingAddressRef).not.toBe(one.shippingAddressRef);
  });

  it("is in no error about it", async () => {
    const secret = { name: `${randomUUID()}\u0000`, line1: randomUUID().padEnd(2_001, "x"), city: { of: randomUUID() }, country: randomUUID().padEnd(201, "y") };
    const answer = await send({ customerId: randomUUID(), lines: [], shippingAddress: secret });
    expectProblem(answer, 422, "invalid");
    expectNoTrace(answer, textsIn(secret).map((text) => text.slice(0, 36)));
    const line1 = randomUUID();
    expectNoTrace(await call("POST", ORDERS, { raw: `{"shippingAddress":{"line1":"${line1}"` }), line1);
  });
});

describe("an order is of tier 2", () => {
  it("every answer about it is no-store", async () => {
    const placed = await order();
    const path = `${ORDERS}/${placed.json.id}`;
    const etag = placed.headers.get("etag") ?? "";
    const answers = [
      placed, await read(path), await full(path), await read(`${path}?version=1`), await read(`${path}/events`), await read(`${ORDERS}?limit=1`),
      await read(path, { "if-none-match": etag }), await call("HEAD", path), await take(path, "payment"), await read(`${ORDERS}/x`),
    ];
    for (const answer of answers) expect(directives(answer)).toContain("no-store");
  });

  it("and says so of its entry, which is sealed under a numbered key", async () => {
    const { id } = await place();
    expect((await explain("order", id)).entry).toMatchObject({ present: true, versionId: 1, tier: 2, tombstone: false, keyId: expect.anything() });
  });

  it("is stored by a change, found in the cache, and brought back after a miss, always with the same bytes", async () => {
    const placed = await order();
    const path = `${ORDERS}/${placed.json.id}`;
    expect(cacheStatus(placed)).toEqual(CHANGE);
    const first = (await isLeaseBroken("order", placed.json.id)) ? MISS : HIT;
    const seen = [[await read(path), first]] as Array<[Awaited<ReturnType<typeof read>>, object]>;
    await evictEntry("order", placed.json.id);
    seen.push([await read(path), MISS], [await read(path), HIT], [await read(path, { "cache-control": "no-cache" }), FROM_DATABASE]);
    for (const [answer, status] of seen) {
      expect(cacheStatus(answer)).toEqual(status);
      expect(answer.text).toBe(placed.text);
      expect(answer.headers.get("etag")).toBe(placed.headers.get("etag"));
    }
  });

  it("that does not exist is a miss that stores the absence, and then a hit", async () => {
    const path = `${ORDERS}/${randomUUID()}`;
    for (const status of [MISS, HIT]) {
      const answer = await read(path);
      expectProblem(answer, 404, "not-found");
      expect(cacheStatus(answer)).toEqual(status);
    }
  });

  it("is 304 for its ETag, works with HEAD, and takes max-age", async () => {
    const { path } = await place();
    const got = await read(path);
    const etag = got.headers.get("etag") ?? "";
    expect((await read(path, { "if-none-match": etag })).status).toBe(304);
    const head = await call("HEAD", path);
    expect([head.status, head.text, head.headers.get("etag")]).toEqual([200, "", etag]);
    expect((await read(path, { "cache-control": "max-age=60" })).text).toBe(got.text);
  });
});

describe("the history of an order", () => {
  it("has every version as it was, and one event for each", async () => {
    const placed = await order();
    const path = `${ORDERS}/${placed.json.id}`;
    const versions = [placed, await take(path, "payment"), await take(path, "shipment"), await take(path, "delivery")];
    for (const [n, version] of versions.entries()) {
      const answer = await read(`${path}?version=${n + 1}`);
      expect(answer.text).toBe(version.text);
      expect(answer.headers.get("etag")).toBe(version.headers.get("etag"));
      expect(cacheStatus(answer)).toEqual(HISTORY);
    }
    expect(await versionsOf(path)).toEqual([1, 2, 3, 4]);
    expect(new Set((await eventsOf(path)).map((event) => event.type)).size, "each step has a type of its own").toBe(4);
    expectProblem(await read(`${path}?version=5`), 404, "not-found");
    expectBadQuery(await read(`${path}?version=0`), "version");
  });

  it("says what happened: the lines, the payment's reference, the parcel, the reason of a cancellation", async () => {
    const lamp = await create();
    const shipped = await eventsOf((await placeUntil("shipped", { lines: [lineOf(lamp)] })).path);
    const cancelled = await eventsOf((await placeUntil("cancelled")).path);
    const told = [...shipped, ...cancelled].map((event) => JSON.stringify(event.data)).join();
    for (const text of [lamp.id, "pay-4711", "DHL", "00340434161094042557", "changed their mind"]) expect(told).toContain(text);
  });

  it("is 404 of an order that never was", async () => {
    expectProblem(await read(`${ORDERS}/${randomUUID()}/events`), 404, "not-found");
  });
});

describe("GET /v1/orders", () => {
  it("?customerId= shows the orders of that customer, in order of creation, as GET gives them", async () => {
    const { id: customerId } = await createCustomer();
    const placed = [await place({ customerId }), await place({ customerId }), await place({ customerId })];
    await take(placed[0].path, "payment");
    const listed = items(await pages(`${ORDERS}?customerId=${customerId}&limit=2`));
    expect(listed).toEqual(await Promise.all(placed.map(async ({ path }) => (await read(path)).json)));
    for (const item of listed) expect(Object.keys(item).sort()).toEqual(ORDER_FIELDS);
  });

  it("?status= shows the orders that are there, and both filters together what both let through", async () => {
    const { id: customerId } = await createCustomer();
    const made = Object.fromEntries(await Promise.all(STATUSES.map(async (status) => [status, await placeUntil(status, { customerId })])));
    for (const status of STATUSES) {
      const { json } = await read(`${ORDERS}?customerId=${customerId}&status=${status}`);
      expect(json.items.map((item: any) => [item.id, item.status]), status).toEqual([[made[status].id, status]]);
      for (const item of (await read(`${ORDERS}?status=${status}&limit=20`)).json.items) expect(item.status).toBe(status);
    }
  });

  it("its Link carries limit, filters and cursor", async () => {
    const { id: customerId } = await createCustomer();
    for (const _ of [1, 2]) await place({ customerId });
    const answer = await read(`${ORDERS}?customerId=${customerId}&status=placed&limit=1`);
    const link = /^<([^>]*)>; *rel="?next"?$/.exec(answer.headers.get("link") ?? "")?.[1] ?? "";
    const { searchParams } = new URL(link, `http://service${ORDERS}`);
    expect(Object.fromEntries(searchParams)).toEqual({ customerId, status: "placed", limit: "1", cursor: answer.json.nextCursor });
  });

  it("with the token of a change shows it", async () => {
    const { id: customerId } = await createCustomer();
    const placed = await order({ customerId });
    const list = `${ORDERS}?customerId=${customerId}`;
    expect((await read(list, withToken(placed))).json.items).toEqual([placed.json]);
    const paid = await take(`${ORDERS}/${placed.json.id}`, "payment");
    expect((await read(list, withToken(paid))).json.items).toEqual([paid.json]);
  });

  it("is empty for a customer without orders and for one that nobody knows", async () => {
    for (const id of [(await createCustomer()).id, randomUUID()]) {
      expect((await read(`${ORDERS}?customerId=${id}`)).json).toEqual({ items: [], nextCursor: null });
    }
  });

  it("refuses a customerId that is no UUID, an unknown status, a bad limit and a bad cursor, all at once", async () => {
    expectBadQuery(await read(`${ORDERS}?customerId=x&status=lost&limit=0&cursor=x`), "customerId", "status", "limit", "cursor");
    for (const query of ["customerId=", "status=", "status=Placed"]) expectBadQuery(await read(`${ORDERS}?${query}`), query.split("=")[0]!);
  });
});

describe("what an order does not have", () => {
  it("it is neither patched nor deleted: 405 with Allow", async () => {
    const { path } = await place();
    for (const method of ["PATCH", "DELETE", "PUT", "POST"]) {
      const answer = await call(method, path, method === "DELETE" ? {} : { body: {} });
      expectProblem(answer, 405, "method-not-allowed");
      expect(answer.headers.get("allow")?.split(/, */).filter((name) => name !== "OPTIONS").sort()).toEqual(["GET", "HEAD"]);
    }
  });

  it("there is no batch of orders: 404 or 405", async () => {
    const answer = await call("POST", `${ORDERS}/batch`, { body: { items: [] } });
    expect([404, 405]).toContain(answer.status);
    expectProblem(answer, answer.status, answer.status === 404 ? "not-found" : "method-not-allowed");
  });
});
