import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { bodyOf, openapi, operation, operations, property, requiredBy, resolved } from "./openapi.ts";
import { PROBLEMS } from "./problem.ts";
import { existing, exists, methodsOf, nameOf } from "./routes.ts";

// A route that a view or a version asks for more scopes is one operation.
const UNIQUE = [...new Map((await existing()).map((route) => [nameOf(route), route])).values()];
const titled = UNIQUE.map((route) => [`${route.method} ${route.path}`, route] as const);

describe("GET /openapi.json", () => {
  it("is a document of OpenAPI 3.1, without a key", async () => {
    const answer = await call("GET", "/openapi.json", { key: null });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^application\/(vnd\.oai\.openapi\+)?json\b/);
    expect(answer.json.openapi).toMatch(/^3\.1\.\d+$/);
    expect(answer.json.info).toMatchObject({ title: expect.stringMatching(/\S/), version: expect.stringMatching(/\S/) });
  });

  it.each(titled)("lists %s, which exists", async (_, route) => {
    expect(await exists(route), "the page promises it").toBe(true);
    expect(operation(await openapi(), route)).toBeDefined();
  });

  it("lists nothing that does not exist", async () => {
    for (const { path, method } of operations(await openapi())) {
      expect(await methodsOf(path.replace(/\{[^}]*\}/g, "x")), `${method} ${path}`).toContain(method);
    }
  });

  it("every operation has answers, each with a description", async () => {
    for (const { path, method, operation } of operations(await openapi())) {
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
    for (const route of UNIQUE.filter(({ scopes }) => scopes !== null)) {
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
    for (const route of UNIQUE) {
      const security: Array<any> = operation(document, route).security ?? document.security ?? [];
      const asked = security.flatMap((requirement) => Object.keys(requirement));
      expect(asked.some((name) => bearer.includes(name)), `${route.method} ${route.path}`).toBe(route.scopes !== null);
    }
  });
});
