import { describe, expect, it } from "vitest";
import { cacheStatus, CHANGE, HIT, MISS } from "./cacheStatus.ts";
import { listen } from "./changeStream.ts";
import { call } from "./client.ts";
import { createCustomer, CUSTOMERS, erase, full, fullCustomer, lookUp, newCustomer, newEmail, register } from "./customers.ts";
import { eventsOf, evictEntry, explain, statuses, versionsOf, withToken } from "./entries.ts";
import { countOf, fullAddress, lineOf, newOrder, order, ORDERS, place, placeUntil, send, stockOf, take } from "./orders.ts";
import { directives, expectProblem } from "./problem.ts";
import { create, patch, read } from "./products.ts";
import { expectReplay, newKey } from "./replay.ts";
import { getSession, putSession, sessionPath } from "./session.ts";
import { expectNoTrace, expectNoTraceIn } from "./traces.ts";

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$/;

describe("DELETE /v1/customers/{id}", () => {
  it("answers 200 with a certificate", async () => {
    const { path, id } = await createCustomer(fullCustomer());
    await patch(path, { name: "Grace" });
    for (const _ of [1, 2]) await place({ customerId: id });
    await putSession(sessionPath(), { customerId: id });
    const { headers, json } = await erase(path);
    expect(headers.get("content-type")).toMatch(/^application\/json\b/);
    expect(json).toMatchObject({ keyDestroyed: true, orders: 2, sessions: 1 });
    expect(json.erasedAt).toMatch(RFC_3339);
    expect(Math.abs(Date.parse(json.erasedAt) - Date.now())).toBeLessThan(600_000);
    expect(Number.isSafeInteger(json.events) && json.events >= 2, `the events that are unreadable now: ${json.events}`).toBe(true);
    expect(["tombstoned", "queued"]).toContain(json.cache);
    expect(["unreadable", "keys-share-backup"]).toContain(json.backups);
  });

  it("of a customer without orders and sessions says so", async () => {
    const { json } = await erase((await createCustomer()).path);
    expect(json).toMatchObject({ keyDestroyed: true, orders: 0, sessions: 0 });
    expect(json.events).toBeGreaterThanOrEqual(1);
  });

  it("certifies without personal data, and is not kept by anybody on the way", async () => {
    const { path, sent } = await createCustomer(fullCustomer());
    const answer = await erase(path);
    expectNoTrace(answer, sent);
    expect(directives(answer)).toContain("no-store");
    expect(cacheStatus(answer)).toEqual(CHANGE);
  });

  it("keeps to If-Match", async () => {
    const { path } = await createCustomer();
    expectProblem(await call("DELETE", path, { headers: { "if-match": '"none"' } }), 412, "version-mismatch");
    const etag = (await read(path)).headers.get("etag") ?? "";
    await erase(path, { "if-match": etag });
  });

  it("under an Idempotency-Key gives the same certificate again", async () => {
    const headers = newKey();
    const { path } = await createCustomer();
    const first = await erase(path, headers);
    expectReplay(await call("DELETE", path, { headers }), first);
    expectProblem(await call("DELETE", path), 410, "deleted");
  });

  it("of two at the same moment one gets the certificate, the other 410", async () => {
    const { path } = await createCustomer();
    const answers = await Promise.all([1, 2].map(() => call("DELETE", path)));
    expect(statuses(answers)).toEqual([200, 410]);
  });
});

describe("afterwards the person is gone", () => {
  it("every read and change of the customer is 410, by the cache and by the database", async () => {
    const { id, path } = await createCustomer(fullCustomer());
    const erased = await erase(path);
    for (const headers of [{}, withToken(erased), { "cache-control": "no-cache" }, { "if-none-match": "*" }]) {
      expectProblem(await read(path, headers), 410, "deleted");
      expectProblem(await full(path, headers), 410, "deleted");
    }
    expect(cacheStatus(await read(path))).toEqual(HIT);
    await evictEntry("customer", id);
    for (const status of [MISS, HIT]) {
      const answer = await read(path);
      expectProblem(answer, 410, "deleted");
      expect(cacheStatus(answer)).toEqual(status);
    }
    for (const body of [{ name: "Ada" }, {}]) expectProblem(await patch(path, body), 410, "deleted");
    expectProblem(await call("DELETE", path), 410, "deleted");
  });

  it("so is every earlier version, and the erasure itself; above it is 404", async () => {
    const { path } = await createCustomer(fullCustomer());
    await patch(path, { name: "Grace" });
    await erase(path);
    for (const version of [1, 2, 3]) expectProblem(await read(`${path}?version=${version}`), 410, "deleted");
    expectProblem(await read(`${path}?version=4`), 404, "not-found");
  });

  it("the entry is a tombstone, at the version of the erasure", async () => {
    const { id, path } = await createCustomer();
    await erase(path);
    const { row, entry } = await explain("customer", id);
    expect(row).toMatchObject({ versionId: 2, deleted: true });
    expect(entry).toMatchObject({ tier: 3, versionId: 2, tombstone: true });
  });

  it("the events stay, with references only, and the erasure is the last of them", async () => {
    const stream = await listen();
    const { id, path, sent, emailHash, phoneHash } = await createCustomer(fullCustomer());
    await patch(path, { name: "Grace" });
    const before = await eventsOf(path);
    await erase(path);
    const after = await eventsOf(path);
    expect(after.slice(0, 2).map(({ position, type }) => ({ position, type }))).toEqual(before.map(({ position, type }) => ({ position, type })));
    expect(await versionsOf(path)).toEqual([1, 2, 3]);
    expect(new Set([...before.map((event) => event.type), after[2].type]).size).toBe(3);
    const told = JSON.stringify([after, await stream.changesOf([id], 3)]);
    expectNoTraceIn(told, [sent, emailHash, phoneHash]);
  });

  it("the e-mail is free again, for a new customer with an id of their own; the phone's and the e-mail's hashes are no bar", async () => {
    const first = await createCustomer(fullCustomer());
    await erase(first.path);
    const second = await createCustomer(fullCustomer({ email: first.sent.email.toUpperCase(), phone: first.sent.phone }));
    expect(second.id).not.toBe(first.id);
    expect((await lookUp(first.sent.email)).json.id).toBe(second.id);
    expectProblem(await read(first.path), 410, "deleted");
    expectProblem(await register({ email: first.sent.email }), 409, "email-taken");
  });

  it("no answer about them says who they were", async () => {
    const { id, path, sent } = await createCustomer(fullCustomer());
    await erase(path);
    const answers = [
      await read(path), await full(path), await patch(path, sent), await lookUp(sent.email), await read(`${path}?version=1`), await read(`${path}/events`),
      await read(`/ops/entries/customer/${id}`), await order({ customerId: id }),
    ];
    for (const answer of answers) expectNoTrace(answer, sent);
  });

  it("the sessions that named them are gone, those of others are not", async () => {
    const [{ id, path }, other] = [await createCustomer(), await createCustomer()];
    const [theirs, another, nobodys] = [sessionPath(), sessionPath(), sessionPath()];
    await putSession(theirs, { customerId: id });
    await putSession(another, { customerId: other.id });
    await putSession(nobodys);
    await erase(path);
    expectProblem(await getSession(theirs), 404, "not-found");
    for (const kept of [another, nobodys]) expect((await getSession(kept)).status).toBe(200);
  });
});

describe("a kept answer of the erased person is 410 on repetition", () => {
  it("that of the registration and that of a change", async () => {
    const [registration, change] = [newKey(), newKey()];
    const body = fullCustomer();
    const made = await call("POST", CUSTOMERS, { body, headers: registration });
    const path = `${CUSTOMERS}/${made.json.id}`;
    const next = { email: newEmail() };
    expect((await patch(path, next, change)).status).toBe(200);
    await erase(path);
    for (const again of [await call("POST", CUSTOMERS, { body, headers: registration }), await patch(path, next, change)]) {
      expectProblem(again, 410, "deleted");
      expectNoTrace(again, [body, next]);
    }
    expectProblem(await lookUp(body.email), 404, "not-found");
  });

  it("under another key the same registration makes a new customer", async () => {
    const body = newCustomer();
    const made = await call("POST", CUSTOMERS, { body, headers: newKey() });
    await erase(`${CUSTOMERS}/${made.json.id}`);
    expect((await call("POST", CUSTOMERS, { body, headers: newKey() })).status).toBe(201);
  });
});

describe("the orders of the erased person", () => {
  it("stay, each a version further, with nothing else changed", async () => {
    const { id: customerId, path } = await createCustomer();
    const orders = [await placeUntil("placed", { customerId }), await placeUntil("delivered", { customerId }), await placeUntil("cancelled", { customerId })];
    const before = await Promise.all(orders.map(async (order) => (await read(order.path)).json));
    const erased = await erase(path);
    for (const [n, order] of orders.entries()) {
      const { json } = await read(order.path, withToken(erased));
      const { versionId, updatedAtNs, shippingAddressRef, ...rest } = before[n];
      expect(json).toMatchObject({ ...rest, versionId: versionId + 1 });
      expect(json.updatedAtNs).not.toBe(updatedAtNs);
      expect([shippingAddressRef, null], "the reference stays or goes").toContain(json.shippingAddressRef);
    }
    const listed = (await read(`${ORDERS}?customerId=${customerId}`, withToken(erased))).json.items;
    expect(listed.map((item: any) => item.id)).toEqual(orders.map((order) => order.id));
  });

  it("have no shipping address any more: null in the full view, which has a new ETag", async () => {
    const shippingAddress = fullAddress();
    const { id: customerId, path } = await createCustomer();
    const placed = await place({ customerId, shippingAddress });
    const before = await full(placed.path);
    const erased = await erase(path);
    const after = await full(placed.path, { ...withToken(erased), "if-none-match": before.headers.get("etag") ?? "" });
    expect(after.status).toBe(200);
    expect(after.json).toMatchObject({ versionId: 2, shippingAddress: null });
    expect(after.headers.get("etag")).not.toBe(before.headers.get("etag"));
    for (const answer of [after, await read(`${placed.path}/events`), await read(`${placed.path}?version=1`)]) expectNoTrace(answer, shippingAddress);
  });

  it("tell of it in their history and in the changes", async () => {
    const stream = await listen();
    const { id: customerId, path } = await createCustomer();
    const placed = await place({ customerId });
    await erase(path);
    const changes = await stream.changesOf([placed.id], 2);
    expect(changes.map(({ data }) => [data.kind, data.versionId])).toEqual([["order", 1], ["order", 2]]);
    expect(await versionsOf(placed.path)).toEqual([1, 2]);
  });

  it("keep their earlier versions and their kept answers: there were never more than references in them", async () => {
    const headers = newKey();
    const { id: customerId, path } = await createCustomer();
    const body = await newOrder({ customerId });
    const placed = await send(body, headers);
    await erase(path);
    expect((await read(`${ORDERS}/${placed.json.id}?version=1`)).text).toBe(placed.text);
    expectReplay(await send(body, headers), placed);
  });

  it("can still be cancelled, and the stock returns", async () => {
    const lamp = await create({ stock: 5 });
    const { id: customerId, path } = await createCustomer();
    const placed = await place({ customerId, lines: [lineOf(lamp, 2)] });
    await erase(path);
    expect((await take(placed.path, "cancellation")).json).toMatchObject({ status: "cancelled", versionId: 3 });
    expect(await stockOf(lamp)).toBe(5);
  });

  it("placed at the same moment as the erasure are either refused or erased with it: no address is left", async () => {
    const { id: customerId, path } = await createCustomer();
    const lamp = await create({ stock: 100 });
    const placing = Array.from({ length: 20 }, () => order({ customerId, lines: [lineOf(lamp)], shippingAddress: fullAddress() }));
    const erased = await erase(path);
    const answers = await Promise.all(placing);
    const made = answers.filter((answer) => answer.status === 201);
    for (const answer of answers.filter(({ status }) => status !== 201)) expectProblem(answer, 409, "customer-erased");
    expect(erased.json.orders).toBe(made.length);
    for (const { json } of made) expect((await full(`${ORDERS}/${json.id}`)).json).toMatchObject({ versionId: 2, shippingAddress: null });
    expect(await stockOf(lamp)).toBe(100 - countOf(answers, 201));
  });
});
