import { randomBytes } from "node:crypto";
import { Context, Effect, Layer, ManagedRuntime } from "effect";
import { expect } from "vitest";
import { Cache } from "../../src/domain/cache/Cache.ts";
import { CacheAccess } from "../../src/domain/cache/CacheAccess.ts";
import { Entries } from "../../src/domain/cache/Entries.ts";
import { Keyspace } from "../../src/domain/cache/Keyspace.ts";
import { Transitions } from "../../src/domain/cache/Transitions.ts";
import { Identifiers } from "../../src/domain/Identifiers.ts";
import type { Kind } from "../../src/domain/Kind.ts";
import { kinds } from "../../src/domain/kinds/kinds.ts";
import { type Change, Ledger } from "../../src/domain/ledger/Ledger.ts";
import { entityDigest } from "../../src/domain/ledger/Token.ts";
import { Log } from "../../src/domain/observe/Log.ts";
import { ANY } from "../../src/domain/Freshness.ts"
import { Queries } from "../../src/domain/Queries.ts";
import { ShadowReads } from "../../src/domain/shadow/ShadowReads.ts";
import { Purge } from "../../src/domain/sync/Purge.ts";
import { Relay } from "../../src/domain/sync/Relay.ts";
import { Replay } from "../../src/domain/sync/Replay.ts";
import { WriteThrough } from "../../src/domain/sync/WriteThrough.ts";
import { layerFileKeyring } from "../../src/infrastructure/crypto/FileKeyring.ts";
import type { KeyringFile } from "../../src/infrastructure/crypto/keyringFile.ts";
import { layerNodeIdentifiers } from "../../src/infrastructure/crypto/NodeIdentifiers.ts";
import { layerMemoryCache } from "../../src/infrastructure/memory/MemoryCache.ts";
import { layerPrometheusMetrics } from "../../src/infrastructure/metrics/PrometheusMetrics.ts";
import { layerPostgresLedger } from "../../src/infrastructure/postgres/PostgresLedger.ts";
import { layerPostgresOutbox } from "../../src/infrastructure/postgres/PostgresOutbox.ts";
import { layerNoReplica } from "../../src/infrastructure/postgres/PostgresReplica.ts";
import { layerPostgresRetryQueue } from "../../src/infrastructure/postgres/PostgresRetryQueue.ts";
import { Postgres } from "../../src/infrastructure/postgres/Postgres.ts";
import { layerRedisCache } from "../../src/infrastructure/redis/RedisCache.ts";
import { eventually } from "./eventually.ts";
import { PATIENCE, patientRedis } from "./patient.ts";
import { afterwards, keptLog, run } from "./services.ts";

/** A keyring with these keys, all of them random; the index is that of `of`. */
export const ringOf = (primary: number, numbers: readonly number[], of?: KeyringFile): KeyringFile => ({
  primary,
  keys: new Map(numbers.map((number) => [number, of?.keys.get(number) ?? randomBytes(32)])),
  index: of?.index ?? randomBytes(32),
});

const PARTITIONS = 64;
const everyPartition = Array.from({ length: PARTITIONS }, (_, partition) => partition);
const options = { kinds, ttlMilliseconds: 60_000 };

/** The parts that put entries into a cache and take them out, without the commands: a second set over the same servers is another process. */
export const openKeptEntries = async ({ database, redis, ring = ringOf(1, [1]) }: { readonly database: string; readonly redis?: string; readonly ring?: KeyringFile }) => {
  const { log, lines } = keptLog();
  const runtime = ManagedRuntime.make(Layer.mergeAll(
    Queries.layer({ ...options, lane: 5, fallback: true }), Relay.layer(options), Replay.layer(options), WriteThrough.layer(options),
  ).pipe(
    Layer.provideMerge(Layer.merge(Purge.layer, ShadowReads.layer([]))),
    // A machine that stalls is no cache that is away.
    Layer.provideMerge(CacheAccess.layer({ attempts: 3, syncBudgetMilliseconds: PATIENCE, shortestDeadlineMilliseconds: PATIENCE })),
    Layer.provideMerge(Layer.mergeAll(redis === undefined ? layerMemoryCache() : layerRedisCache({ url: patientRedis(redis) }), layerPostgresLedger, layerPostgresOutbox, layerPostgresRetryQueue, layerNoReplica)),
    Layer.provideMerge(Layer.mergeAll(Entries.layer, layerNodeIdentifiers({ secret: Buffer.alloc(32, 7) }), layerPrometheusMetrics(), Transitions.layer({ process: "test" }), Postgres.layer({ url: database, poolMax: 10 }))),
    Layer.provideMerge(Keyspace.layer(PARTITIONS, kinds)),
    Layer.provideMerge(layerFileKeyring(ring)),
    Layer.provideMerge(Layer.succeed(Log, log)),
  ));
  afterwards(() => runtime.dispose());
  const context = await runtime.context();
  const get = <I, S>(service: Context.Key<I, S>): S => Context.getUnsafe(context as Context.Context<any>, service);
  const access = get(CacheAccess), cache = get(Cache), ledger = get(Ledger), queries = get(Queries), entries = get(Entries), writeThrough = get(WriteThrough);
  for (const partition of access.distrusted()) access.trust(partition);
  await eventually(() => cache.ping());
  const key = (kind: Kind, id: string) => get(Keyspace).keyOf(kind.name, id);
  const lane = get(Relay).lane(everyPartition);
  return {
    get, lines, cache, ledger, entries, key,
    commit: (change: Change) => run(Effect.map(ledger.commit(change), (committed) => committed!)),
    /** As a command does it: lease, commit, store. */
    change: (change: Change) => run(Effect.gen(function*() {
      const leases = yield* writeThrough.lease(change.kind, [change.id]);
      const { row, also, transaction } = (yield* ledger.commit(change))!;
      const synced = yield* writeThrough.store([{ kind: change.kind, row }, ...also], leases, false);
      return { row, also, synced, token: { epoch: row.epoch, sequence: row.sequence, transaction, entity: entityDigest(change.kind.name, row.id, get(Identifiers).authenticate) } };
    })),
    row: async (kind: Kind, id: string) => (await run(ledger.rows(kind, [id]))).rows.get(id)!,
    read: (kind: Kind, id: string, freshness = {}) => queries.read(kind, id, { ...ANY, ...freshness }),
    list: (kind: Kind, freshness = {}) => run(queries.list(kind, { after: null, limit: 10, where: {} }, { ...ANY, ...freshness })),
    bytes: async (kind: Kind, id: string) => {
      const { value } = await cache.describe(key(kind, id));
      return value === null ? null : Buffer.from(value);
    },
    /** As somebody who can write to the cache. */
    force: async (kind: Kind, id: string, value: Uint8Array) => {
      await cache.evict(key(kind, id));
      await cache.lease([key(kind, id)], "forced");
      expect(await cache.store([{ key: key(kind, id), value, lease: "forced", ttlMilliseconds: 60_000 }])).toEqual(["stored"]);
    },
    settle: () => eventually(async () => !(await run(lane.round))),
  };
};
export type KeptEntries = Awaited<ReturnType<typeof openKeptEntries>>;
