import { createPublicKey, randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { compact, type IssuerKey, makeKey, seconds, signedBy, signedWithText } from "../support/issuer.ts";
import { listen } from "./changeStream.ts";
import { type Answer, call, wire } from "./client.ts";
import type { Issuer } from "./keys.ts";
import { lineOf, newOrder, ORDERS, place, take } from "./orders.ts";
import { expectProblem } from "./problem.ts";
import { create, newProduct } from "./products.ts";

const { issuers } = wire();
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const claimsOf = (issuer: Issuer): Record<string, unknown> => ({ iss: issuer.issuer, aud: issuer.audience, sub: "tester", iat: seconds(0), exp: seconds(300), scope: "catalog:read" });
const headerOf = (issuer: Issuer): Record<string, unknown> => ({ alg: issuer.alg, typ: "JWT", kid: issuer.kid });

type Changes = { readonly claims?: Record<string, unknown>; readonly header?: Record<string, unknown>; readonly key?: Pick<IssuerKey, "alg" | "privateKey"> };

/** A token as the issuer makes it, with what the test wants otherwise; `undefined` leaves a claim out. */
const jwt = (issuer: Issuer, { claims, header, key = issuer }: Changes = {}): string =>
  compact({ ...headerOf(issuer), ...header }, { ...claimsOf(issuer), ...claims }, signedBy(key));

const ask = (key: string): Promise<Answer> => call("GET", "/v1/products?limit=1", { key });
const write = (key: string): Promise<Answer> => call("POST", "/v1/products", { body: newProduct(), key });

const expectRefused = async (token: string): Promise<void> => {
  const answer = await ask(token);
  expectProblem(answer, 401, "unauthenticated");
  expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
  if (token.length > 40) expect(answer.text).not.toContain(token.slice(0, 20));
};

describe.runIf(issuers.length > 0).each(issuers.map((issuer) => [issuer.alg, issuer] as const))("a JWT of the issuer, signed with %s", (_, issuer) => {
  it("works as a key with the scopes that stand in scope, and no others", async () => {
    const reader = jwt(issuer), writer = jwt(issuer, { claims: { scope: "catalog:read catalog:write" } });
    expect([(await ask(reader)).status, (await ask(writer)).status, (await write(writer)).status]).toEqual([200, 200, 201]);
    expectProblem(await write(reader), 403, "forbidden");
  });

  it("without scopes or with unknown ones is somebody who may do nothing: 403", async () => {
    for (const scope of [undefined, "", "catalog", "CATALOG:READ", "admin *"]) expectProblem(await ask(jwt(issuer, { claims: { scope } })), 403, "forbidden");
  });

  it("with unknown scopes beside a known one has the known one", async () => {
    expect((await ask(jwt(issuer, { claims: { scope: "openid catalog:read profile" } }))).status).toBe(200);
  });

  it("with the audience among several is for us", async () => {
    expect((await ask(jwt(issuer, { claims: { aud: ["https://other.example", issuer.audience] } }))).status).toBe(200);
  });

  it.each([
    ["expired", { exp: seconds(-3_600) }],
    ["without an expiry", { exp: undefined }],
    ["with an expiry that is text", { exp: String(seconds(300)) }],
    ["not valid yet", { nbf: seconds(3_600) }],
    ["of another issuer", { iss: "https://other.example" }],
    ["of an issuer that only begins alike", { iss: `${issuer.issuer}.evil.example` }],
    ["without an issuer", { iss: undefined }],
    ["for another audience", { aud: "https://other.example" }],
    ["for other audiences", { aud: ["https://other.example", "https://third.example"] }],
    ["for no audience in particular", { aud: undefined }],
    ["for an empty list of audiences", { aud: [] }],
  ])("%s is 401", async (_, claims) => expectRefused(jwt(issuer, { claims })));

  it("signed with another key under the issuer's kid, or under an unknown kid, is 401", async () => {
    const key = makeKey(issuer.alg, "other");
    await expectRefused(jwt(issuer, { key }));
    await expectRefused(jwt(issuer, { key, header: { kid: randomUUID() } }));
    await expectRefused(jwt(issuer, { key, header: { jwk: key.publicKey.export({ format: "jwk" }) } }));
  });

  it("with the algorithm none is 401, signed or not", async () => {
    for (const alg of ["none", "None", "NONE", ""]) {
      await expectRefused(jwt(issuer, { header: { alg } }));
      await expectRefused(`${part({ alg, typ: "JWT" })}.${part(claimsOf(issuer))}.`);
    }
  });

  it("with HS256 under the public key as a secret is 401", async () => {
    const key = createPublicKey(issuer.privateKey);
    const texts = [key.export({ type: "spki", format: "pem" }), key.export({ type: "spki", format: "der" }), JSON.stringify(key.export({ format: "jwk" }))];
    for (const secret of texts) await expectRefused(compact({ ...headerOf(issuer), alg: "HS256" }, claimsOf(issuer), signedWithText(secret)));
  });

  it("with a changed payload, header or signature, cut, or with more behind it is 401", async () => {
    const [header, payload, signed] = jwt(issuer).split(".") as [string, string, string];
    const promoted = part({ ...claimsOf(issuer), scope: "catalog:read catalog:write ops:write" });
    const turned = signed[10] === "A" ? "B" : "A";
    for (const broken of [
      `${header}.${promoted}.${signed}`, `${part({ alg: issuer.alg, kid: issuer.kid })}.${payload}.${signed}`,
      `${header}.${payload}.${signed.slice(0, 10)}${turned}${signed.slice(11)}`, `${header}.${payload}.${signed.slice(0, -8)}`,
      `${header}.${payload}.`, `${header}.${payload}`, `${header}..${signed}`, `.${payload}.${signed}`, `${header}.${payload}.${signed}.${signed}`, "..", `${header}.!!!.${signed}`,
    ]) await expectRefused(broken);
  });

  it("with a critical extension that nobody knows is 401", async () => {
    await expectRefused(jwt(issuer, { header: { crit: ["example"], example: true } }));
  });

  it("with changes:read and orders:read hears of orders, and not of the customers and products that change with them", async () => {
    const stream = await listen("", { authorization: `Bearer ${jwt(issuer, { claims: { scope: "changes:read orders:read" } })}` });
    const lamp = await create();
    const placed = await place({ lines: [lineOf(lamp)] });
    await take(placed.path, "cancellation");
    const changes = await stream.changesOf([placed.id, placed.customerId, lamp.id], 2);
    expect(changes.map(({ data }) => [data.id, data.versionId])).toEqual([[placed.id, 1], [placed.id, 2]]);
  });

  it("with orders:write but without orders:import pays the product's price: 409 price-changed", async () => {
    const body = await newOrder({ lines: [lineOf(await create(), 1, { unitPrice: { amount: 1, currency: "EUR" } })] });
    const ordered = (scope: string) => call("POST", ORDERS, { body, key: jwt(issuer, { claims: { scope } }) });
    expectProblem(await ordered("orders:write"), 409, "price-changed");
    expect((await ordered("orders:write orders:import")).json.total).toEqual({ amount: 1, currency: "EUR" });
  });

  it("for an open path is not looked at", async () => {
    expect((await call("GET", "/healthz", { key: jwt(issuer, { claims: { exp: 1 } }) })).status).toBe(200);
  });
});

describe("a JWT of an issuer that nobody configured", () => {
  it("is 401 like any other unknown key", async () => {
    await expectRefused(jwt({ ...makeKey("EdDSA", "1"), issuer: "https://stranger.example", audience: "holdfast" }));
  });
});
