import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Copy } from "./copies.ts";
import { type Answer, type Asked, fromSessions, type Holdfast, request } from "./holdfast.ts";
import { newAddress, newPerson, newProduct } from "./persons.ts";

const PERSONS = 6;

/** Sends requests, and keeps every answer in which nothing personal may stand. */
export const witness = (api: Holdfast) => {
  const answers: Copy[] = [];
  const keep = (method: string, path: string, { status, headers, text }: Answer) =>
    void answers.push([`the answer ${status} to ${method} ${path.replace(/\?.*/u, "")}`, `${[...headers].map((header) => header.join(": ")).join("\n")}\n${text}`]);
  return {
    answers,
    /** One that shows personal data to who may see them. */
    view: api.call,
    send: async (method: string, path: string, asked: Asked = {}) => {
      const answer = await api.call(method, path, asked);
      keep(method, path, answer);
      return answer;
    },
    /** With a body that is not what JSON.stringify makes. */
    sendRaw: async (method: string, path: string, body: string, type: string) => {
      const response = await fetch(api.url + path, { method, body, headers: { authorization: `Bearer ${api.key}`, "content-type": type } });
      const answer = { status: response.status, headers: response.headers, text: await response.text(), body: undefined };
      keep(method, path, answer);
      return answer;
    },
  };
};
export type Witness = ReturnType<typeof witness>;

export const succeed = (answer: Answer) => {
  if (answer.status >= 300) throw new Error(`${answer.status} ${answer.text}`);
  return answer.body;
};

/** Persons who are registered, change everything, order, are looked up and looked at. Answers what is theirs: all of it must be found nowhere. */
export const live = async ({ send, view }: Witness, said: unknown[]) => {
  const product = succeed(await send("POST", "/v1/products", { body: newProduct() }));
  const people: { readonly id: string; readonly orders: readonly string[]; readonly sessions: readonly string[] }[] = [];
  for (let n = 0; n < PERSONS; n++) {
    const [person, changed, moved] = [newPerson(), newPerson(), newAddress()];
    said.push(person, changed, moved);
    const { id } = succeed(await send("POST", "/v1/customers", { body: person, headers: { "idempotency-key": person.email } }));
    const path = `/v1/customers/${id}`;
    expect((await view("GET", `${path}?view=full`)).body).toMatchObject(person);
    succeed(await send("PATCH", path, { body: { name: changed.name, phone: changed.phone } }));
    succeed(await send("PATCH", path, { body: { email: changed.email } }));
    succeed(await send("PATCH", path, { body: { address: { line1: moved.line1, city: moved.city } } }));
    succeed(await send("POST", "/v1/customers/lookup", { body: { email: changed.email.toUpperCase() } }));
    expect((await send("POST", "/v1/customers/lookup", { body: { email: person.email } })).status).toBe(404);
    expect((await view("GET", `${path}?view=full`)).body).toMatchObject({ name: changed.name, email: changed.email, phone: changed.phone });
    const orders: string[] = [];
    for (const step of [[], ["payment"], ["cancellation"]]) {
      const shippingAddress = newAddress();
      said.push(shippingAddress);
      const order = succeed(await send("POST", "/v1/orders", { body: { customerId: id, lines: [{ productId: product.id, quantity: 1 }], shippingAddress }, headers: { "idempotency-key": randomUUID() } }));
      for (const one of step) succeed(await send("POST", `/v1/orders/${order.id}/${one}`, { body: one === "payment" ? { reference: "pay-1" } : { reason: "as said" } }));
      expect((await view("GET", `/v1/orders/${order.id}?view=full`)).body.shippingAddress).toEqual(shippingAddress);
      orders.push(order.id);
    }
    const sessions = [`s-${randomUUID()}`, person.email.replace("@", "_")];
    for (const session of sessions) {
      succeed(await fromSessions(() => send("PUT", `/v1/sessions/${session}`, { body: { data: { person, note: changed.email }, ttlSeconds: 3_600, customerId: id } })));
      expect((await fromSessions(() => view("GET", `/v1/sessions/${session}`))).body.data.person.name).toBe(person.name);
    }
    people.push({ id, orders, sessions });
  }
  return { product, people };
};

/** Everything that may be looked at without the scope for personal data. */
export const lookAround = async ({ send }: Witness, { people }: Awaited<ReturnType<typeof live>>, opsUrl: string) => {
  for (const { id, orders } of people) {
    for (const [kind, plural, one] of [["customer", "customers", id], ...orders.map((order) => ["order", "orders", order] as const)] as const) {
      for (const path of ["", "/events", "?version=1", "?version=2"]) await send("GET", `/v1/${plural}/${one}${path}`);
      await send("GET", `/v1/${plural}/${one}`, { headers: { "cache-control": "no-cache" } });
      await send("GET", `/ops/entries/${kind}/${one}`);
    }
  }
  for (const path of ["/v1/customers", "/v1/orders", "/ops/queue-size", "/ops/stats", "/ops/retry-queue", "/metrics", "/openapi.json"]) await send("GET", path);
  return Promise.all(["/metrics", "/ops/stats", "/ops/queue-size"].map(async (path): Promise<Copy> => [`${path} of the relay`, (await request(opsUrl, "GET", path)).text]));
};

/** Requests that are wrong, and have personal data wherever a client might put them. */
export const misbehave = async ({ send, sendRaw }: Witness, taken: { readonly email: string; readonly id: string; readonly order: string; readonly product: string }, said: unknown[]) => {
  const p = newPerson(), at = `/v1/customers/${taken.id}`, statuses = new Set<number>();
  said.push(p);
  const wrong = async (answer: Promise<Answer>) => {
    const { status, text } = await answer;
    statuses.add(status);
    if (status < 400) throw new Error(`this should have been refused: ${text}`);
  };
  const bodies: readonly unknown[] = [
    { ...p, name: { first: p.name } },
    { ...p, name: p.name.repeat(20) },
    { ...p, email: p.name },
    { ...p, email: [p.email] },
    { ...p, phone: { number: p.phone } },
    { ...p, address: p.address.line1 },
    { ...p, address: { ...p.address, line1: null } },
    { ...p, address: { ...p.address, country: `${p.address.country}\u0000` } },
    { ...p, address: { ...p.address, city: `${p.address.city}\ud800` } },
    { ...p, marketingConsent: p.name },
    { ...p, nickname: p.name },
    { ...p, id: p.email },
    [p],
    p.name,
  ];
  for (const body of bodies) {
    await wrong(send("POST", "/v1/customers", { body }));
    await wrong(send("PATCH", at, { body }));
  }
  await wrong(send("POST", "/v1/customers", { body: { ...p, email: taken.email } }));
  await wrong(send("PATCH", at, { body: { name: p.name }, headers: { "if-match": `"${encodeURIComponent(p.name)}"` } }));
  await wrong(send("PATCH", at, { body: { name: p.name }, headers: { "if-match": "\"77\"" } }));
  const key = { "idempotency-key": encodeURIComponent(p.email) };
  succeed(await send("PATCH", at, { body: { name: p.name }, headers: key }));
  await wrong(send("PATCH", at, { body: { name: p.address.name }, headers: key }));
  await wrong(send("PATCH", at, { body: { name: p.address.name }, headers: { "idempotency-key": `${p.email} ${"x".repeat(300)}` } }));
  for (const body of [`{"name": "${p.name}", "email": "${p.email}"`, `{"name": "${p.name}", "name": "${p.address.name}"}`, p.email, `"${p.name}`, `{"${p.email}": ${p.phone}}`]) {
    await wrong(sendRaw("POST", "/v1/customers", body, "application/json"));
    await wrong(sendRaw("POST", "/v1/customers/lookup", body, "application/json"));
  }
  await wrong(sendRaw("POST", "/v1/customers", JSON.stringify(p), "text/plain"));
  await wrong(sendRaw("POST", "/v1/customers", JSON.stringify({ ...p, name: p.name.repeat(50_000) }), "application/json"));
  await wrong(send("POST", "/v1/customers/lookup", { body: { email: p.name } }));
  await wrong(send("POST", "/v1/customers/lookup", { body: { email: p.email, name: p.name } }));
  const order = { customerId: taken.id, lines: [{ productId: taken.product, quantity: 1 }], shippingAddress: newAddress() };
  said.push(order.shippingAddress);
  await wrong(send("POST", "/v1/orders", { body: { ...order, customerId: p.email } }));
  await wrong(send("POST", "/v1/orders", { body: { ...order, customerId: randomUUID() } }));
  await wrong(send("POST", "/v1/orders", { body: { ...order, shippingAddress: { ...order.shippingAddress, planet: p.address.country } } }));
  await wrong(send("POST", "/v1/orders", { body: { ...order, shippingAddress: order.shippingAddress.line1 } }));
  await wrong(send("POST", "/v1/orders", { body: { ...order, lines: [{ productId: p.email, quantity: p.name }] } }));
  await wrong(send("POST", "/v1/orders", { body: { ...order, lines: [{ productId: taken.product, quantity: 1_000_000 }, { productId: taken.product, quantity: 1_000_000 }] } }));
  const inUrl = encodeURIComponent(p.email), name = encodeURIComponent(p.name);
  for (const path of [
    `/v1/customers/${inUrl}`, `/v1/customers/${name}/events`, `/v1/orders/${name}`, `/v1/people/${name}`, `${at}?view=${name}`, `${at}?version=${inUrl}`,
    `/v1/customers?cursor=${inUrl}`, `/v1/customers?limit=${name}`, `/v1/orders?customerId=${name}`, `/v1/orders?status=${name}`,
    `/v1/sessions/${name}`, `/v1/changes?after=${inUrl}`, `/ops/entries/customer/${inUrl}`, `/ops/entries/${name}/${taken.id}`, `/ops/retry-queue?state=${name}`,
  ]) await wrong(send("GET", path));
  await wrong(send("PUT", `/v1/sessions/${name}`, { body: { data: p, ttlSeconds: p.name } }));
  await wrong(send("PUT", `/v1/sessions/${randomUUID()}`, { body: { data: p, ttlSeconds: 0, owner: p.name } }));
  await wrong(send("POST", "/ops/retry-queue/replay", { body: { kind: p.name, id: p.email } }));
  await wrong(send("DELETE", `/ops/retry-queue/customer/${inUrl}`));
  for (const headers of [{ authorization: `Bearer ${inUrl}` }, { authorization: p.email }, { "consistency-token": inUrl }] as Record<string, string>[]) await wrong(send("GET", at, { headers }));
  // Not refused, but not taken either.
  for (const path of [`${at}?${inUrl}=1`, `/v1/customers?email=${inUrl}`]) expect((await send("GET", path)).status).toBe(200);
  for (const headers of [{ traceparent: `00-${inUrl}-01` }, { "x-request-id": `${p.email} ${p.phone}` }, { "if-none-match": `"${inUrl}"` }, { "user-agent": p.email, referer: `https://shop.example/${inUrl}`, cookie: `holdfast_ops=${inUrl}` }]) {
    expect((await send("GET", at, { headers: headers as unknown as Record<string, string> })).status).toBe(200);
  }
  expect([...statuses].sort((a, b) => a - b)).toEqual([400, 401, 404, 409, 412, 413, 415, 422]);
};
