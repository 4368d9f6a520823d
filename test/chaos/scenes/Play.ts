import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { parseCheckpoint } from "../../../src/domain/cache/Checkpoint.ts";
import { checkpointKey } from "../../../src/domain/cache/Keyspace.ts";
import { shows } from "../../../src/domain/ledger/Snapshot.ts";
import { newAddress, newPerson } from "../../support/persons.ts";
import type { Direction, Hold, Proxy } from "../../support/proxy.ts";
import type { Stand } from "../Fault.ts";
import { type Entity, pathOf } from "../History.ts";
import type { Member } from "../Member.ts";
import { type Answer, ask, isOutcome } from "../requests.ts";

/** Something else goes on that keeps the scene from being played; nothing is wrong. */
export class Off extends Error {}

// What a store or a relay's command may be kept back for: after a second the client of Redis gives its connection up.
const CAUGHT_MS = 800, SETTLED_MS = 800, COMMITTED_MS = 600, QUEUE_MS = 600;
// As long as a client waits for its answer; and as long as a replay may take that begins anew.
const ANSWERED_MS = 4_000, PAID_MS = 10_000;

const until = async (withinMs: number, check: () => Promise<boolean>): Promise<boolean> => {
  for (const end = performance.now() + withinMs; performance.now() < end; ) {
    // The server that is asked may just be away.
    if (await check().catch(() => false)) return true;
    await delay(4);
  }
  return false;
};

/**
 * A product that nobody else changes, and what can be done with it step by step: two processes that only scenes ask, and what either they or the relays say to
 * their servers is kept back at the step that matters.
 */
export const startPlay = async ({ actors: [patient, quick], relays, truth, caches, history, open }: Stand) => {
  const undo: (() => unknown)[] = [], under: Promise<unknown>[] = [];
  const failovers = caches.failovers(), lives = history.lives(), crashes = truth.crashes();

  const change = async (member: Member, what: string, path: string, body: object, of: (answer: Answer) => Entity) => {
    const key = randomUUID(), began = history.now();
    const once = async (by: Member) => {
      const answer = await ask(by, "POST", path, { body, headers: { "idempotency-key": key, "x-request-id": key } });
      if (answer === null || answer.status >= 300) return answer;
      const entity = of(answer);
      history.acknowledge({ entity, key, began, at: history.now(), what, version: answer.version });
      history.tell(entity, "scene", `${what} → version ${answer.version} by ${answer.by}, ${answer.source}`);
      return answer;
    };
    const isKnown = (answer: Answer | null) => answer !== null && isOutcome(answer), answer = await once(member);
    // The scene goes on without it, but whatever became of it, it must have ended before everything is compared.
    if (!isKnown(answer)) open.push({ what: `${what}, key ${key}`, again: async (by) => isKnown(await once(by)) });
    return { answer: answer === null || answer.status >= 300 ? null : answer, key };
  };
  const needed = async (changed: ReturnType<typeof change>) => {
    const { answer, key } = await changed;
    if (answer === null) throw new Off("a change was not answered");
    return { answer, key };
  };
  const create = async () => {
    const { answer } = await needed(change(quick, "created", "/v1/products", { sku: randomUUID(), name: "a lamp", price: { amount: 100, currency: "EUR" }, stock: 1_000 }, ({ body }) => history.born("product", body.id)));
    return history.entities.get(answer.body.id as string)!;
  };
  const product = await create();
  const [{ partition, epoch: firstEpoch }] = await truth.query("select partition, epoch::float8 as epoch from outbox where entity_id = $1 limit 1", [product.id]);
  const checkpoint = checkpointKey(partition), entry = `${checkpoint}:product:${product.id}`;
  // A client of Redis sends a command in one piece, or in pieces of which the first has its keys.
  const has = (...texts: readonly string[]) => (request: Buffer) => texts.every((text) => request.includes(text));
  const isScript = has("\r\neval", product.id), isOfCheckpoint = has("\r\neval", `\r\n1\r\n$${checkpoint.length}\r\n${checkpoint}\r\n`);

  const owed = async () => (await truth.query("select 1 from sync_retry_queue where entity_id = $1", [product.id])).length > 0;
  const unstored = async (entity: Entity) => {
    const letGo = await truth.hold(entity.id);
    await letGo();
    history.tell(entity, "scene", "changed by a writer that dies before it stores");
  };
  const sees = async (member: Member, { token, version }: { readonly token: string; readonly version: number | null }, name: string): Promise<Answer | null> => {
    const answer = await ask(member, "GET", pathOf(product), { headers: token === "" ? {} : { "consistency-token": token } });
    history.count("reads");
    if (token !== "") history.count("reads with a token");
    if (answer?.status !== 200) return null;
    history.tell(product, "scene", `${name} → version ${answer.version} by ${answer.by}, ${answer.source}`);
    history.read(product, { token: version, noCache: false, maxAgeSeconds: null }, answer.version!, history.now(), `${answer.by}, ${answer.source}`);
    return answer;
  };

  return {
    patient,
    quick,
    relays,
    product,
    /** What goes to Redis about the product. */
    requests: {
      look: has("mget", product.id),
      /** A look that brings the checkpoint too. */
      fullLook: has("mget", product.id, `\r\n${checkpoint}\r\n`),
      lease: has("\r\nNX\r\n", product.id),
      put: (request: Buffer) => isScript(request) && !request.includes("\r\nC0") && !request.includes("\r\nP0"),
      settle: (request: Buffer) => isScript(request) && request.includes("\r\nC0"),
      /** A piece of a purge. */
      piece: (request: Buffer) => isScript(request) && request.includes("\r\nP0"),
      /** The checkpoint is moved, and no entry with it. */
      mark: (request: Buffer) => isOfCheckpoint(request) && request.includes("\r\nC0"),
      any: has(product.id),
    },
    keep: (proxies: readonly Proxy[], matches: (request: Buffer) => boolean, direction?: Direction): Hold => {
      const holds = proxies.map((proxy) => proxy.hold(matches, direction));
      const all: Hold = {
        caught: (withinMs) => Promise.race(holds.map((hold) => hold.caught(withinMs))),
        release: () => holds.forEach((hold) => hold.release()),
        drop: () => holds.forEach((hold) => hold.drop()),
      };
      undo.push(all.release);
      return all;
    },
    /** What is waited for is sent before that which goes on beside has ended, or not at all; so a slow machine may take its time. */
    caught: async (hold: Hold) => {
      const withinMs = under.length > 0 ? ANSWERED_MS : CAUGHT_MS, ended = under.length > 0 ? [Promise.all(under).then(() => hold.caught(0))] : [];
      if (!(await Promise.race([hold.caught(withinMs), ...ended]))) throw new Off("nothing of the kind was sent");
    },
    /** Goes on beside what follows. */
    beside: (work: Promise<unknown>) => void under.push(work.catch(() => undefined)),
    /** Everything that went on beside has ended. */
    ended: () => Promise.all(under.splice(0)),
    another: create,
    write: async (member: Member) => {
      const { answer } = await needed(change(member, "adjusted by 1", `${pathOf(product)}/stock-adjustments`, { delta: 1 }, () => product));
      return { token: answer.token!, version: answer.version };
    },
    /** A customer, for `order`. */
    customer: async () => (await needed(change(quick, "created", "/v1/customers", newPerson(), ({ body }) => history.born("customer", body.id)))).answer.body.id as string,
    /** An order that takes one of the product: its token speaks for the product without naming it. */
    order: async (member: Member, customerId: string) => {
      const body = { customerId, lines: [{ productId: product.id, quantity: 1 }], shippingAddress: newAddress() };
      const { answer, key } = await needed(change(member, "placed", "/v1/orders", body, ({ body: { id } }) => history.born("order", id)));
      return { token: answer.token!, key };
    },
    read: (member: Member) => sees(member, { token: "", version: null }, "read"),
    readWith: (member: Member, token: { readonly token: string; readonly version: number | null }) => sees(member, token, `read with the token of version ${token.version}`),
    readWithOrder: async (member: Member, { token, key }: { readonly token: string; readonly key: string }) => {
      const answer = await sees(member, { token, version: null }, "read with an order's token");
      if (answer !== null) history.later({ product, orderKey: key, version: answer.version!, at: history.now() });
    },
    /** A change as by a writer that dies between its commit and its store. */
    unstored: (entity = product) => unstored(entity),
    committed: async (version: number) => {
      const is = await until(COMMITTED_MS, async () => Number((await truth.query("select version_id from products where id = $1", [product.id]))[0]?.version_id) >= version);
      if (!is) throw new Off("it was not committed");
    },
    /** A relay has settled the last change. */
    settled: async () => {
      const [{ xid, epoch }] = await truth.query("select xid::text as xid, epoch::float8 as epoch from outbox where entity_id = $1 order by version_id desc limit 1", [product.id]);
      const is = await until(SETTLED_MS, async () => {
        const place = parseCheckpoint((await caches.master().cli("GET", checkpoint)) as string | null);
        return place?.is === "settled" && place.epoch === epoch && shows(place.snapshot, BigInt(xid));
      });
      if (!is) throw new Off("it was not settled");
    },
    /** The partition is settled in a later life of the database than that in which the product was made. */
    isOfNewLife: (withinMs: number) => until(withinMs, async () => {
      const place = parseCheckpoint((await caches.master().cli("GET", checkpoint)) as string | null);
      return place?.is === "settled" && place.epoch > firstEpoch;
    }),
    evict: async () => {
      await caches.master().cli("DEL", entry);
      history.tell(product, "scene", "evicted");
    },
    loseCheckpoint: async () => void (await caches.master().cli("DEL", checkpoint)),
    /** The replica of Redis has what its master has. */
    replicated: async () => {
      const mark = randomUUID();
      await caches.master().cli("SET", "chaos", mark, "PX", 10_000);
      if (!(await until(1_000, async () => (await caches.replica().cli("GET", "chaos")) === mark))) throw new Off("the replica is behind");
    },
    stopRelays: () => {
      for (const relay of relays) relay.signal("SIGSTOP");
      undo.push(() => relays.forEach((relay) => relay.signal("SIGCONT")));
    },
    goOnRelays: () => relays.forEach((relay) => relay.signal("SIGCONT")),
    /** Everybody whose store was missed has given it up, and the replay has brought what they owed. */
    paid: async () => {
      await Promise.all(under.splice(0));
      if (!(await until(PAID_MS, async () => !(await owed())))) throw new Off("it is owed");
    },
    /** With every store arrived and no retry row left, nothing stale stands there, relay or no relay. */
    fresh: async () => {
      if (!(await until(QUEUE_MS, async () => !(await owed())))) throw new Off("it is owed");
      const [{ version }] = await truth.query("select version_id::float8 as version from products where id = $1", [product.id]);
      const explained = await ask(quick, "GET", `/ops/entries/product/${product.id}`);
      // What a fail-over took from the cache the relay brings back, and what could not be queued while Postgres was away.
      if (explained?.status !== 200 || caches.failovers() !== failovers || history.lives() !== lives || truth.crashes() !== crashes) throw new Off("nobody can say");
      const { verdict, entry: found } = explained.body;
      if (verdict === "behind" && found.versionId < version) history.violate(`every store has arrived and nothing is owed, and the entry is at version ${found.versionId} of ${version}`, product);
    },
    /** What `/ops/entries` says of the entry. */
    verdict: async () => (await ask(quick, "GET", `/ops/entries/product/${product.id}`))?.body?.verdict as string | undefined,
    over: async () => {
      for (const work of undo.reverse()) work();
      await Promise.all(under);
    },
  };
};
export type Play = Awaited<ReturnType<typeof startPlay>>;
