import { randomUUID } from "node:crypto";
import { Context, Effect, Layer, ManagedRuntime } from "effect";
import pg from "pg";
import { afterEach, inject } from "vitest";
import { type Kind, type State } from "../../src/domain/Kind.ts";
import { kinds as allKinds } from "../../src/domain/kinds/kinds.ts";
import { product } from "../../src/domain/kinds/product.ts";
import type { CommandRequest } from "../../src/domain/Commands.ts";
import type { WorkLeases } from "../../src/domain/jobs/WorkLeases.ts";
import { Log, type LogFields } from "../../src/domain/observe/Log.ts";
import { Cache } from "../../src/domain/cache/Cache.ts";
import { CacheAccess } from "../../src/domain/cache/CacheAccess.ts";
import { Purge } from "../../src/domain/sync/Purge.ts";
import { Relay } from "../../src/domain/sync/Relay.ts";
import { Replay } from "../../src/domain/sync/Replay.ts";
import { readConfiguration } from "../../src/infrastructure/configuration/readConfiguration.ts";
import { layerServices } from "../../src/infrastructure/live.ts";
import { layerPgBossLeases } from "../../src/infrastructure/pgboss/PgBossLeases.ts";
import { createDatabase, dropDatabase } from "./database.ts";
import { eventually } from "./eventually.ts";
import { PATIENCE, patientRedis } from "./patient.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { type RedisOptions, startRedis } from "./redis.ts";

const undo: (() => unknown)[] = [];
/** Runs when the test is over; the last one first. */
export const afterwards = (step: () => unknown): void => void undo.push(step);
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

export type Line = { readonly level: "debug" | "info" | "warn" | "error"; readonly message: string; readonly fields: LogFields };

/** A log that keeps its lines. */
export const keptLog = () => {
  const lines: Line[] = [];
  const at = (level: Line["level"]) => (message: string, fields: LogFields = {}) => void lines.push({ level, message, fields });
  return { log: Log.of({ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }), lines };
};

/** A migrated database until the test is over, with a connection of the test's own. */
export const freshDatabase = async () => {
  const url = await createDatabase({ migrated: true });
  const connect = async () => {
    const client = new pg.Client({ connectionString: url });
    // It is broken off where a test breaks off everybody.
    client.on("error", () => undefined);
    await client.connect();
    afterwards(() => client.end());
    return client;
  };
  afterwards(() => dropDatabase(url));
  const client = await connect();
  const query = async (text: string, values: unknown[] = []): Promise<any[]> => (await client.query(text, values)).rows;
  return { url, connect, query };
};

export const freshRedis = async (options: RedisOptions = {}) => {
  const redis = await startRedis(options);
  afterwards(async () => {
    await redis.thaw();
    await redis.stop();
  });
  return redis;
};

/** The same server, seen through a proxy. */
export const behindProxy = async (url: string): Promise<Proxy & { readonly to: string }> => {
  const target = new URL(url);
  const proxy = await startProxy({ host: target.hostname, port: Number(target.port) });
  target.host = `127.0.0.1:${proxy.port}`;
  afterwards(proxy.stop);
  return { ...proxy, to: target.href };
};

export type ServiceOptions = {
  /** Of a database that is migrated. */
  readonly database: string;
  /** Without one it is the memory cache. */
  readonly redis?: string | undefined;
  readonly environment?: Readonly<Record<string, string>>;
  /** What Relay and Replay take for the list of kinds. */
  readonly kinds?: readonly Kind[];
  /** For an answer of the cache. Long, because a machine that stalls is no cache that is away; a test of a cache that is silent sets a short one. */
  readonly shortestDeadlineMilliseconds?: number;
  /** False: what stands in the cache is not trusted yet, as in a process that has just started; and nobody waits until it answers. */
  readonly trusting?: boolean;
};

/** What one process of Holdfast is made of, without its jobs and without HTTP: a second set over the same servers is another process. */
export const openServices = async ({ database, redis, environment = {}, kinds = allKinds, shortestDeadlineMilliseconds = PATIENCE, trusting = true }: ServiceOptions) => {
  const cache: Record<string, string> = redis === undefined ? { CACHE_PROVIDER: "memory" } : { REDIS_URL: shortestDeadlineMilliseconds === PATIENCE ? patientRedis(redis) : redis };
  const configured = readConfiguration({ DATABASE_URL: database, KEYRING_FILE: inject("keyringFile"), SYNC_BUDGET_MS: String(PATIENCE), ...cache, ...environment }, "all");
  const running = { ...configured, DATABASE_URL: database, KEYRING_FILE: configured.KEYRING_FILE!, embedded: false, shortestDeadlineMilliseconds };
  const { log, lines } = keptLog();
  const options = { kinds, ttlMilliseconds: running.CACHE_TTL_SECONDS * 1_000 };
  const runtime = ManagedRuntime.make(Layer.merge(Replay.layer(options), Relay.layer(options)).pipe(
    Layer.provideMerge(Purge.layer),
    Layer.provideMerge(layerServices(running)),
    Layer.provideMerge(Layer.succeed(Log, log)),
  ));
  afterwards(() => runtime.dispose());
  const context = await runtime.context();
  const get = <I, S>(service: Context.Key<I, S>): S => Context.getUnsafe(context as Context.Context<any>, service);
  const access = get(CacheAccess);
  // A connection that takes long opens the breaker, and whoever closes it trusts nothing.
  if (trusting) await eventually(async () => {
    await get(Cache).ping();
    for (const partition of access.distrusted()) access.trust(partition);
    return access.state() === "closed";
  });
  return { lines, get, context, database };
};
export type Services = Awaited<ReturnType<typeof openServices>>;

type InContext<C> = C extends Context.Context<infer S> ? S : never;

/** Jobs of a process; the answer ends them. */
export const openJobs = async (services: Services, jobs: Layer.Layer<never, never, InContext<Services["context"]> | WorkLeases>) => {
  const runtime = ManagedRuntime.make(jobs.pipe(
    Layer.provide(layerPgBossLeases({ url: services.database })),
    Layer.provide(Layer.succeedContext(services.context)),
  ));
  afterwards(() => runtime.dispose());
  await runtime.context();
  return () => runtime.dispose();
};

export const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect);
/** The error that an effect fails with. */
export const failing = <A, E>(effect: Effect.Effect<A, E>): Promise<E> => run(Effect.flip(Effect.asVoid(effect))) as Promise<E>;

export const cause = { actor: "tester", trace: `00-${"1".repeat(32)}-${"2".repeat(16)}-00`, request: "r-1" };

const request = (command: string, input: State, more: Partial<CommandRequest>): CommandRequest =>
  ({ kind: product, command, input, versions: null, key: null, cause, granted: () => false, ...more });

export const creating = (fields: State = {}, more: Partial<CommandRequest> = {}): CommandRequest =>
  request("CreateProduct", { sku: randomUUID(), name: "Lamp", price: { amount: 1250, currency: "EUR" }, stock: 10, ...fields }, more);
export const renaming = (id: string | null, name: string, more: Partial<CommandRequest> = {}) => ({ ...request("ChangeProduct", { name }, more), id });
export const adjusting = (id: string, delta: number, more: Partial<CommandRequest> = {}) => ({ ...request("AdjustStock", { delta }, more), id });
export const deleting = (id: string, more: Partial<CommandRequest> = {}) => ({ ...request("DeleteProduct", {}, more), id });

/** A product whose state no entry can be made of: an entry walks what is shown, and nobody else does. */
export const unencodable: Kind = {
  ...product,
  shown: new Proxy(product.shown, {
    get: () => {
      throw new Error("cannot be encoded");
    },
  }),
};
