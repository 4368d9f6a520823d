import { randomBytes, randomUUID } from "node:crypto";
import { Context, Effect, Layer, ManagedRuntime } from "effect";
import { Redis } from "ioredis";
import pg from "pg";
import { inject } from "vitest";
import { administer, databaseUrl } from "../support/administer.ts";
import { createDatabase, dropDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { Gate } from "./gate.ts";
import type { Modules } from "./modules.ts";
import { FOREVER, openProcess } from "./process.ts";

const PARTITIONS = 64;
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const ring = { primary: 1, keys: new Map([[1, randomBytes(32)]]), index: randomBytes(32) };
const cause = { actor: "test", trace: `00-${"1".repeat(32)}-${"2".repeat(16)}-00`, request: "r-1" };

/** Which of the three properties did not hold, and how. */
export type Violation = { readonly property: "converged" | "fresh" | "monotonic"; readonly how: string };

export type StageOptions = {
  readonly cache: "redis" | "memory";
  /** Whether the entity stands in the cache when it begins. */
  readonly entry?: boolean;
  /** A copy of the database as it is when it begins: the replica that lags. */
  readonly replica?: boolean;
};

/** What stages share, one after the other: each has an entity of its own, and empties the cache. */
export const openServers = async () => {
  const url = await createDatabase({ migrated: true });
  const redis = await startRedis();
  return {
    url,
    redis: redis.url,
    close: async () => {
      await redis.stop();
      await dropDatabase(url);
    },
  };
};
export type Servers = Awaited<ReturnType<typeof openServers>>;

/** One key of one partition over real servers, and actors that move a step at a time. Runs the layers of a tree. */
export const openStage = async (m: Modules, servers: Servers, { cache: provider, entry = true, replica = false }: StageOptions) => {
  const closing: (() => unknown)[] = [];
  const close = async () => {
    for (const step of closing.splice(0).reverse()) await step();
  };
  try {
    return await open();
  } catch (error) {
    await close();
    throw error;
  }

  async function open() {
    // Nobody is in a database that is copied.
    const url = replica ? await createDatabase({ migrated: true }) : servers.url;
    if (replica) {
      closing.push(() => dropDatabase(url));
      await administer(url, "update database_epochs e set place = l.place from database_life() l");
    }
    // A machine that stalls is no cache that is away.
    Object.assign(m.SETTINGS, { connectTimeout: 20_000, socketTimeout: FOREVER, commandTimeout: FOREVER });
    const redis = provider === "redis" ? new Redis(servers.redis) : null;
    if (redis !== null) {
      redis.on("error", () => undefined);
      closing.push(() => redis.disconnect());
      await redis.flushall();
    }

    const basics = m.Entries.layer.pipe(
      Layer.provideMerge(Layer.mergeAll(m.layerNodeIdentifiers({ secret: Buffer.alloc(32, 7) }), m.layerPrometheusMetrics())),
      Layer.provideMerge(m.Keyspace.layer(PARTITIONS, m.kinds)),
      Layer.provideMerge(m.layerFileKeyring(ring)),
      Layer.provideMerge(Layer.succeed(m.Log, m.Log.of(silent))),
    );
    const opened = async <A, E>(layer: Layer.Layer<A, E>) => {
      const runtime = ManagedRuntime.make(layer);
      closing.push(() => runtime.dispose());
      return (await runtime.context()) as Context.Context<A>;
    };
    const base = await opened(Layer.provideMerge(redis === null ? m.layerMemoryCache() : m.layerRedisCache({ url: servers.redis }), basics));
    const cache = Context.get(base, m.Cache), keyspace = Context.get(base, m.Keyspace), { authenticate } = Context.get(base, m.Identifiers);
    await eventually(() => cache.ping(), { within: 20_000 });

    /** The database's ports; a promoted replica has others. */
    const openDatabase = async (at: string) =>
      opened(Layer.mergeAll(m.layerPostgresLedger, m.layerPostgresOutbox, m.layerPostgresRetryQueue).pipe(
        Layer.provideMerge(m.Postgres.layer({ url: at, poolMax: 8, newestCached: () => Effect.runPromise(m.newestEpoch(cache, PARTITIONS)) })),
        Layer.provide(Layer.succeedContext(base)),
      ));
    type Database = Awaited<ReturnType<typeof openDatabase>>;

    const newState = () => ({ sku: randomUUID(), name: "Lamp", description: null, price: { amount: 1, currency: "EUR" }, stock: 1, status: "active" });
    const make = async (database: Database, id: string) => {
      const after = newState(), event = { type: "ProductCreated", data: after };
      await Effect.runPromise(Context.get(database, m.Ledger).commit({ kind: m.product, id, expected: 0, event, before: null, after, key: null, status: 201, cause, also: [], holds: [], owed: false }));
    };
    const id: string = randomUUID(), key = keyspace.keyOf("product", id), { partition } = key;
    let lagging: string | null = null;
    if (replica) {
      // A template has nobody in it.
      const first = ManagedRuntime.make(m.layerPostgresLedger.pipe(Layer.provide(m.Postgres.layer({ url, poolMax: 1 })), Layer.provide(Layer.succeedContext(base))));
      const ledger = (await first.runPromise(m.Ledger)) as never;
      await make(Context.make(m.Ledger, ledger) as Database, id);
      await first.dispose();
      const name = `test_${randomUUID().replaceAll("-", "")}`;
      await eventually(() => administer(inject("postgresUrl"), `create database ${name} template ${new URL(url).pathname.slice(1)}`), { within: 20_000 });
      lagging = databaseUrl(url, name);
      closing.push(() => dropDatabase(databaseUrl(url, name)));
    }
    const sql = new pg.Client({ connectionString: url });
    sql.on("error", () => undefined);
    await sql.connect();
    closing.push(() => sql.end());
    await sql.query("delete from sync_retry_queue");
    const old = await openDatabase(url);
    let database = old, current = sql;
    if (!replica) await make(database, id);

    const start = async (gate = new Gate(), at: Database = database) => {
      const process = await openProcess(m, { base, database: at, gate, redis, opened });
      const { run, context } = process;
      closing.push(gate.letAllThrough);
      const pass = async (...names: readonly string[]) => {
        for (const name of names) await (await gate.next(name)).pass();
      };
      const begun = <A>(work: Promise<A>) => {
        let answer: { readonly value: A } | { readonly error: unknown } | null = null;
        const over = work.then((value) => void (answer = { value }), (error: unknown) => void (answer = { error }));
        return {
          isOver: () => answer !== null,
          /** Lets the rest through, and answers what came of it. */
          finish: async (): Promise<A> => {
            for (let round = 0; answer === null; round++) {
              const held = gate.held[0];
              if (held !== undefined) await held.pass();
              else await Promise.race([over, new Promise((resolve) => setImmediate(resolve))]);
            }
            const it = answer as { readonly value?: A; readonly error?: unknown };
            if ("error" in it) throw it.error;
            return it.value!;
          },
        };
      };
      const lane = Context.get(context, m.Relay).lane([partition]);
      return {
        gate, pass, context, holdOpen: process.holdOpen,
        lose: async (name: string) => (await gate.next(name)).lose(),
        late: async (name: string) => (await gate.next(name)).late(),
        write: (of: string = id) => begun(run(Context.get(context, m.Commands).change({ kind: m.product, command: "AdjustStock", input: { delta: 1 }, versions: null, key: null, cause, granted: () => false, id: of }))),
        read: (tokens: readonly Token[] = [], of: string = id, noCache = false) => begun(Context.get(context, m.Queries).read(m.product, of, { noCache, maxAgeSeconds: null, tokens })),
        settle: () => begun(run(lane.round)),
        replay: () => begun(run(Context.get(context, m.Replay).round)),
      };
    };
    type Token = { readonly epoch: number; readonly sequence: number; readonly transaction: bigint; readonly entity: string | null };

    const standing = async (of: string) => {
      const { value } = await cache.describe(keyspace.keyOf("product", of));
      return value === null ? null : m.decodeEntry(value);
    };
    const row = async (of: string = id) => (await Effect.runPromise(Context.get(database, m.Ledger).rows(m.product, [of]))).rows.get(of)!;

    const stage = {
      id, close, row, start,
      /** Another entity of the same partition. */
      beside: async () => {
        let other: string = randomUUID();
        while (keyspace.partitionOf(other) !== partition) other = randomUUID();
        await make(database, other);
        return other;
      },
      query: async (text: string, values: unknown[] = []): Promise<any[]> => (await current.query(text, values)).rows,
      /** Whether something stood there. */
      evict: async (): Promise<boolean> => {
        const { value } = await cache.describe(key);
        await cache.evict(key);
        return value !== null;
      },
      loseCheckpoint: async () => void (await redis!.del(m.checkpointKey(partition))),
      /** A replica falls behind; the answer makes it the master, with what it knew. */
      fallBehind: async () => {
        const names = [key.text, m.checkpointKey(partition)];
        const dumps = await Promise.all(names.map((name) => redis!.dumpBuffer(name)));
        return async () => {
          for (const [i, name] of names.entries()) {
            const dump = dumps[i];
            if (dump == null) await redis!.del(name);
            else await redis!.restore(name, 0, dump, "REPLACE");
          }
        };
      },
      /** A process that still has the old primary hears of the newest epoch from another of its connections. */
      learn: async (): Promise<void> => void Context.get(old, m.Postgres).epochs.seen((await row()).epoch),
      /** The replica that lags becomes the primary; processes of before go on with the old one. */
      promote: async () => {
        database = await openDatabase(lagging!);
        current = new pg.Client({ connectionString: lagging! });
        current.on("error", () => undefined);
        await current.connect();
        const mine = current;
        closing.push(() => mine.end());
        return database;
      },
      /** That of the write that made a version, as whoever made it was given it; `named` false: as one who changed it along with others. */
      tokenOf: async (version: number, named = true): Promise<Token> => {
        const [record] = await stage.query("select epoch, xid::text as xid, seq from outbox where entity_id = $1 and version_id = $2 order by epoch desc limit 1", [id, version]);
        return { epoch: Number(record.epoch), sequence: Number(record.seq), transaction: BigInt(record.xid), entity: named ? m.entityDigest("product", id, authenticate) : null };
      },
      /** What of the outbox the checkpoint does not show yet. */
      isSettled: async (): Promise<boolean> => {
        const checkpoint = m.parseCheckpoint((await cache.checkpoints([partition]))[0]!);
        const [{ epoch }] = await stage.query("select max(epoch) as epoch from database_epochs");
        if (checkpoint?.is !== "settled" || checkpoint.epoch !== Number(epoch)) return false;
        const [{ left }] = await stage.query(
          "select count(*)::int as left from outbox where epoch = $1 and partition = $2 and not pg_visible_in_snapshot(xid, $3::pg_snapshot)",
          [epoch, partition, m.formatSnapshot(checkpoint.snapshot)],
        );
        return left === 0;
      },
      /** The relay goes on until nothing is left, and then what stands in the cache has to be what the row is. */
      converged: async (relay: Actor): Promise<Violation | null> => {
        await eventually(async () => {
          while (await relay.settle().finish()) { /* there is more at once */ }
          return stage.isSettled();
        }, { within: 40_000 });
        return stage.compared("converged");
      },
      /** Everybody's stores have come through, and no retry row is left: nothing stale may stand there, relay or no relay. */
      fresh: (): Promise<Violation | null> => stage.compared("fresh"),
      compared: async (property: Violation["property"], of: string = id): Promise<Violation | null> => {
        const [there, is] = [await standing(of), await row(of)];
        if (there === null) return null;
        const bytes = Buffer.from(m.payloadOf(m.product, is, is.state!));
        return there.version === is.version && Buffer.compare(there.payload, bytes) === 0 ? null : { property, how: `version ${there.version} of epoch ${there.epoch} stands over version ${is.version} of epoch ${is.epoch}` };
      },
    };
    type Actor = Awaited<ReturnType<typeof start>>;

    // The partition is settled before it begins, and the cache knows what is asked for.
    const gate = new Gate();
    gate.open = true;
    const opener = await start(gate);
    await eventually(async () => {
      while (await opener.settle().finish()) { /* there is more at once */ }
      return stage.isSettled();
    }, { within: 40_000 });
    if (entry) await opener.read().finish();
    return stage;
  }
};
export type Stage = Awaited<ReturnType<typeof openStage>>;
export type Actor = Awaited<ReturnType<Stage["start"]>>;
