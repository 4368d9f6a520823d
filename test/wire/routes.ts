import { call } from "./client.ts";
import type { Scope } from "./keys.ts";

export type Route = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** As OpenAPI writes it. */
  readonly path: string;
  /** All of them are needed; `null`: no key is. */
  readonly scopes: ReadonlyArray<Scope> | null;
  /** Added to the path where it decides which scopes are needed. */
  readonly query?: string;
  /** Sent by the test of the scopes: what is understood and has no effect, or is refused after the scope was looked at. */
  readonly body?: unknown;
  /** Its answer has no end. */
  readonly stream?: true;
  /** The page promises it for later, or does not name it: it may be 404 or 405. */
  readonly optional?: true;
};

const route = (method: Route["method"], path: string, scopes: Route["scopes"], more: Partial<Route> = {}): Route => ({ method, path, scopes, ...more });
const NOTHING = { body: {} };

const entity = (plural: string, prefix: "catalog" | "orders" | "customers"): ReadonlyArray<Route> => [
  route("POST", `/v1/${plural}`, [`${prefix}:write`], NOTHING),
  route("GET", `/v1/${plural}/{id}`, [`${prefix}:read`]),
  route("GET", `/v1/${plural}/{id}`, [`${prefix}:read`], { query: "?version=1" }),
  route("GET", `/v1/${plural}/{id}/events`, [`${prefix}:read`]),
];

/** Every route of the page but the console, which takes a cookie; and those that an installation may have beside them. */
export const ROUTES: ReadonlyArray<Route> = [
  ...entity("products", "catalog"),
  route("GET", "/v1/products", ["catalog:read"]),
  route("PATCH", "/v1/products/{id}", ["catalog:write"], NOTHING),
  route("DELETE", "/v1/products/{id}", ["catalog:write"]),
  route("POST", "/v1/products/{id}/stock-adjustments", ["catalog:write"], NOTHING),
  route("POST", "/v1/products/batch", ["catalog:write"], NOTHING),

  ...entity("orders", "orders"),
  route("GET", "/v1/orders", ["orders:read"]),
  route("GET", "/v1/orders/{id}", ["orders:read", "customers:pii"], { query: "?view=full" }),
  route("POST", "/v1/orders/{id}/payment", ["orders:write"], NOTHING),
  route("POST", "/v1/orders/{id}/shipment", ["orders:write"], NOTHING),
  route("POST", "/v1/orders/{id}/delivery", ["orders:write"], NOTHING),
  route("POST", "/v1/orders/{id}/cancellation", ["orders:write"], NOTHING),

  ...entity("customers", "customers"),
  route("GET", "/v1/customers", ["customers:read"], { optional: true }),
  route("GET", "/v1/customers/{id}", ["customers:read", "customers:pii"], { query: "?view=full" }),
  route("PATCH", "/v1/customers/{id}", ["customers:write"], NOTHING),
  route("DELETE", "/v1/customers/{id}", ["customers:write"]),
  route("POST", "/v1/customers/lookup", ["customers:pii"], NOTHING),

  route("GET", "/v1/changes", ["changes:read"], { stream: true }),
  route("PUT", "/v1/sessions/{id}", ["sessions"], NOTHING),
  route("GET", "/v1/sessions/{id}", ["sessions"]),
  route("DELETE", "/v1/sessions/{id}", ["sessions"]),

  route("GET", "/ops/queue-size", ["ops:read"]),
  route("GET", "/ops/stats", ["ops:read"]),
  route("GET", "/ops/retry-queue", ["ops:read"]),
  route("POST", "/ops/retry-queue/replay", ["ops:write"], { body: { dryRun: true } }),
  route("DELETE", "/ops/retry-queue/{kind}/{id}", ["ops:write"]),
  route("GET", "/ops/entries/{kind}/{id}", ["ops:read"]),
  route("DELETE", "/ops/entries/{kind}/{id}", ["ops:write"]),
  route("POST", "/ops/verifications", ["ops:write"], { body: { nothing: "known" } }),
  route("GET", "/ops/verifications/{id}", ["ops:read"]),
  route("POST", "/ops/rebuilds", ["ops:write"], { body: { nothing: "known" } }),
  route("GET", "/ops/rebuilds/{id}", ["ops:read"]),
  route("GET", "/metrics", ["ops:read"]),

  route("GET", "/healthz", null),
  route("GET", "/readyz", null),
  route("GET", "/openapi.json", null),
  route("GET", "/docs", null),
  route("GET", "/problems/{name}", null),
];

/** The methods that a path takes, by the `Allow` of one that no path takes; none where there is no such path. */
export const methodsOf = async (path: string): Promise<Array<string>> => {
  const answer = await call("PROPFIND", path);
  return answer.status === 405 ? (answer.headers.get("allow") ?? "").split(",").map((method) => method.trim()) : [];
};

export const exists = async ({ method, path }: Route): Promise<boolean> => (await methodsOf(path.replace(/\{[^}]*\}/g, "x"))).includes(method);

/** Without what there may be and is not. */
export const existing = async (): Promise<ReadonlyArray<Route>> => {
  const there = await Promise.all(ROUTES.map(async (route) => route.optional !== true || (await exists(route))));
  return ROUTES.filter((_, n) => there[n]);
};

/** What tells a route from others in a document: the names of its parameters do not. */
export const nameOf = ({ method, path }: Pick<Route, "method" | "path">): string => `${method} ${path.replace(/\{[^}]*\}/g, "{}")}`;
