import { createHash, getHashes, randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cacheStatus } from "./cacheStatus.ts";
import { listen } from "./changeStream.ts";
import { type Answer, call, wire } from "./client.ts";
import {
  createCustomer, CUSTOMER_FIELDS, CUSTOMERS, erase, full, fullCustomer, fullPlace, lookUp, newCustomer, newEmail, newPhone, newPlace, PERSONAL_FIELDS, register,
} from "./customers.ts";
import { eventsOf, evictEntry, token, withToken } from "./entries.ts";
import { place } from "./orders.ts";
import { directives, expectInvalid, expectProblem } from "./problem.ts";
import { patch, read } from "./products.ts";
import { replayed } from "./replay.ts";
import { expectNoTrace, expectNoTraceIn, textsIn } from "./traces.ts";

const FULL_VIEW = { fwd: "bypass", detail: "full-view" };
const reader = wire().scopedKeys["customers:read"];

/** Hashes that anybody can compute who guesses the value, with or without the customer's id, in every form in which they are written. */
const plainHashes = (value: string, id: string): Array<string> =>
  getHashes().filter((name) => /^(sha\d+|sha3-\d+|md5|ripemd160|blake2[bs]\d+)$/i.test(name)).flatMap((name) =>
    [value, value.trim().toLowerCase(), value.replace(/[^\d+]/g, ""), value.replace(/\D/g, ""), `${id}${value}`, `${id}:${value}`, `${value}${id}`].flatMap((text) => {
      const digest = createHash(name).update(text).digest();
      return [digest.toString("hex"), digest.toString("base64").replace(/=+$/, ""), digest.toString("base64url")];
    }));

describe("emailHash and phoneHash", () => {
  it("are keyed: they neither are nor contain the value or a plain hash of it, of the text as sent or normalised", async () => {
    const { id, emailHash, phoneHash, sent } = await createCustomer(fullCustomer());
    for (const [hash, value] of [[emailHash, sent.email], [phoneHash, sent.phone]]) {
      expectNoTraceIn(hash, value);
      for (const plain of plainHashes(value, id)) {
        expect(hash.toLowerCase().includes(plain.toLowerCase()), plain).toBe(false);
        expect(hash.length >= 16 && plain.toLowerCase().includes(hash.toLowerCase()), plain).toBe(false);
      }
    }
  });

  it("phoneHash is null without a phone", async () => {
    const { path, phoneHash } = await createCustomer({ phone: newPhone() });
    expect(phoneHash).not.toBeNull();
    expect((await patch(path, { phone: null })).json.phoneHash).toBeNull();
    expect((await createCustomer()).phoneHash).toBeNull();
  });

  it("emailHash is the same for the same e-mail in another case, form and white space, and another for another", async () => {
    const email = `äda.${randomUUID()}@example.org`;
    const { path, emailHash } = await createCustomer({ email });
    for (const written of [email.toUpperCase(), ` ${email} `, email.normalize("NFD")]) {
      expect((await patch(path, { email: written })).json.emailHash, written).toBe(emailHash);
    }
    expect((await patch(path, { email: newEmail() })).json.emailHash).not.toBe(emailHash);
    expect((await patch(path, { email })).json.emailHash).toBe(emailHash);
  });

  it("emailHash is the same for the next who has the e-mail, once it was given up", async () => {
    const one = await createCustomer();
    await patch(one.path, { email: newEmail() });
    expect((await createCustomer({ email: one.sent.email })).emailHash).toBe(one.emailHash);
  });

  it("phoneHash is the same for two who share a phone, white space around it and separators inside set aside", async () => {
    const phone = newPhone();
    const [one, other] = [await createCustomer({ phone }), await createCustomer({ phone })];
    expect(other.phoneHash).toBe(one.phoneHash);
    for (const written of [` ${phone} `, phone.replaceAll(" ", ""), phone.replaceAll(" ", "-")]) {
      expect((await createCustomer({ phone: written })).phoneHash, written).toBe(one.phoneHash);
    }
    expect((await createCustomer({ phone: newPhone() })).phoneHash).not.toBe(one.phoneHash);
  });

  it("a value hashes differently as an e-mail and as a phone: each has a key of its own", async () => {
    const both = newEmail().replaceAll("-", "");
    const { emailHash, phoneHash } = await createCustomer({ email: both, phone: both });
    expect(phoneHash).not.toBe(emailHash);
  });
});

describe("piiRef", () => {
  it("is an opaque string: nothing of the person in it, another for everybody, the same in every read of a version", async () => {
    const address = fullPlace();
    const one = await createCustomer(fullCustomer({ name: `Ada ${randomUUID()}`, address }));
    const other = await createCustomer(fullCustomer({ name: one.sent.name, phone: one.sent.phone, address }));
    expect(other.piiRef).not.toBe(one.piiRef);
    expectNoTraceIn(one.piiRef, one.sent);
    await evictEntry("customer", one.id);
    expect((await read(one.path)).json.piiRef).toBe(one.piiRef);
  });
});

describe("GET /v1/customers/{id}?view=full", () => {
  it("adds name, e-mail, phone and address as they were sent, and nothing else", async () => {
    const sent = fullCustomer();
    const made = await call("POST", CUSTOMERS, { body: sent });
    const answer = await full(`${CUSTOMERS}/${made.json.id}`);
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.json).sort()).toEqual([...CUSTOMER_FIELDS, ...PERSONAL_FIELDS].sort());
    expect(answer.json).toMatchObject({ ...made.json, ...sent });
  });

  it("keeps every text as it was written: compared it is normalised, kept it is not", async () => {
    const sent = newCustomer({ name: "  مصباح 💡 e\u0301 \u00E9", email: ` ÄDA.${randomUUID()}@Example.ORG `, phone: " +49 (30) 12-34 ", address: newPlace({ line1: "c/o Ö\n3. OG" }) });
    const made = await call("POST", CUSTOMERS, { body: sent });
    expect((await full(`${CUSTOMERS}/${made.json.id}`)).json).toMatchObject(sent);
  });

  it("is answered past the cache and never stored: no-store, a token, the version's ETag, and 304 for it", async () => {
    const { path } = await createCustomer(fullCustomer());
    for (const _ of [1, 2]) {
      const answer = await full(path);
      expect(cacheStatus(answer)).toEqual(FULL_VIEW);
      expect(directives(answer)).toContain("no-store");
      expect(token(answer)).not.toBe("");
      expect(answer.headers.get("etag")).toMatch(/^"1([^\d"][^"]*)?"$/);
    }
    const etag = (await full(path)).headers.get("etag") ?? "";
    const unmoved = await full(path, { "if-none-match": etag });
    expect([unmoved.status, unmoved.text]).toEqual([304, ""]);
  });

  it("shows a change at once, and not older than a token", async () => {
    const { path } = await createCustomer();
    const changed = await patch(path, { name: "Grace" });
    expect((await full(path)).json.name).toBe("Grace");
    expect((await full(path, withToken(changed))).json).toMatchObject({ name: "Grace", versionId: 2 });
  });

  it("of a customer that never was is 404", async () => {
    for (const id of [randomUUID(), "x"]) expectProblem(await full(`${CUSTOMERS}/${id}`), 404, "not-found");
  });

  it.runIf(reader !== undefined)("needs customers:pii: 403 with customers:read alone, which sees the rest", async () => {
    const { path, sent } = await createCustomer(fullCustomer());
    const refused = await call("GET", `${path}?view=full`, { key: reader });
    expectProblem(refused, 403, "forbidden");
    expectNoTrace(refused, sent);
    expect((await call("GET", path, { key: reader })).status).toBe(200);
    expectProblem(await call("GET", `${CUSTOMERS}/x?view=full`, { key: reader }), 403, "forbidden");
  });
});

describe("POST /v1/customers/lookup", () => {
  it("answers 200 with the customer as GET gives it, and without a Location", async () => {
    const { path, sent } = await createCustomer(fullCustomer());
    const answer = await lookUp(sent.email);
    expect(answer.status).toBe(200);
    expect(answer.text).toBe((await read(path)).text);
    expect(answer.headers.has("location")).toBe(false);
    expectNoTrace(answer, sent);
  });

  it("finds after NFC, trimming and lower case", async () => {
    const email = `äda.${randomUUID()}@example.org`;
    const { id } = await createCustomer({ email });
    for (const written of [email.toUpperCase(), ` ${email}\n`, email.normalize("NFD")]) expect((await lookUp(written)).json.id).toBe(id);
  });

  it("is 404 if nobody has it, and does not repeat it", async () => {
    const email = newEmail();
    const answer = await lookUp(email);
    expectProblem(answer, 404, "not-found");
    expectNoTrace(answer, email);
  });

  it("is never answered from the cache: who registers, moves away or is erased is found, or not, from then on", async () => {
    const [email, next] = [newEmail(), newEmail()];
    expect((await lookUp(email)).status).toBe(404);
    const { path } = await createCustomer({ email });
    const found = await lookUp(email);
    expect(found.status).toBe(200);
    expect(found.headers.get("cache-status") ?? "").not.toMatch(/\bhit\b/);
    expect(directives(found)).toContain("no-store");
    await patch(path, { email: next });
    expect([(await lookUp(email)).status, (await lookUp(next)).status]).toEqual([404, 200]);
    await erase(path);
    expectProblem(await lookUp(next), 404, "not-found");
  });

  it("changes nothing, so an Idempotency-Key is ignored", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const [one, other] = [await createCustomer(), await createCustomer()];
    for (const { id, sent } of [one, other]) {
      const answer = await lookUp(sent.email, headers);
      expect([answer.status, answer.json.id, replayed(answer)]).toEqual([200, id, null]);
    }
  });

  it("needs an e-mail and knows no other field; what is wrong is 422, or 400 without a body", async () => {
    expectInvalid(await call("POST", `${CUSTOMERS}/lookup`, { body: {} }), "#/email");
    for (const email of ["", null, 7, "x".repeat(201)]) expectInvalid(await lookUp(email), "#/email");
    expectInvalid(await call("POST", `${CUSTOMERS}/lookup`, { body: { email: newEmail(), phone: newPhone() } }), "#/phone");
    expectProblem(await call("POST", `${CUSTOMERS}/lookup`), 400, "malformed");
  });

  it("an e-mail in the URL finds nobody: personal data never stands there", async () => {
    const { sent } = await createCustomer();
    const email = encodeURIComponent(sent.email);
    expectProblem(await read(`${CUSTOMERS}/${email}`), 404, "not-found");
    const asked = await read(`${CUSTOMERS}?email=${email}`);
    expect([200, 405]).toContain(asked.status);
    if (asked.status === 200) expect((await read(`${CUSTOMERS}?email=${encodeURIComponent(newEmail())}`)).json.items.length).toBe(asked.json.items.length);
  });

  it.runIf(reader !== undefined)("needs customers:pii: 403 with customers:read alone, whether or not somebody has it", async () => {
    const { sent } = await createCustomer();
    for (const email of [sent.email, newEmail()]) expectProblem(await call("POST", `${CUSTOMERS}/lookup`, { body: { email }, key: reader }), 403, "forbidden");
  });
});

describe("personal data stands in no answer but the full view, in no encoding", () => {
  it("not in a registration, a change, a read, an earlier version, the history, or under /ops", async () => {
    const stream = await listen();
    const sent = fullCustomer();
    const next = { name: `Grace ${randomUUID()}`, email: newEmail(), phone: newPhone(), address: fullPlace() };
    const made = await call("POST", CUSTOMERS, { body: sent });
    const { id } = made.json;
    const path = `${CUSTOMERS}/${id}`;
    const changed = await patch(path, next);
    await place({ customerId: id });
    const answers: Array<Answer> = [
      made, changed, await patch(path, next), await read(path), await read(path, { "cache-control": "no-cache" }), await call("HEAD", path),
      await read(`${path}?version=1`), await read(`${path}?version=2`), await read(`${path}/events`), await read(`/v1/orders?customerId=${id}`),
      await read(`/ops/entries/customer/${id}`), await read("/ops/retry-queue?limit=200"), await read("/ops/stats"), await read("/metrics"),
    ];
    for (const answer of answers) expectNoTrace(answer, [sent, next]);
    expectNoTraceIn(JSON.stringify(await stream.changesOf([id], 2)), [sent, next]);
  });

  it("nor do its hashes stand in an event or a change: they are in the row and the entry only", async () => {
    const stream = await listen();
    const customer = await createCustomer(fullCustomer());
    const { emailHash, phoneHash } = (await patch(customer.path, { email: newEmail(), phone: newPhone() })).json;
    const told = JSON.stringify([await eventsOf(customer.path), await stream.changesOf([customer.id], 2)]);
    for (const hash of [customer.emailHash, customer.phoneHash, emailHash, phoneHash]) expect(told).not.toContain(hash);
  });

  it("not in the refusal of a taken e-mail", async () => {
    const { sent } = await createCustomer(fullCustomer());
    const answer = await register(fullCustomer({ email: sent.email }));
    expectProblem(answer, 409, "email-taken");
    expectNoTrace(answer, sent);
  });

  it("not in what says that it is invalid, too long or of another type", async () => {
    const start = () => randomUUID();
    const secret = {
      name: start().padEnd(201, "x"), email: `${start()} no at`, phone: start().padEnd(201, "y"),
      address: { line1: start().padEnd(2_001, "z"), city: [start()], country: `${start()}\u0000`, postcode: { of: start() } },
    };
    const starts = textsIn(secret).map((text) => text.slice(0, 36));
    const made = await register(secret);
    expectProblem(made, 422, "invalid");
    expectNoTrace(made, starts);
    const { path } = await createCustomer();
    const changed = await patch(path, secret);
    expectProblem(changed, 422, "invalid");
    expectNoTrace(changed, starts);
    expectNoTrace(await lookUp(secret.email), starts);
  });

  it("not in what says that the JSON is malformed, wherever it breaks", async () => {
    const { name, email } = newCustomer();
    for (const raw of [`{"email":"${email}",}`, `{"email":"${email}","email":"${email}"}`, `{"name":"${name}\n"}`, email, `{"email":"${email}`]) {
      for (const path of [CUSTOMERS, `${CUSTOMERS}/lookup`]) {
        const answer = await call("POST", path, { raw });
        expectProblem(answer, 400, "malformed");
        expectNoTrace(answer, [name, email]);
      }
    }
  });

  it("not in what says that a key was used for another request, or that a version moved", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const sent = fullCustomer();
    const made = await call("POST", CUSTOMERS, { body: sent, headers });
    const other = fullCustomer();
    const reused = await call("POST", CUSTOMERS, { body: other, headers });
    expectProblem(reused, 422, "idempotency-key-reused");
    const moved = await patch(`${CUSTOMERS}/${made.json.id}`, other, { "if-match": '"none"' });
    expectProblem(moved, 412, "version-mismatch");
    for (const answer of [reused, moved]) expectNoTrace(answer, [sent, other]);
  });
});
