import { setTimeout as delay } from "node:timers/promises";
import type { Stand } from "./Fault.ts";
import { type Acknowledged, type Entity, type KindName, pathOf } from "./History.ts";
import { type Answer, insist } from "./requests.ts";
import type { Seeded } from "./seeded.ts";
import type { Logged } from "./truth.ts";

type Row = { readonly version: number; readonly deleted: boolean; readonly stock: number | null };
const TABLES: Record<KindName, string> = { product: "products", order: "orders", customer: "customers" };
const AT_ONCE = 8;
// What is on its way may arrive after the relay has settled everything else; what is wrong for good is still wrong then.
const SECOND_LOOK_MS = 5_000;
const TOLD_OF_DELETED = 10;
// Of what nobody touched since it was judged; the product's own verification looks at everything.
const UNTOUCHED = 100;
// A new life may have changed anything.
const UNTOUCHED_ANEW = 3_000;

const eachOf = async <A>(all: Iterable<A>, work: (one: A) => Promise<unknown>) => {
  const rest = all[Symbol.iterator]();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let next = rest.next(); !next.done; next = rest.next()) await work(next.value);
  }));
};

/** Holds what clients were told against Postgres and the cache, by identity, when everything is at rest. It remembers what it has judged, so a round judges its own events. */
export const startJudge = (stand: Stand, random: Seeded) => {
  const { truth, history, apis } = stand;
  const versions = new Map<string, number>(), stocks = new Map<string, number>();
  let judged = 0, lives = 0;
  const totals = { found: 0, lost: 0, firstLookWrong: 0, compared: 0, verified: 0 };
  const lostLately: Acknowledged[] = [];

  const follow = (events: readonly Logged[]) => {
    const byKey = new Map<string, Logged[]>();
    for (const event of events) {
      const { id, version, data } = event, entity = history.entities.get(id) ?? null, before = versions.get(id) ?? 0;
      if (version !== before + 1) history.violate(`the events of ${event.kind} ${id} jump from version ${before} to ${version}`, entity);
      versions.set(id, version);
      const stock = event.type === "ProductCreated" ? data.stock! : (stocks.get(id) ?? 0) + (data.delta ?? 0) + (event.type === "StockReserved" ? -data.quantity! : event.type === "StockReturned" ? data.quantity! : 0);
      if (event.kind === "product") stocks.set(id, stock);
      const name = `${event.key} ${id}`, same = byKey.get(name);
      if (same === undefined) byKey.set(name, [event]);
      else same.push(event);
    }
    for (const [name, same] of byKey) if (same.length > 1) history.violate(`the command ${name} was carried out ${same.length} times`, history.entities.get(same[0]!.id) ?? null);
    return byKey;
  };

  /** Every acknowledged write has its event, once, at the version that was told. */
  const acknowledgements = async () => {
    const events = await truth.events(judged), byKey = follow(events), { acknowledged, pending } = history.take();
    judged = events.at(-1)?.seq ?? judged;
    lostLately.length = 0;
    for (const one of acknowledged) {
      const event = byKey.get(`${one.key} ${one.entity.id}`)?.[0];
      if (event === undefined) {
        if (!history.mayBeLost(one)) history.violate(`an acknowledged write is missing: ${one.what}, version ${one.version}, key ${one.key}`, one.entity);
        else lostLately.push(one);
        if (one.what === "created" || one.what === "placed") one.entity.lost = true;
        continue;
      }
      totals.found++;
      if (one.version !== null && event.version !== one.version) history.violate(`${one.what} was acknowledged as version ${one.version} and is version ${event.version}`, one.entity);
    }
    totals.lost += lostLately.length;
    for (const { product, orderKey, version } of pending) {
      const event = byKey.get(`${orderKey} ${product.id}`)?.[0];
      if (event !== undefined && version < event.version) history.violate(`a read with the token of an order that made version ${event.version} was answered version ${version}`, product);
    }
    const epochs = await truth.query("select max(epoch)::float8 as newest from database_epochs");
    for (const { entity, version, knownAt } of history.unknown.splice(0)) {
      // One that was made later is another one, of a life that is over as well.
      const found = await truth.query("select epoch::float8 as epoch from outbox where kind = $1 and entity_id = $2 and version_id = $3 and recorded_at <= to_timestamp($4 / 1000.0)", [entity.kind, entity.id, version, knownAt]);
      if (found.some(({ epoch }) => epoch < epochs[0].newest)) history.violate(`the token of version ${version} was answered 412, and the version was not lost`, entity);
    }
  };

  const readRows = async () => {
    const rows = new Map<string, Row>();
    for (const kind of Object.keys(TABLES) as KindName[]) {
      const found = await truth.query(`select id, version_id::float8 as version, deleted_at is not null as deleted, ${kind === "product" ? "stock::float8" : "null"} as stock from ${TABLES[kind]}`);
      for (const { id, version, deleted, stock } of found) rows.set(id, { version, deleted, stock });
    }
    return rows;
  };

  /** A row is at the version of its last event, with the stock that its events add up to. */
  const rowsOfEvents = (rows: ReadonlyMap<string, Row>) => {
    for (const [id, version] of versions) {
      const row = rows.get(id), entity = history.entities.get(id) ?? null;
      if (row?.version !== version) history.violate(`the row of ${id} is at version ${row?.version}, its events at ${version}`, entity);
      if (row !== undefined && row.stock !== null && row.stock !== stocks.get(id)) history.violate(`the stock of ${id} is ${row.stock}, its events add up to ${stocks.get(id)}`, entity);
    }
    for (const entity of history.entities.values()) {
      if (entity.lost || versions.has(entity.id)) continue;
      history.violate(`${entity.kind} ${entity.id} was acknowledged and has no event`, entity);
    }
  };

  const get = (entity: Entity, headers: Readonly<Record<string, string>> = {}) => insist(apis, random, "GET", pathOf(entity), { headers }, [200, 404, 410]);
  const told = ({ status, version, source, by }: Answer) => `${status === 200 ? `version ${version}` : status} by ${by}, ${source}`;

  /** What is wrong with an entity as the cache has it and as it is served; null: nothing. */
  const wrongWith = async (entity: Entity, row: Row | undefined): Promise<string | null> => {
    const explained = await insist(apis, random, "GET", `/ops/entries/${entity.kind}/${entity.id}`, {}, [200]);
    const { verdict, entry } = explained.body;
    if (!["consistent", "absent"].includes(verdict)) return `its entry is ${verdict}: version ${entry?.versionId} of epoch ${entry?.epoch}, and the row is at ${row?.version ?? "nothing"}`;
    const served = await get(entity);
    if (row === undefined) return served.status === 404 ? null : `it was lost with a primary and is served: ${told(served)}`;
    if (row.deleted) return served.status === 410 ? null : `it is deleted and was answered ${told(served)}`;
    return served.version === row.version ? null : `it is at version ${row.version} and was answered ${told(served)}`;
  };

  const cache = async (rows: ReadonlyMap<string, Row>, entities: readonly Entity[]) => {
    const suspects: Entity[] = [];
    await eachOf(entities, async (entity) => {
      totals.compared++;
      if ((await wrongWith(entity, rows.get(entity.id))) !== null) suspects.push(entity);
    });
    totals.firstLookWrong += suspects.length;
    if (suspects.length > 0) await delay(SECOND_LOOK_MS);
    await eachOf(suspects, async (entity) => {
      const wrong = await wrongWith(entity, rows.get(entity.id));
      if (wrong !== null) history.violate(`${entity.kind} ${entity.id}: ${wrong}`, entity);
    });
  };

  /** The product's own verification, and its own folding of events, find nothing. */
  const ownChecks = async () => {
    const run = async (path: string, body: object) => {
      const asked = await insist(apis, random, "POST", path, { body }, [202]);
      for (const end = performance.now() + 120_000; ; ) {
        const { body: run } = await insist(apis, random, "GET", `${path}/${asked.body.id as string}`, {}, [200]);
        if (run.state === "done") return run;
        if (performance.now() > end) throw new Error(`${path} did not end: ${JSON.stringify(run)}`);
        await delay(200);
      }
    };
    const verification = await run("/ops/verifications", {});
    for (const name of ["behind", "ahead", "undecodable", "different"]) {
      const { count, first } = verification.result[name];
      if (count > 0) history.violate(`the verification found ${count} entries ${name}: ${JSON.stringify(first)}`, history.entities.get(first[0]?.id ?? "") ?? null);
    }
    totals.verified += verification.progress.looked;
    const folded = await run("/ops/rebuilds", { target: "rows" });
    const { count, first } = folded.result.different;
    if (count > 0) history.violate(`${count} rows are not what their events come to: ${JSON.stringify(first)}`, history.entities.get(first[0]?.id ?? "") ?? null);
  };

  /** What the cache answers is, byte by byte, what Postgres answers. */
  const bytes = (entities: readonly Entity[]) => eachOf(entities, async (entity) => {
    const [cached, true_] = [await get(entity), await get(entity, { "cache-control": "no-cache" })];
    const same = cached.status === true_.status && cached.version === true_.version && (cached.status !== 200 || cached.text === true_.text);
    if (!same) history.violate(`${entity.kind} ${entity.id} was answered ${told(cached)}, and with no-cache ${told(true_)}:\n${cached.text}\n${true_.text}`, entity);
  });

  return {
    totals,
    /** What the last fail-over of Postgres lost. */
    lost: () => lostLately,
    judge: async () => {
      await acknowledgements();
      const rows = await readRows(), all = [...history.entities.values()], share = (history.lives() > lives ? UNTOUCHED_ANEW : UNTOUCHED) / all.length;
      const entities = all.filter(({ touched }) => touched || random.chance(share));
      lives = history.lives();
      rowsOfEvents(rows);
      await cache(rows, entities);
      await ownChecks();
      await bytes(entities);
      for (const entity of entities) {
        entity.touched = false;
        // Nothing more will happen to it, and a long run has many of them.
        if (entity.deleting) entity.story.splice(0, entity.story.length - TOLD_OF_DELETED);
      }
    },
  };
};
export type Judge = ReturnType<typeof startJudge>;
