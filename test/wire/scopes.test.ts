import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { listen } from "./changeStream.ts";
import { type Answer, call, wire } from "./client.ts";
import { createCustomer } from "./customers.ts";
import { versionsOf } from "./entries.ts";
import { SCOPES } from "./keys.ts";
import { lineOf, newOrder, ORDERS, place } from "./orders.ts";
import { expectProblem } from "./problem.ts";
import { create } from "./products.ts";
import { operations } from "./openapi.ts";
import { existing, nameOf, type Route } from "./routes.ts";

const { url, scopedKeys } = wire();
const ROUTES = await existing();
const HELD = SCOPES.filter((scope) => scopedKeys[scope] !== undefined);
const UNKNOWN: Record<string, string> = { kind: "product", name: "not-found" };

/** With ids of nothing: who is let through changes nothing. */
const pathOf = ({ path, query = "" }: Route): string => path.replace(/\{(\w+)\}/g, (_, name: string) => UNKNOWN[name] ?? randomUUID()) + query;

/** Only the head of an answer that has no end; a problem has one. */
const headOf = async (path: string, key: string | null): Promise<Answer> => {
  const stop = new AbortController();
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(`${url.replace(/\/$/, "")}${path}`, { headers, signal: stop.signal });
  const text = response.ok ? "" : await response.text();
  stop.abort();
  return { status: response.status, headers: response.headers, text, json: text === "" ? undefined : JSON.parse(text) };
};

const ask = (route: Route, key: string | null): Promise<Answer> =>
  route.stream ? headOf(pathOf(route), key) : call(route.method, pathOf(route), { body: route.body, key });

const titled = ROUTES.map((route) => [`${route.method} ${route.path}${route.query ?? ""}`, route] as const);
const guarded = titled.filter(([, route]) => route.scopes !== null);
const open = titled.filter(([, route]) => route.scopes === null);

describe("the routes that are tried here", () => {
  it("are all that /openapi.json has, each with the scopes that it names there", async () => {
    const document = (await call("GET", "/openapi.json", { key: null })).json;
    const written = operations(document).map(({ method, path, operation: { security = [] } }) =>
      [nameOf({ method, path }), security.flatMap((requirement: any) => Object.values(requirement).flat()).sort()] as const);
    const plain = ROUTES.filter(({ query }) => query === undefined).map((route) => [nameOf(route), (route.scopes ?? []).toSorted()] as const);
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(plain));
  });
});

describe.runIf(HELD.length > 0)("a key with one scope", () => {
  it.each(guarded)("%s is 403 for every scope but its own", async (_, route) => {
    for (const scope of HELD) {
      const answer = await ask(route, scopedKeys[scope]!);
      const suffices = route.scopes!.every((needed) => needed === scope);
      if (suffices) expect([401, 403], `${scope}: ${answer.text}`).not.toContain(answer.status);
      else expectProblem(answer, 403, "forbidden");
    }
  });

  it("HEAD needs what GET needs", async () => {
    for (const [title, route] of guarded.filter(([, { method, stream }]) => method === "GET" && !stream)) {
      for (const scope of HELD) {
        const { status } = await call("HEAD", pathOf(route), { key: scopedKeys[scope] });
        expect(status === 403, `${title} with ${scope}: ${status}`).toBe(!route.scopes!.every((needed) => needed === scope));
      }
    }
  });

  it("an unknown path needs none: 404", async () => {
    for (const scope of HELD) expectProblem(await call("GET", "/v1/nothing", { key: scopedKeys[scope] }), 404, "not-found");
  });

  it.each(open)("%s is open to all of them", async (_, route) => {
    for (const scope of HELD) expect((await ask(route, scopedKeys[scope]!)).status).toBe(200);
  });
});

describe("a key with every scope", () => {
  it.each(guarded)("is let through to %s", async (_, route) => {
    expect([401, 403]).not.toContain((await ask(route, wire().key)).status);
  });
});

describe("without a key", () => {
  it.each(guarded)("%s is 401 with WWW-Authenticate: Bearer", async (_, route) => {
    const answer = await ask(route, null);
    expectProblem(answer, 401, "unauthenticated");
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
  });

  it.each(open)("%s is open", async (_, route) => {
    expect((await ask(route, null)).status).toBe(200);
  });
});

describe("what is refused for its scope has no effect", () => {
  let placed: any, customer: any, lamp: any;
  beforeAll(async () => {
    [customer, lamp] = [await createCustomer(), await create()];
    placed = await place({ customerId: customer.id, lines: [lineOf(lamp)] });
  });

  it.runIf(scopedKeys["orders:read"] !== undefined)("orders:read takes no step and places no order", async () => {
    const key = scopedKeys["orders:read"];
    expectProblem(await call("POST", `${placed.path}/cancellation`, { body: { reason: "x" }, key }), 403, "forbidden");
    expectProblem(await call("POST", ORDERS, { body: await newOrder({ lines: [lineOf(lamp)] }), key }), 403, "forbidden");
    expect([await versionsOf(placed.path), await versionsOf(lamp.path)]).toEqual([[1], [1, 2]]);
  });

  it.runIf(scopedKeys["orders:import"] !== undefined)("orders:import sets prices, but places no order without orders:write", async () => {
    const body = await newOrder({ lines: [lineOf(lamp, 1, { unitPrice: { amount: 1, currency: "EUR" } })] });
    expectProblem(await call("POST", ORDERS, { body, key: scopedKeys["orders:import"] }), 403, "forbidden");
    expect(await versionsOf(lamp.path)).toEqual([1, 2]);
  });

  it.runIf(scopedKeys["customers:read"] !== undefined)("customers:read changes and erases nobody", async () => {
    const key = scopedKeys["customers:read"];
    expectProblem(await call("PATCH", customer.path, { body: { name: "Grace" }, key }), 403, "forbidden");
    expectProblem(await call("DELETE", customer.path, { key }), 403, "forbidden");
    expect(await versionsOf(customer.path)).toEqual([1]);
  });

  it.runIf(scopedKeys["orders:write"] !== undefined)("orders:write places orders for customers and of products that it may not read", async () => {
    const answer = await call("POST", ORDERS, { body: await newOrder(), key: scopedKeys["orders:write"] });
    expect(answer.status, answer.text).toBe(201);
  });
});

describe("GET /v1/changes tells only of the kinds whose :read scope the key has", () => {
  it.runIf(scopedKeys["changes:read"] !== undefined)("changes:read alone hears of none, though it began at the oldest kept: nothing but comments", async () => {
    await place();
    const stop = new AbortController();
    const headers = { authorization: `Bearer ${scopedKeys["changes:read"]}` };
    const response = await fetch(`${url.replace(/\/$/, "")}/v1/changes?after=0`, { headers, signal: stop.signal });
    expect(response.status).toBe(200);
    let told = "";
    for await (const bytes of response.body!) {
      told += Buffer.from(bytes).toString("latin1");
      // The first comment may greet; when the second has come, whatever was there to tell has been told.
      if ((told.match(/^:/gm) ?? []).length >= 2) break;
    }
    stop.abort();
    expect(told).not.toMatch(/^(data|id|event)/m);
  });

  it("with every scope it hears of all three", async () => {
    const stream = await listen();
    const { id: customerId } = await createCustomer();
    const lamp = await create();
    const { id } = await place({ customerId, lines: [lineOf(lamp)] });
    const kinds = (await stream.changesOf([customerId, lamp.id, id], 4)).map(({ data }) => data.kind);
    expect([...new Set<string>(kinds)].sort()).toEqual(["customer", "order", "product"]);
  });
});
