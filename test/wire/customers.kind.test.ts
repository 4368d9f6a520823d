import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cacheStatus, FROM_DATABASE, HISTORY, HIT, MISS } from "./cacheStatus.ts";
import { listen } from "./changeStream.ts";
import { call } from "./client.ts";
import { createCustomer, CUSTOMERS, erase, fullCustomer, newCustomer, newEmail, register } from "./customers.ts";
import { evictEntry, expectStored, explain, token, versionsOf, withToken } from "./entries.ts";
import { directives, expectBadQuery, expectProblem } from "./problem.ts";
import { patch, read } from "./products.ts";
import { expectReplay, newKey } from "./replay.ts";

describe("a customer is of tier 3, and a kind like the others", () => {
  it("every answer about it is no-store", async () => {
    const made = await register();
    const path = `${CUSTOMERS}/${made.json.id}`;
    const etag = made.headers.get("etag") ?? "";
    const answers = [
      made, await read(path), await read(`${path}?view=full`), await read(`${path}?version=1`), await read(`${path}/events`), await call("HEAD", path),
      await read(path, { "if-none-match": etag }), await patch(path, { name: "Grace" }), await erase(path), await read(path),
    ];
    for (const answer of answers) expect(directives(answer)).toContain("no-store");
  });

  it("says so of its entry, which is sealed under a numbered key", async () => {
    const { id } = await createCustomer();
    expect((await explain("customer", id)).entry).toMatchObject({ present: true, versionId: 1, tier: 3, tombstone: false, keyId: expect.anything() });
  });

  it("is answered from the cache, and with the same bytes after a miss and from the database", async () => {
    const made = await call("POST", CUSTOMERS, { body: fullCustomer() });
    const path = `${CUSTOMERS}/${made.json.id}`;
    await expectStored(made, "customer", path);
    expect(cacheStatus(await read(path))).toEqual(HIT);
    await evictEntry("customer", made.json.id);
    for (const [headers, status] of [[{}, MISS], [{}, HIT], [{ "cache-control": "no-cache" }, FROM_DATABASE]] as const) {
      const answer = await read(path, headers);
      expect(cacheStatus(answer)).toEqual(status);
      expect([answer.text, answer.headers.get("etag")]).toEqual([made.text, made.headers.get("etag")]);
    }
  });

  it("that does not exist is a miss that stores the absence, and then a hit", async () => {
    const path = `${CUSTOMERS}/${randomUUID()}`;
    for (const status of [MISS, HIT]) {
      const answer = await read(path);
      expectProblem(answer, 404, "not-found");
      expect(cacheStatus(answer)).toEqual(status);
    }
  });

  it("has every version as it was, the bytes and the ETag of its own time", async () => {
    const made = await call("POST", CUSTOMERS, { body: fullCustomer() });
    const path = `${CUSTOMERS}/${made.json.id}`;
    const versions = [made, await patch(path, { email: newEmail() }), await patch(path, { phone: null, marketingConsent: false })];
    for (const [n, version] of versions.entries()) {
      const answer = await read(`${path}?version=${n + 1}`);
      expect([answer.text, answer.headers.get("etag")]).toEqual([version.text, version.headers.get("etag")]);
      expect(cacheStatus(answer)).toEqual(HISTORY);
    }
    expect(await versionsOf(path)).toEqual([1, 2, 3]);
    expectProblem(await read(`${path}?version=4`), 404, "not-found");
    expectBadQuery(await read(`${path}?version=0`), "version");
  });

  it("is told by GET /v1/changes", async () => {
    const stream = await listen();
    const { id, path } = await createCustomer();
    await patch(path, { name: "Grace" });
    const changes = await stream.changesOf([id], 2);
    expect(changes.map(({ data }) => [data.kind, data.versionId])).toEqual([["customer", 1], ["customer", 2]]);
  });

  it("its tokens make reads at least as new, and a forged one is 400", async () => {
    const { id, path } = await createCustomer();
    const changed = await patch(path, { name: "Grace" });
    await evictEntry("customer", id);
    expect((await read(path, withToken(changed))).text).toBe(changed.text);
    const forged = `${token(changed).slice(0, -6)}AAAAAA`;
    for (const asked of [path, `${path}?view=full`]) expectProblem(await read(asked, { "consistency-token": forged }), 400, "malformed");
  });
});

describe("an Idempotency-Key", () => {
  it("on a registration: one customer, and the first answer again, also after a change", async () => {
    const headers = newKey();
    const body = fullCustomer();
    const first = await call("POST", CUSTOMERS, { body, headers });
    expectReplay(await call("POST", CUSTOMERS, { body, headers }), first);
    await patch(`${CUSTOMERS}/${first.json.id}`, { email: newEmail(), phone: null });
    expectReplay(await call("POST", CUSTOMERS, { body, headers }), first);
  });

  it("on a PATCH: it takes effect once", async () => {
    const headers = newKey();
    const { path } = await createCustomer();
    const change = { email: newEmail() };
    const first = await patch(path, change, headers);
    await patch(path, { email: newEmail() });
    expectReplay(await patch(path, change, headers), first);
    expect((await read(path)).json.versionId).toBe(3);
  });

  it("for another person is 422 idempotency-key-reused, and registers nobody", async () => {
    const headers = newKey();
    expect((await register({}, headers)).status).toBe(201);
    const other = newCustomer();
    expectProblem(await call("POST", CUSTOMERS, { body: other, headers }), 422, "idempotency-key-reused");
    expect((await call("POST", CUSTOMERS, { body: other })).status).toBe(201);
  });

  it("stays free when the e-mail is taken", async () => {
    const headers = newKey();
    const holder = await createCustomer();
    const body = newCustomer({ email: holder.sent.email });
    expectProblem(await call("POST", CUSTOMERS, { body, headers }), 409, "email-taken");
    await patch(holder.path, { email: newEmail() });
    expect((await call("POST", CUSTOMERS, { body, headers })).status).toBe(201);
  });
});
