import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { constants, Script } from "node:vm";

// Node itself reads both trees, and in the same way: to the test runner a tree in another folder is none of its own.
const native = new Script("(url) => import(url)", { importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }).runInThisContext() as (url: string) => Promise<unknown>;

/** The layers of a copy of the repository, sabotaged or whole: the folder that `src` is in. */
export const modulesIn = async (tree: string) => {
  const from = <M>(path: string) => native(pathToFileURL(join(tree, "src", path)).href) as Promise<M>;
  const all = await Promise.all([
    from<typeof import("../../src/domain/cache/Cache.ts")>("domain/cache/Cache.ts"),
    from<typeof import("../../src/domain/cache/CacheAccess.ts")>("domain/cache/CacheAccess.ts"),
    from<typeof import("../../src/domain/cache/Checkpoint.ts")>("domain/cache/Checkpoint.ts"),
    from<typeof import("../../src/domain/cache/Entries.ts")>("domain/cache/Entries.ts"),
    from<typeof import("../../src/domain/cache/Entry.ts")>("domain/cache/Entry.ts"),
    from<typeof import("../../src/domain/cache/Keyspace.ts")>("domain/cache/Keyspace.ts"),
    from<typeof import("../../src/domain/cache/newestEpoch.ts")>("domain/cache/newestEpoch.ts"),
    from<typeof import("../../src/domain/cache/Transitions.ts")>("domain/cache/Transitions.ts"),
    from<typeof import("../../src/domain/Commands.ts")>("domain/Commands.ts"),
    from<typeof import("../../src/domain/Identifiers.ts")>("domain/Identifiers.ts"),
    from<typeof import("../../src/domain/kinds/kinds.ts")>("domain/kinds/kinds.ts"),
    from<typeof import("../../src/domain/kinds/product.ts")>("domain/kinds/product.ts"),
    from<typeof import("../../src/domain/ledger/Epochs.ts")>("domain/ledger/Epochs.ts"),
    from<typeof import("../../src/domain/ledger/Ledger.ts")>("domain/ledger/Ledger.ts"),
    from<typeof import("../../src/domain/ledger/Outbox.ts")>("domain/ledger/Outbox.ts"),
    from<typeof import("../../src/domain/ledger/Replica.ts")>("domain/ledger/Replica.ts"),
    from<typeof import("../../src/domain/shadow/ShadowReads.ts")>("domain/shadow/ShadowReads.ts"),
    from<typeof import("../../src/domain/ledger/Snapshot.ts")>("domain/ledger/Snapshot.ts"),
    from<typeof import("../../src/domain/ledger/Token.ts")>("domain/ledger/Token.ts"),
    from<typeof import("../../src/domain/observe/Log.ts")>("domain/observe/Log.ts"),
    from<typeof import("../../src/domain/Queries.ts")>("domain/Queries.ts"),
    from<typeof import("../../src/domain/secrets/PersonalData.ts")>("domain/secrets/PersonalData.ts"),
    from<typeof import("../../src/domain/secrets/SubjectKeys.ts")>("domain/secrets/SubjectKeys.ts"),
    from<typeof import("../../src/domain/sync/Purge.ts")>("domain/sync/Purge.ts"),
    from<typeof import("../../src/domain/sync/Relay.ts")>("domain/sync/Relay.ts"),
    from<typeof import("../../src/domain/sync/Replay.ts")>("domain/sync/Replay.ts"),
    from<typeof import("../../src/domain/sync/RetryQueue.ts")>("domain/sync/RetryQueue.ts"),
    from<typeof import("../../src/domain/sync/WriteThrough.ts")>("domain/sync/WriteThrough.ts"),
    from<typeof import("../../src/infrastructure/crypto/FileKeyring.ts")>("infrastructure/crypto/FileKeyring.ts"),
    from<typeof import("../../src/infrastructure/crypto/NodeIdentifiers.ts")>("infrastructure/crypto/NodeIdentifiers.ts"),
    from<typeof import("../../src/infrastructure/memory/MemoryCache.ts")>("infrastructure/memory/MemoryCache.ts"),
    from<typeof import("../../src/infrastructure/metrics/PrometheusMetrics.ts")>("infrastructure/metrics/PrometheusMetrics.ts"),
    from<typeof import("../../src/infrastructure/postgres/Postgres.ts")>("infrastructure/postgres/Postgres.ts"),
    from<typeof import("../../src/infrastructure/postgres/PostgresLedger.ts")>("infrastructure/postgres/PostgresLedger.ts"),
    from<typeof import("../../src/infrastructure/postgres/PostgresOutbox.ts")>("infrastructure/postgres/PostgresOutbox.ts"),
    from<typeof import("../../src/infrastructure/postgres/PostgresRetryQueue.ts")>("infrastructure/postgres/PostgresRetryQueue.ts"),
    from<typeof import("../../src/infrastructure/redis/RedisCache.ts")>("infrastructure/redis/RedisCache.ts"),
  ]);
  return Object.assign({}, ...all) as Merged<typeof all>;
};

type Merged<All extends readonly unknown[]> = All extends readonly [infer First, ...infer Rest] ? First & Merged<Rest> : unknown;
export type Modules = Awaited<ReturnType<typeof modulesIn>>;
