import { Clock, Context, Duration, Effect, Layer } from "effect";
import type { Redis } from "ioredis";
import type { Gate } from "./gate.ts";
import type { Modules } from "./modules.ts";

/** No lease, entry or deadline ends by itself: only the schedule says what happens. In milliseconds. */
export const FOREVER = 600_000;

const real = Context.getUnsafe(Context.empty() as Context.Context<any>, Clock.Clock);
/** Deadlines never come, and nobody waits for what comes by time. */
const clock: Clock.Clock = {
  currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe(),
  currentTimeMillis: real.currentTimeMillis,
  currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe(),
  currentTimeNanos: real.currentTimeNanos,
  monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: real.monotonicTimeNanos,
  sleep: (duration) => Duration.toMillis(duration) >= 1_000 ? Effect.never : Effect.yieldNow,
};

type ProcessOptions = {
  /** The cache, the keys and what goes with them, and the database's ports. */
  readonly base: Context.Context<any>;
  readonly database: Context.Context<any>;
  readonly gate: Gate;
  /** Null where the cache is in memory. */
  readonly redis: Redis | null;
  readonly opened: <A, E>(layer: Layer.Layer<A, E>) => Promise<Context.Context<A>>;
};

/** A process: use cases over ports that wait at a gate. Nobody's are kept in memory but its own. */
export const openProcess = async (m: Modules, { base, database, gate, redis, opened }: ProcessOptions) => {
  const cache = Context.getUnsafe(base, m.Cache);
  const ledger = Context.getUnsafe(database, m.Ledger), outbox = Context.getUnsafe(database, m.Outbox), queue = Context.getUnsafe(database, m.RetryQueue), postgres = Context.getUnsafe(database, m.Postgres);
  let holdsOpen = false;
  const gatedCache: typeof cache = {
    ...cache,
    look: (wanted) => gate.promise("look", () => cache.look(wanted)),
    lease: (keys, token) => gate.promise("lease", async () => {
      const given = await cache.lease(keys, token);
      if (redis !== null) for (const [i, { text }] of keys.entries()) if (given[i]) await redis.pexpire(text, FOREVER);
      return given;
    }),
    giveBack: (keys, token) => gate.promise("giveBack", () => cache.giveBack(keys, token)),
    store: (puts) => gate.promise("store", () => cache.store(puts)),
    fill: (puts) => gate.promise("fill", () => cache.fill(puts)),
    checkpoints: (partitions) => gate.promise("checkpoints", () => cache.checkpoints(partitions)),
    settle: (settlement) => gate.promise("settle", () => cache.settle(settlement)),
    mark: (partition, expected, next) => gate.promise("mark", () => cache.mark(partition, expected, next)),
    purge: (partition, keys, expected, next) => gate.promise("purge", () => cache.purge(partition, keys, expected, next)),
  };
  const gatedLedger: typeof ledger = {
    ...ledger,
    load: (...asked) => gate.effect("load", ledger.load(...asked)),
    rows: (...asked) => gate.effect("rows", ledger.rows(...asked)),
    snapshot: gate.effect("snapshot", ledger.snapshot),
    commit: (change) => holdsOpen
      ? gate.twice("commit", "end", ledger.commit(change), postgres.transaction)
      : gate.effect("commit", ledger.commit(change)),
  };
  const gatedOutbox: typeof outbox = { ...outbox, since: (...asked) => gate.effect("since", outbox.since(...asked)) };
  const gatedQueue: typeof queue = {
    ...queue,
    owe: (debts) => gate.effect("owe", queue.owe(debts)),
    due: (limit) => gate.effect("due", queue.due(limit)),
    settle: (rows) => gate.effect("unqueue", queue.settle(rows)),
  };
  const options = { kinds: m.kinds, ttlMilliseconds: FOREVER };
  const nobody = { forget: () => undefined } as unknown as Context.Service.Shape<typeof m.SubjectKeys>;
  const context = await opened(Layer.mergeAll(
    m.Commands.layer, m.Queries.layer({ ...options, lane: 4, fallback: true }), m.Relay.layer(options), m.Replay.layer(options),
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(m.WriteThrough.layer(options), m.ShadowReads.layer([]), Layer.succeed(m.Replica, m.noReplica))),
    Layer.provideMerge(m.Purge.layer),
    Layer.provideMerge(m.CacheAccess.layer({ attempts: 1, syncBudgetMilliseconds: FOREVER, shortestDeadlineMilliseconds: FOREVER })),
    Layer.provideMerge(Layer.mergeAll(m.PersonalData.layer, m.Transitions.layer({ process: "test" }))),
    Layer.provideMerge(Layer.mergeAll(
      Layer.succeed(m.Cache, m.Cache.of(gatedCache)), Layer.succeed(m.Ledger, m.Ledger.of(gatedLedger)), Layer.succeed(m.Outbox, m.Outbox.of(gatedOutbox)),
      Layer.succeed(m.RetryQueue, m.RetryQueue.of(gatedQueue)), Layer.succeed(m.SubjectKeys, m.SubjectKeys.of(nobody)), Layer.succeed(m.Epochs, postgres.epochs), Layer.succeed(Clock.Clock, clock),
    )),
    Layer.provideMerge(Layer.succeedContext(base)),
  ));
  const access = Context.get(context, m.CacheAccess);
  for (const partition of access.distrusted()) access.trust(partition);
  return { context, access, holdOpen: () => void (holdsOpen = true), run: <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(Effect.provideService(effect, Clock.Clock, clock)) };
};
