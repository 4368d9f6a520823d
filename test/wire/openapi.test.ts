import { describe, expect, it } from "vitest";
import { type Answer, call, wire } from "./client.ts";
import { exists, LATER, methodsOf, type Route, ROUTES } from "./routes.ts";

const METHODS = ["get", "put", "post", "delete", "patch"];
const PROBLEMS = `malformed unauthenticated forbidden not-found deleted version-mismatch method-not-allowed too-large
  unsupported-media-type invalid idempotency-key-reused idempotency-key-in-flight consistency-token-unknown rate-limited
  unavailable unknown-outcome sku-taken email-taken insufficient-stock price-changed product-not-available customer-erased
  order-not-placed order-not-paid order-not-shipped order-not-cancellable history-pruned`.split(/\s+/);

const openapi = async (): Promise<any> => (await call("GET", "/openapi.json", { key: null })).json;

const at = (document: any, pointer: string): any =>
  pointer.slice(2).split("/").reduce((value, step) => value?.[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")], document);

/** With every `$ref` in it replaced by what it refers to, as far as it does not contain itself. */
const resolved = (document: any, value: any, within: ReadonlyArray<string> = []): any => {
  if (Array.isArray(value)) return value.map((item) => resolved(document, item, within));
  if (typeof value !== "object" || value === null) return value;
  const { $ref, ...rest } = value;
  const here = Object.fromEntries(Object.entries(rest).map(([name, inner]) => [name, resolved(document, inner, within)]));
  if (typeof $ref !== "string" || within.includes($ref)) return here;
  return { ...resolved(document, at(document, $ref), [...within, $ref]), ...here };
};

const operation = (document: any, { method, path }: Pick<Route, "method" | "path">): any => {
  const names = (text: string) => text.replace(/\{[^}]*\}/g, "{}");
  const found = Object.entries<any>(document.paths).find(([written]) => names(written) === names(path));
  return resolved(document, found?.[1][method.toLowerCase()]);
};

const operations = (document: any): Array<{ path: string; method: string; operation: any; shared: Array<any> }> =>
  Object.entries<any>(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => ({ path, method, operation: resolved(document, item[method]), shared: resolved(document, item.parameters ?? []) })));

const UNIQUE = [...new Map(ROUTES.map((route) => [`${route.method} ${route.path}`, route])).values()];
const titled = UNIQUE.map((route) => [`${route.method} ${route.path}`, route] as const);

/** A schema with what its `allOf` adds to it: a generator may write the limits of a number there. */
const flat = (schema: any): any => {
  if (Array.isArray(schema)) return schema.map(flat);
  if (typeof schema !== "object" || schema === null) return schema;
  const { allOf, ...rest } = Object.fromEntries(Object.entries(schema).map(([name, inner]) => [name, flat(inner)]));
  return Array.isArray(allOf) ? Object.assign({}, rest, ...allOf) : rest;
};
const bodyOf = (operation: any): any => flat(Object.values<any>(operation.requestBody.content)[0].schema);

const requiredBy = (schema: any): Array<string> => [...(schema.required as Array<string>)].sort();

/** The first object schema that has this property, wherever it stands: inside `allOf`, `anyOf` or directly. */
const property = (schema: any, name: string): any => {
  if (typeof schema !== "object" || schema === null) return undefined;
  if (schema.properties?.[name] !== undefined) return schema.properties[name];
  return Object.values(schema).map((inner) => property(inner, name)).find((found) => found !== undefined);
};

describe("GET /openapi.json", () => {
  it("is a document of OpenAPI 3.1, without a key", async () => {
    const answer = await call("GET", "/openapi.json", { key: null });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^application\/(vnd\.oai\.openapi\+)?json\b/);
    expect(answer.json.openapi).toMatch(/^3\.1\.\d+$/);
    expect(answer.json.info).toMatchObject({ title: expect.stringMatching(/\S/), version: expect.stringMatching(/\S/) });
  });

  it("every $ref leads somewhere inside of it", async () => {
    const document = await openapi();
    for (const [, ref] of JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)) {
      expect(ref).toMatch(/^#\//);
      expect(at(document, ref!), ref).toBeDefined();
    }
  });

  it.each(titled)("lists %s, where it exists", async (_, route) => {
    if (!LATER.includes(route.path)) expect(await exists(route), "the page promises it").toBe(true);
    else if (!(await exists(route))) return;
    expect(operation(await openapi(), route)).toBeDefined();
  });

  it("lists nothing that does not exist", async () => {
    for (const { path, method } of operations(await openapi())) {
      expect(await methodsOf(path.replace(/\{[^}]*\}/g, "x")), `${method} ${path}`).toContain(method.toUpperCase());
    }
  });

  it("every operation has an id of its own, and answers", async () => {
    const all = operations(await openapi());
    const ids = all.map(({ operation }) => operation.operationId).filter((id) => id !== undefined);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, method, operation } of all) {
      expect(Object.keys(operation.responses ?? {}).some((status) => /^[23]/.test(status)), `${method} ${path}`).toBe(true);
      for (const response of Object.values<any>(operation.responses)) expect(response.description).toEqual(expect.stringMatching(/\S/));
    }
  });

  it("every parameter of a path is declared, and is required", async () => {
    for (const { path, method, operation, shared } of operations(await openapi())) {
      const declared = [...(operation.parameters ?? []), ...shared].filter((parameter: any) => parameter.in === "path");
      const expected = [...path.matchAll(/\{([^}]*)\}/g)].map(([, name]) => name!);
      expect(declared.map((parameter: any): string => parameter.name).sort(), `${method} ${path}`).toEqual(expected.sort());
      for (const parameter of declared) expect(parameter.required).toBe(true);
    }
  });
});

describe("problems are included", () => {
  it("each by its name", async () => {
    const text = JSON.stringify(await openapi());
    for (const name of PROBLEMS) expect(text.includes(`/problems/${name}"`) || text.includes(`"${name}"`), name).toBe(true);
  });

  it("errors are application/problem+json, in every operation that needs a key at least 401 and 403", async () => {
    const document = await openapi();
    for (const route of UNIQUE.filter(({ scopes, path }) => scopes !== null && !LATER.includes(path))) {
      const { responses } = operation(document, route);
      for (const status of ["401", "403"]) expect(Object.keys(responses), `${route.method} ${route.path}`).toContain(status);
      for (const [status, response] of Object.entries<any>(responses)) {
        if (/^[45]/.test(status)) expect(Object.keys(response.content ?? {}), `${route.method} ${route.path} ${status}`).toContain("application/problem+json");
      }
    }
  });

  it.each([
    ["POST", "/v1/products", ["sku-taken"]],
    ["POST", "/v1/orders", ["insufficient-stock", "price-changed", "product-not-available", "customer-erased"]],
    ["POST", "/v1/orders/{id}/payment", ["order-not-placed"]],
    ["POST", "/v1/orders/{id}/shipment", ["order-not-paid"]],
    ["POST", "/v1/orders/{id}/delivery", ["order-not-shipped"]],
    ["POST", "/v1/orders/{id}/cancellation", ["order-not-cancellable"]],
    ["POST", "/v1/customers", ["email-taken"]],
    ["PATCH", "/v1/customers/{id}", ["email-taken"]],
  ] as const)("%s %s names what the domain refuses: %j", async (method, path, names) => {
    const { responses } = operation(await openapi(), { method, path });
    expect(responses["409"]).toBeDefined();
    for (const name of names) expect(JSON.stringify(responses["409"])).toContain(name);
  });

  it("a change of an entity says that it can be 404, 410, 412, 413, 415 and 422, and all the rest", async () => {
    const { responses } = operation(await openapi(), { method: "PATCH", path: "/v1/customers/{id}" });
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(["400", "404", "410", "412", "413", "415", "422", "429", "503"]));
  });
});

describe("what is said of requests is what validates them", () => {
  it("an order has 1 to 1,000 lines and a quantity 1 to 1,000,000, and knows no other fields", async () => {
    const schema = bodyOf(operation(await openapi(), { method: "POST", path: "/v1/orders" }));
    expect(schema).toMatchObject({ type: "object", additionalProperties: false });
    expect(requiredBy(schema)).toEqual(["customerId", "lines", "shippingAddress"]);
    expect(property(schema, "lines")).toMatchObject({ type: "array", minItems: 1, maxItems: 1_000 });
    expect(property(schema, "quantity")).toMatchObject({ minimum: 1, maximum: 1_000_000 });
  });

  it("a customer needs name, e-mail and consent; a session has its seconds within their limits", async () => {
    const document = await openapi();
    expect(requiredBy(bodyOf(operation(document, { method: "POST", path: "/v1/customers" })))).toEqual(["email", "marketingConsent", "name"]);
    const session = bodyOf(operation(document, { method: "PUT", path: "/v1/sessions/{id}" }));
    expect(requiredBy(session)).toEqual(["data", "ttlSeconds"]);
    expect(property(session, "ttlSeconds")).toMatchObject({ minimum: 1, maximum: 2_592_000 });
  });

  it("PATCH takes application/merge-patch+json and application/json, and needs no field", async () => {
    const document = await openapi();
    for (const path of ["/v1/products/{id}", "/v1/customers/{id}"]) {
      const { requestBody } = operation(document, { method: "PATCH", path });
      expect(Object.keys(requestBody.content).sort()).toEqual(["application/json", "application/merge-patch+json"]);
      expect(bodyOf({ requestBody }).required ?? []).toEqual([]);
    }
  });

  it("lists have limit, cursor and their filters, orders the view", async () => {
    const document = await openapi();
    const names = (path: string) => (operation(document, { method: "GET", path }).parameters ?? []).filter((parameter: any) => parameter.in === "query").map((parameter: any): string => parameter.name).sort();
    expect(names("/v1/orders")).toEqual(["cursor", "customerId", "limit", "status"]);
    expect(names("/v1/products")).toEqual(["cursor", "limit", "status"]);
    expect(names("/v1/orders/{id}")).toEqual(["version", "view"]);
    expect(names("/v1/customers/{id}")).toEqual(["version", "view"]);
  });

  it("a key is a bearer token; what needs one says so, what is open does not", async () => {
    const document = await openapi();
    const schemes = Object.entries<any>(resolved(document, document.components?.securitySchemes ?? {}));
    const bearer = schemes.filter(([, scheme]) => scheme.type === "http" && scheme.scheme.toLowerCase() === "bearer").map(([name]) => name);
    expect(bearer.length).toBeGreaterThan(0);
    for (const route of UNIQUE.filter(({ path }) => !LATER.includes(path))) {
      const security: Array<any> = operation(document, route).security ?? document.security ?? [];
      const asked = security.flatMap((requirement) => Object.keys(requirement));
      expect(asked.some((name) => bearer.includes(name)), `${route.method} ${route.path}`).toBe(route.scopes !== null);
    }
  });
});

describe("GET /docs", () => {
  const LOADED = /<(?:script|link|img|iframe|source|embed|object|audio|video|use)\b[^>]*?\b(?:src|href|data)\s*=\s*["']?([^"'\s>]+)/gi;
  const FETCHED = /(?:url\(\s*["']?|@import\s+["']|\bimport\s*\(?\s*["']|\bfrom\s*["']|\bfetch\(\s*["'`]|\bsrc\s*=\s*["'`])([^"'`)\s]+)/gi;
  const isForeign = (link: string): boolean => /^(?:[a-z][a-z0-9+.-]*:)?\/\//i.test(link) && new URL(link, wire().url).host !== new URL(wire().url).host;
  const linksOf = ({ text }: Answer, form: RegExp): Array<string> => [...text.matchAll(form)].map(([, link]) => link!);

  it("is a page, without a key", async () => {
    const answer = await call("GET", "/docs", { key: null });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^text\/html\b/);
  });

  it("loads nothing from another host, nor does what it loads, and everything that it loads is there, without a key", async () => {
    const page = await call("GET", "/docs", { key: null });
    for (const link of [...linksOf(page, LOADED), ...linksOf(page, FETCHED)]) expect(isForeign(link), link).toBe(false);
    for (const link of linksOf(page, LOADED).filter((link) => !link.startsWith("data:"))) {
      const { pathname, search } = new URL(link, new URL("/docs", wire().url));
      const part = await call("GET", pathname + search, { key: null });
      expect(part.status, link).toBe(200);
      for (const inner of linksOf(part, FETCHED)) expect(isForeign(inner), `${inner} in ${link}`).toBe(false);
    }
  });

  it("shows what /openapi.json says: it names the routes, or the document that it reads them from", async () => {
    const { text } = await call("GET", "/docs", { key: null });
    expect(text.includes("openapi.json") || ROUTES.every(({ path }) => LATER.includes(path) || text.includes(path))).toBe(true);
  });
});
