import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cacheStatus, UNCHANGED } from "./cacheStatus.ts";
import { call, wire } from "./client.ts";
import { createCustomer, CUSTOMER_FIELDS, CUSTOMERS, fullCustomer, newEmail, newPlace, personOf, register } from "./customers.ts";
import { eventsOf, statuses } from "./entries.ts";
import { directives, expectInvalid, expectProblem } from "./problem.ts";
import { patch, read } from "./products.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("POST /v1/customers", () => {
  it("answers 201 with the customer, active, at version 1, and with exactly its fields", async () => {
    const answer = await call("POST", CUSTOMERS, { body: fullCustomer() });
    expect(answer.status, answer.text).toBe(201);
    expect(Object.keys(answer.json).sort()).toEqual(CUSTOMER_FIELDS);
    expect(answer.json).toMatchObject({
      id: expect.stringMatching(UUID_V7), versionId: 1, status: "active", marketingConsent: true,
      emailHash: expect.stringMatching(/^\S{16,}$/), phoneHash: expect.stringMatching(/^\S{16,}$/), piiRef: expect.stringMatching(/^\S{8,}$/),
    });
  });

  it("answers with the bytes and the ETag of the following GET, and a Location that leads to it", async () => {
    const made = await register();
    const location = new URL(made.headers.get("location") ?? "", new URL(CUSTOMERS, wire().url));
    expect(location.pathname).toBe(`${CUSTOMERS}/${made.json.id}`);
    const got = await read(location.pathname);
    expect(got.text).toBe(made.text);
    expect(got.headers.get("etag")).toBe(made.headers.get("etag"));
  });

  it.each(["name", "email", "marketingConsent"])("needs %s", async (field) => {
    expectInvalid(await register({ [field]: undefined }), `#/${field}`);
    expectInvalid(await register({ [field]: null }), `#/${field}`);
  });

  it("needs neither phone nor address; null says the same as leaving them out", async () => {
    for (const fields of [{}, { phone: null, address: null }]) {
      const customer = await createCustomer(fields);
      expect(customer.phoneHash).toBeNull();
      expect(await personOf(customer.path)).toMatchObject({ phone: null, address: null });
    }
  });

  it("an address is a shipping address whose name may be left out", async () => {
    const address = newPlace();
    const expected = { line2: null, region: null, postcode: null, ...address };
    const bare = await personOf((await createCustomer({ address })).path);
    expect(bare.address).toMatchObject(expected);
    const name = "Ada Lovelace";
    expect((await personOf((await createCustomer({ address: { ...address, name } })).path)).address).toMatchObject({ ...expected, name });
  });

  it("names everything that is wrong, at once", async () => {
    const body = { name: "", email: 7, phone: "", marketingConsent: "yes", address: { line1: "", city: 1, street: "x" }, status: "active", piiRef: "x" };
    expectInvalid(await call("POST", CUSTOMERS, { body }), "#/name", "#/email", "#/phone", "#/marketingConsent",
      "#/address/line1", "#/address/city", "#/address/country", "#/address/street", "#/status", "#/piiRef");
  });

  it("text has up to 200 characters, line1 2,000", async () => {
    const name = "💡".repeat(200);
    expect((await personOf((await createCustomer({ name, address: newPlace({ line1: "é".repeat(2_000) }) })).path)).name).toBe(name);
    expectInvalid(await register({ name: "x".repeat(201), phone: "1".repeat(201), address: newPlace({ line1: "x".repeat(2_001), city: "x".repeat(201) }) }),
      "#/name", "#/phone", "#/address/line1", "#/address/city");
    expectInvalid(await register({ email: `${"x".repeat(190)}@example.org` }), "#/email");
  });

  it.each(["ada", "   ", "@", "ada@", "@example.org"])("an e-mail has an @ with something on both sides: %j is 422", async (email) => {
    expectInvalid(await register({ email }), "#/email");
  });
});

describe("an e-mail is taken once", () => {
  const local = () => `äda.${randomUUID()}`;

  it("a second customer with it is 409 email-taken", async () => {
    const { sent } = await createCustomer();
    expectProblem(await register({ email: sent.email }), 409, "email-taken");
  });

  it.each([
    ["in upper case", (email: string) => email.toUpperCase()],
    ["with white space around it", (email: string) => `  ${email}\t`],
    ["in decomposed letters", (email: string) => email.normalize("NFD")],
    ["all of it together", (email: string) => ` ${email.toUpperCase().normalize("NFD")} `],
  ])("compared after NFC, trimming and lower case: %s it is taken", async (_, written) => {
    const email = `${local()}@example.org`;
    await createCustomer({ email });
    expectProblem(await register({ email: written(email) }), 409, "email-taken");
    const other = await createCustomer();
    expectProblem(await patch(other.path, { email: written(email) }), 409, "email-taken");
  });

  it("of ten at the same moment exactly one is registered", async () => {
    const email = newEmail();
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => register({ email: n % 2 === 0 ? email : email.toUpperCase() })));
    expect(statuses(answers)).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
  });

  it("by a change too; the one that was given up is free again", async () => {
    const [one, other] = [await createCustomer(), await createCustomer()];
    expectProblem(await patch(other.path, { email: one.sent.email }), 409, "email-taken");
    await patch(one.path, { email: newEmail() });
    expect((await patch(other.path, { email: one.sent.email })).status).toBe(200);
  });

  it("not by oneself: the same e-mail in another case is a change like any other", async () => {
    const { path, sent } = await createCustomer();
    expect((await patch(path, { email: sent.email.toUpperCase() })).status).toBe(200);
    expect((await personOf(path)).email).toBe(sent.email.toUpperCase());
  });
});

describe("PATCH /v1/customers/{id}", () => {
  it("changes any of the fields, and leaves the others", async () => {
    const { path, sent } = await createCustomer(fullCustomer());
    const answer = await patch(path, { name: "Grace Höpper", marketingConsent: false });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ versionId: 2, marketingConsent: false });
    expect((await read(path)).text).toBe(answer.text);
    const person = await personOf(path);
    expect(person).toMatchObject({ name: "Grace Höpper", email: sent.email, phone: sent.phone, address: sent.address });
  });

  it("means RFC 7396: merges inside the address, null removes what is optional", async () => {
    const { path, sent } = await createCustomer(fullCustomer());
    await patch(path, { address: { city: "Bonn", line2: null }, phone: null });
    const person = await personOf(path);
    expect(person.phone).toBeNull();
    expect(person.address).toMatchObject({ ...sent.address, city: "Bonn", line2: null });
    await patch(path, { address: null });
    expect((await personOf(path)).address).toBeNull();
  });

  it("null on what is required is 422, also inside the address", async () => {
    const { path } = await createCustomer(fullCustomer());
    expectInvalid(await patch(path, { name: null, email: null, marketingConsent: null }), "#/name", "#/email", "#/marketingConsent");
    expectInvalid(await patch(path, { address: { line1: null, country: null } }), "#/address/line1", "#/address/country");
  });

  it("an address that would be incomplete after the merge is 422", async () => {
    const { path } = await createCustomer();
    expectProblem(await patch(path, { address: { city: "Bonn" } }), 422, "invalid");
    expect((await personOf(path)).address).toBeNull();
  });

  it.each(["id", "versionId", "updatedAtNs", "emailHash", "phoneHash", "piiRef", "colour"])("%s is not among the fields: 422", async (field) => {
    const { path } = await createCustomer();
    expectInvalid(await patch(path, { [field]: "x" }), `#/${field}`);
  });

  it("that changes nothing answers 200 and makes no version, also with all personal data as they are", async () => {
    const body = fullCustomer();
    const { path } = await createCustomer(body);
    const before = await read(path);
    for (const same of [{}, body]) {
      const answer = await patch(path, same);
      expect([answer.status, answer.text]).toEqual([200, before.text]);
      expect(cacheStatus(answer)).toEqual(UNCHANGED);
    }
    expect(await eventsOf(path)).toHaveLength(1);
  });

  it("with an If-Match that moved is 412, malformed 400; without one the service retries on the newest state", async () => {
    const { path } = await createCustomer();
    const stale = (await read(path)).headers.get("etag") ?? "";
    expect((await patch(path, { name: "Grace" }, { "if-match": stale })).status).toBe(200);
    expectProblem(await patch(path, { name: "Ada" }, { "if-match": stale }), 412, "version-mismatch");
    expectProblem(await patch(path, { name: "Ada" }, { "if-match": "1" }), 400, "malformed");
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => patch(path, { name: `Ada ${n}` })));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
    expect((await read(path)).json.versionId).toBe(12);
  });

  it("of a customer that never was is 404", async () => {
    for (const id of [randomUUID(), "x"]) {
      expectProblem(await patch(`${CUSTOMERS}/${id}`, { name: "Ada" }), 404, "not-found");
      expectProblem(await call("DELETE", `${CUSTOMERS}/${id}`), 404, "not-found");
    }
  });
});

describe("what customers do not have", () => {
  it("a batch: 404 or 405", async () => {
    const answer = await call("POST", `${CUSTOMERS}/batch`, { body: { items: [] } });
    expect([404, 405]).toContain(answer.status);
    expectProblem(answer, answer.status, answer.status === 404 ? "not-found" : "method-not-allowed");
  });

  it("a list is not on the page: 405, or one whose items are what GET gives", async () => {
    const { id } = await createCustomer();
    const answer = await read(`${CUSTOMERS}?limit=200`);
    expect([200, 405]).toContain(answer.status);
    if (answer.status === 405) return expectProblem(answer, 405, "method-not-allowed");
    expect(directives(answer)).toContain("no-store");
    for (const item of answer.json.items) expect(Object.keys(item).sort(), id).toEqual(CUSTOMER_FIELDS);
  });
});
