import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { holdfast } from "../../src/cli/holdfast.ts";
import { copiesInPostgres, copiesInRedis } from "../support/copies.ts";
import { eventually } from "../support/eventually.ts";
import { type Answer, fromSessions, type Holdfast, on, relayWorks, request, startCache, startHoldfast, startTruth, type Truth } from "../support/holdfast.ts";
import { leaksIn } from "../support/leaks.ts";
import { newAddress, newPerson, newProduct, type Person } from "../support/persons.ts";

/** In each round a new api is killed when so many erasures have been acknowledged, and another is under way. */
const ROUNDS = [0, 1, 4], PERSONS = 10, ORDERS = 3;

type Registered = { readonly id: string; readonly person: Person; readonly orders: readonly string[]; readonly session: string; readonly key: string; certificate: string | null };

const succeed = ({ status, text, body }: Answer) => {
  if (status >= 300) throw new Error(`${status} ${text}`);
  return body;
};

const register = async (api: Holdfast): Promise<Registered> => {
  const person = newPerson(), session = randomUUID();
  // Of their own: so many orders at once for one would wait for its row.
  const product = succeed(await api.call("POST", "/v1/products", { body: newProduct() })).id as string;
  const { id } = succeed(await api.call("POST", "/v1/customers", { body: person }));
  const orders: string[] = [];
  for (let n = 0; n < ORDERS; n++) {
    orders.push(succeed(await api.call("POST", "/v1/orders", { body: { customerId: id, lines: [{ productId: product, quantity: 1 }], shippingAddress: person.address } })).id);
  }
  succeed(await fromSessions(() => api.call("PUT", `/v1/sessions/${session}`, { body: { data: { person }, ttlSeconds: 3_600, customerId: id } })));
  return { id, person, orders, session, key: randomUUID(), certificate: null };
};

/** Who has a tombstone and no certificate, or sessions that are still to be ended. */
const halfErased = async (truth: Truth, among: readonly Registered[]) =>
  (await truth.query("select id from customers where id = any($1) and deleted_at is not null and certificate is null union select entity_id from unfinished_erasures", [among.map(({ id }) => id)])).length;

/** What others do meanwhile: they order for, change and look at people who may be gone. Answers what nobody expected. */
const startLoad = (api: Holdfast, people: readonly Registered[], product: string) => {
  const over = new AbortController(), strange: string[] = [];
  const client = async (number: number) => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const { id, person, orders } = people[(number * 5 + turn) % people.length]!;
      const [method, path, body] = [
        ["POST", "/v1/orders", { customerId: id, lines: [{ productId: product, quantity: 1 }], shippingAddress: { ...newAddress(), name: person.name } }],
        ["GET", `/v1/customers/${id}?view=full`, undefined],
        ["PATCH", `/v1/customers/${id}`, { marketingConsent: turn % 2 === 0 }],
        ["GET", `/v1/orders/${orders[turn % ORDERS]!}?view=full`, undefined],
        ["GET", `/v1/customers/${id}?version=1`, undefined],
      ][turn % 5] as [string, string, unknown];
      const { status, text } = await api.call(method, path, body === undefined ? {} : { body });
      if (![200, 201, 410].includes(status) && !text.includes("/problems/customer-erased")) strange.push(`${method} ${path}: ${status} ${text}`);
    }
  };
  const clients = Promise.all(Array.from({ length: 4 }, (_, number) => client(number)));
  return { strange, stop: async () => {
    over.abort();
    await clients;
  } };
};

/** Nothing of the person is left that anybody can read. */
const expectErased = async (api: Holdfast, truth: Truth, { id, person, session }: Registered) => {
  const at = `/v1/customers/${id}`;
  for (const path of [at, `${at}?view=full`, `${at}?version=1`, `${at}?version=1&view=full`]) expect((await api.call("GET", path)).status, path).toBe(410);
  expect((await api.call("GET", at, { headers: { "cache-control": "no-cache" } })).status).toBe(410);
  expect((await api.call("GET", `${at}/events`)).status).toBe(200);
  expect((await api.call("POST", "/v1/customers/lookup", { body: { email: person.email } })).status).toBe(404);
  expect((await fromSessions(() => api.call("GET", `/v1/sessions/${session}`))).status).toBe(404);
  const [row] = await truth.query(`select c.*, (select count(*) from subject_keys where subject = c.id)::int as keys, (select count(*) from erased_subjects where subject = c.id)::int as erased
    from customers c where id = $1`, [id]);
  expect(row).toMatchObject({ email_hash: null, phone_hash: null, email_index: null, pii_ref: null, personal: null, keys: 0, erased: 1, certificate: { keyDestroyed: true, backups: "keys-share-backup" } });
  const orders = await truth.query("select id, personal, shipping_address_ref from orders where customer_id = $1", [id]);
  expect(orders.length).toBeGreaterThanOrEqual(ORDERS);
  for (const order of orders) {
    expect(order).toMatchObject({ personal: null, shipping_address_ref: null });
    expect((await api.call("GET", `/v1/orders/${order["id"] as string}?view=full`)).body).toMatchObject({ shippingAddress: null, shippingAddressRef: null });
    expect((await api.call("GET", `/v1/orders/${order["id"] as string}?version=1&view=full`)).text).not.toContain(person.name);
  }
};

/** Nothing was taken from the person. */
const expectWhole = async (api: Holdfast, truth: Truth, { id, person, orders, session }: Registered) => {
  expect((await api.call("GET", `/v1/customers/${id}?view=full`)).body).toMatchObject({ name: person.name, email: person.email, phone: person.phone, address: person.address });
  for (const order of orders) expect((await api.call("GET", `/v1/orders/${order}?view=full`)).body.shippingAddress).toEqual(person.address);
  expect((await fromSessions(() => api.call("GET", `/v1/sessions/${session}`))).status).toBe(200);
  expect(await truth.query("select subject from subject_keys where subject = $1 except select subject from erased_subjects", [id])).toHaveLength(1);
};

test("of erasures whose api is killed, each comes to its end or has not begun: nobody is left half erased, and every repetition answers the certificate", async () => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const [other, relay] = await Promise.all([startHoldfast("api", on(truth, redis)), startHoldfast("relay", on(truth, redis))]);
  await relayWorks(redis);
  const product = succeed(await other.call("POST", "/v1/products", { body: newProduct() })).id as string;
  const people = await Promise.all(Array.from({ length: ROUNDS.length * PERSONS }, () => register(other)));
  const load = startLoad(other, people, product);

  const left: number[] = [];
  for (const [round, enough] of ROUNDS.entries()) {
    const api = await startHoldfast("api", on(truth, redis));
    const these = people.slice(round * PERSONS, (round + 1) * PERSONS);
    const erasing = these.map(async (one) => {
      const answer = await request(api.url, "DELETE", `/v1/customers/${one.id}`, { headers: { "idempotency-key": one.key } }).catch(() => null);
      if (answer === null) return;
      one.certificate = answer.text;
      succeed(answer);
    });
    const acknowledged = () => these.filter(({ certificate }) => certificate !== null).length;
    const isTime = async () => acknowledged() === PERSONS || (acknowledged() >= enough && await halfErased(truth, these) > 0);
    await eventually(async () => {
      if (!(await isTime())) return false;
      // Stopped, it brings nothing to its end between the look and the kill, however long that takes.
      api.signal("SIGSTOP");
      if (await isTime()) return true;
      api.signal("SIGCONT");
      return false;
    }, { within: 40_000 });
    await api.kill();
    await Promise.all(erasing);
    left.push(await halfErased(truth, these));
  }
  await load.stop();
  expect(load.strange).toEqual([]);
  // Otherwise nothing was shown here.
  expect(Math.max(...left)).toBeGreaterThan(0);

  await eventually(async () => expect(await halfErased(truth, people)).toBe(0), { within: 150_000 });
  // What a killed process has not stored, the relay brings: a read without a token is to be believed from then on.
  await eventually(async () => expect((await other.call("GET", "/ops/queue-size")).body).toMatchObject({ size: 0, relayLagEvents: 0 }), { within: 30_000 });
  const erased = new Set((await truth.query("select id from customers where deleted_at is not null")).map((row) => row["id"] as string));
  console.log(`${people.filter(({ certificate }) => certificate !== null).length} acknowledged, ${erased.size} erased of ${people.length}; half erased after each kill: ${left.join(", ")}`);
  for (const one of people) {
    if (one.certificate !== null) expect(erased).toContain(one.id);
    await (erased.has(one.id) ? expectErased : expectWhole)(other, truth, one);
  }
  expect(await truth.query("select id from customers where deleted_at is null except select subject from subject_keys")).toEqual([]);

  // Whoever had no answer asks again, with the same key: the erasure is certified, whether it was the first attempt or this one.
  for (const one of people) {
    const again = await other.call("DELETE", `/v1/customers/${one.id}`, { headers: { "idempotency-key": one.key } });
    expect(again).toMatchObject({ status: 200, body: { keyDestroyed: true, backups: "keys-share-backup" } });
    if (one.certificate !== null) expect(again.text).toBe(one.certificate);
    await expectErased(other, truth, one);
  }
  expect(await truth.query("select subject from subject_keys")).toEqual([]);
  expect(leaksIn(people.map(({ person }) => person), [...(await copiesInPostgres(truth.query)), ...(await copiesInRedis(redis)), ["the log of the api", other.output()], ["the log of the relay", relay.output()]])).toEqual([]);
  let out = "";
  expect(await holdfast(["rows", "check"], on(truth, redis), { out: (text) => void (out += text), err: (text) => void (out += text) }), out).toBe(0);
  // The address belongs to nobody any more.
  expect((await other.call("POST", "/v1/customers", { body: people[0]!.person })).status).toBe(201);
}, 600_000);
