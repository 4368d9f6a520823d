import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { newAddress, newPerson } from "../support/persons.ts";
import { type Demand, type Entity, type History, pathOf } from "./History.ts";
import type { Member } from "./Member.ts";
import { type Answer, anyOf, ask, type Asked, isOutcome, problemOf } from "./requests.ts";
import type { Seeded } from "./seeded.ts";

/** What is there to be changed and read. Products are replaced when they are deleted; of orders the latest are kept. */
export type Stage = { readonly quiet: Entity[]; readonly products: { entity: Entity; readonly sku: string }[]; readonly customers: Entity[]; readonly orders: { readonly entity: Entity; readonly key: string; readonly products: readonly Entity[] }[] };

// Few, so that the clients meet.
const PRODUCTS = 40, QUIET = 6, CUSTOMERS = 8, ORDERS = 30;
// All work on the same few for a moment, and then on the next: what was wrong then is not made right by the next change.
const BUSY = 5, MOMENT_MS = 1_200;
// A stage of so many clients keeps two cores busy; without a pause they would measure the machine.
const PAUSE_MS = 20;
// Refused, and nothing changed: what the state of the entity makes of a request.
const REFUSALS = ["insufficient-stock", "product-not-available", "order-not-cancellable", "order-not-placed", "deleted", "version-mismatch", "sku-taken", "customer-erased"];

/** A client: writes and reads until it is told to end, and then until it knows the outcome of its last write. */
export const client = (name: string, { apis, history, stage, random }: { apis: readonly Member[]; history: History; stage: Stage; random: Seeded }) => {
  // A session passes along the last token of what it reads; the others do as they please.
  const isSession = random.chance(0.5);
  const tokens = new Map<Entity, { readonly token: string; readonly version: number; readonly knownAt: number }>();
  let ended = false, gaveUpAt = Infinity;

  const unexpected = (answer: Answer, what: string, entity: Entity | null) => {
    const problem = problemOf(answer);
    history.count(`answers ${answer.status}${problem === "" ? "" : ` ${problem}`}`);
    // What a fail-over lost is no longer found; with its own creation, or with that of what it names.
    if ((answer.status === 404 || problem === "invalid") && history.lives() > 0) return;
    if ((answer.status === 503 && history.mayBeUnavailable()) || REFUSALS.includes(problem)) return;
    history.violate(`${what} was answered ${answer.status} ${answer.text.slice(0, 300)} by ${answer.by}`, entity);
  };

  const remember = (entity: Entity, answer: Answer, version: number) => {
    if (answer.token !== null) tokens.set(entity, { token: answer.token, version, knownAt: Date.now() });
  };

  /** Asks until the outcome is known, by any process and always with the same key. Null: refused. */
  const change = async (what: string, method: string, path: string, asked: Asked, about: (answer: Answer) => Entity) => {
    const key = randomUUID(), began = history.now();
    const headers = { ...asked.headers, "idempotency-key": key, "x-request-id": key };
    for (let attempt = 1; ; attempt++) {
      const answer = await ask(await anyOf(apis, random), method, path, { ...asked, headers });
      const problem = answer === null ? "" : problemOf(answer);
      if (answer !== null && answer.status < 300) {
        const entity = about(answer), version = answer.version;
        history.acknowledge({ entity, key, began, at: history.now(), what, version });
        history.tell(entity, name, `${what} → version ${version ?? "?"} by ${answer.by}, ${answer.source}${answer.replayed ? ", replayed" : ""}${attempt > 1 ? `, attempt ${attempt}` : ""}`);
        // A deletion is the last version: what comes after it can only be gone.
        if (method !== "DELETE") remember(entity, answer, version!);
        else if (answer.token !== null) tokens.set(entity, { token: answer.token, version: Infinity, knownAt: Date.now() });
        return { answer, entity, key };
      }
      if (answer !== null && isOutcome(answer)) {
        unexpected(answer, what, null);
        return null;
      }
      if (answer?.status === 503 && !history.mayBeUnavailable()) history.violate(`${what} was answered 503, and nothing but the cache was away: ${answer.text} (${answer.by})`);
      history.count(answer === null ? "no answer to a change" : `answers ${answer.status} ${problem}`);
      if (history.now() > gaveUpAt) {
        history.violate(`the outcome of ${what} ${path} (key ${key}) could not be learnt`);
        return null;
      }
      await delay(100);
    }
  };

  const createProduct = async (sku: string) => {
    const body = { sku, name: `a lamp of ${name}`, price: { amount: 100, currency: "EUR" }, stock: 1_000 };
    return (await change("created", "POST", "/v1/products", { body }, (answer) => history.born("product", answer.body.id as string)))?.entity;
  };

  const read = async (entity: Entity, others: readonly { readonly entity: Entity; readonly key: string }[] = []) => {
    const kept = tokens.get(entity), way = isSession ? 0 : random.below(10);
    const withToken = kept !== undefined && way < 4, noCache = way === 4, maxAgeSeconds = way === 5 ? random.pick([1, 3, 5]) : null;
    const order = others.find((other) => tokens.has(other.entity));
    const sent = [...(withToken ? [kept.token] : []), ...(order !== undefined && way < 8 ? [tokens.get(order.entity)!.token] : [])];
    const headers = {
      ...(sent.length === 0 ? {} : { "consistency-token": sent.join(", ") }),
      ...(noCache ? { "cache-control": "no-cache" } : maxAgeSeconds === null ? {} : { "cache-control": `max-age=${maxAgeSeconds}` }),
    };
    const demand: Demand = { token: withToken ? kept.version : null, noCache, maxAgeSeconds }, began = history.now();
    const answer = await ask(await anyOf(apis, random), "GET", pathOf(entity), { headers });
    history.count("reads");
    if (sent.length > 0) history.count("reads with a token");
    if (answer === null) return history.count("no answer to a read");
    const said = `read${sent.length > 0 ? ` with ${withToken ? `the token of version ${kept.version}` : "an order's token"}` : ""}${noCache ? " with no-cache" : maxAgeSeconds === null ? "" : ` with max-age=${maxAgeSeconds}`}`;
    history.tell(entity, name, `${said} → ${answer.status === 200 ? `version ${answer.version}` : answer.status} by ${answer.by}, ${answer.source}`);
    if (answer.status === 200) {
      history.read(entity, demand, answer.version!, began, `${answer.by}, ${answer.source}`);
      if (sent.length > Number(withToken)) history.later({ product: entity, orderKey: order!.key, version: answer.version!, at: history.now() });
      // Of what was read without a token an older one may come: the token of the newest stays.
      if (kept === undefined || withToken || answer.version! >= kept.version) remember(entity, answer, answer.version!);
    } else if (answer.status === 410 && problemOf(answer) === "deleted") {
      if (!entity.deleting) history.violate(`${said} was answered 410, and nobody deleted it (${answer.by}, ${answer.source})`, entity);
    } else if (answer.status === 412 && problemOf(answer) === "consistency-token-unknown") {
      if (history.lives() === 0) history.violate(`${said} was answered 412, and the database has lost nothing`, entity);
      // Whether it was lost is in the outbox.
      else if (withToken && sent.length === 1 && Number.isFinite(kept.version)) history.unknown.push({ entity, version: kept.version, knownAt: kept.knownAt });
      tokens.delete(entity);
      if (order !== undefined) tokens.delete(order.entity);
      history.count("tokens of a lost life refused");
    } else unexpected(answer, said, entity);
  };

  const busy = () => (Math.floor(history.now() / MOMENT_MS) * BUSY + random.below(BUSY)) % stage.products.length;

  const renew = async (slot: number, old: Entity, sku: string) => {
    const fresh = (await createProduct(sku)) ?? (await createProduct(randomUUID()));
    if (fresh !== undefined && stage.products[slot]!.entity === old) stage.products[slot] = { entity: fresh, sku };
  };

  const write = async () => {
    const slot = busy(), { entity, sku } = stage.products[slot]!, dice = random.below(100);
    const customer = random.pick(stage.customers), order = stage.orders.length > 0 ? random.pick(stage.orders) : null;
    if (dice < 55) {
      const delta = 1 + random.below(5);
      const done = await change(`adjusted by ${delta}`, "POST", `${pathOf(entity)}/stock-adjustments`, { body: { delta } }, () => entity);
      // Its creation, or the creation of what stood in its place, went with a primary.
      if (done === null && history.lives() > 0) await renew(slot, entity, randomUUID());
    } else if (dice < 70) {
      const kept = tokens.get(entity), careful = kept !== undefined && Number.isFinite(kept.version) && random.chance(0.2);
      await change("renamed", "PATCH", pathOf(entity), { body: { name: `${name} at ${Math.round(history.now())}` }, headers: careful ? { "if-match": `"${kept.version}"` } : {} }, () => entity);
    } else if (dice < 74) {
      entity.deleting = true;
      const gone = await change("deleted", "DELETE", pathOf(entity), {}, () => entity);
      // Refused: another client deletes it, and puts a new one in its place.
      if (gone !== null) await renew(slot, entity, sku);
    } else if (dice < 84) {
      await change("changed", "PATCH", pathOf(customer), { body: { name: newPerson().name } }, () => customer);
    } else if (dice < 94 || order === null) {
      const products = [...new Set([entity, random.pick(stage.products).entity])];
      const body = { customerId: customer.id, lines: products.map(({ id }) => ({ productId: id, quantity: 1 })), shippingAddress: newAddress() };
      const placed = await change("placed", "POST", "/v1/orders", { body }, (answer) => history.entities.get(answer.body.id as string) ?? history.born("order", answer.body.id as string));
      if (placed === null) return;
      stage.orders.push({ entity: placed.entity, key: placed.key, products });
      if (stage.orders.length > ORDERS) stage.orders.shift();
      // Its token speaks for the products too.
      await read(random.pick(products), [{ entity: placed.entity, key: placed.key }]);
    } else if (random.chance(0.5)) {
      await change("cancelled", "POST", `${pathOf(order.entity)}/cancellation`, { body: { reason: "as said" } }, () => order.entity);
    } else {
      await change("paid", "POST", `${pathOf(order.entity)}/payment`, { body: { reference: "pay-1" } }, () => order.entity);
    }
  };

  /** Takes an entry out of the cache, so that somebody has to fill it; or looks whether one that nobody changes is there. */
  const miss = async () => {
    const { entity } = stage.products[busy()]!;
    if (random.chance(0.5)) return read(random.pick(stage.quiet));
    const answer = await ask(await anyOf(apis, random), "DELETE", `/ops/entries/${entity.kind}/${entity.id}`);
    history.tell(entity, name, `evicted → ${answer?.status}`);
    // That alone needs the cache.
    if (answer !== null && answer.status !== 204 && answer.status !== 503) unexpected(answer, "an eviction", entity);
  };

  const live = async () => {
    while (!ended) {
      const dice = random.below(10);
      if (dice < 5) await write();
      else if (dice < 6 && random.chance(0.3)) await miss();
      else if (dice < 8) await read(stage.products[random.chance(0.7) ? busy() : random.below(stage.products.length)]!.entity);
      else if (dice < 9 && stage.orders.length > 0) await read(random.pick(stage.orders).entity);
      else await read(random.pick(stage.customers));
      await delay(random.between(0, 2 * PAUSE_MS));
    }
  };
  return {
    live,
    createProduct,
    change,
    /** No new request; what is under way is given so long to become known. */
    end: (withinMs: number) => {
      ended = true;
      gaveUpAt = history.now() + withinMs;
    },
    again: () => {
      ended = false;
      gaveUpAt = Infinity;
    },
  };
};
export type Client = ReturnType<typeof client>;

/** What clients begin with. */
export const setStage = async (one: Client, stage: Stage, history: History): Promise<void> => {
  for (let n = 0; n < PRODUCTS; n++) {
    const sku = randomUUID(), entity = await one.createProduct(sku);
    stage.products.push({ entity: entity!, sku });
  }
  for (let n = 0; n < QUIET; n++) stage.quiet.push((await one.createProduct(randomUUID()))!);
  for (let n = 0; n < CUSTOMERS; n++) {
    const made = await one.change("created", "POST", "/v1/customers", { body: newPerson() }, (answer) => history.born("customer", answer.body.id as string));
    stage.customers.push(made!.entity);
  }
};
