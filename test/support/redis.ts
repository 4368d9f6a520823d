import { once } from "node:events";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { inject } from "vitest";
import { spawnWatched, type Watched } from "../../src/infrastructure/embedded/watched.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./processes.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import type { RedisWay } from "./redisWays.ts";
import { docker } from "./servers.ts";

export type RedisOptions = {
  /** As on the command line of redis-server; they win over ours. */
  readonly args?: readonly string[];
  /** Lines of a redis.conf; the file is writable, as a sentinel wants it (`args: ["--sentinel"]`). */
  readonly config?: string;
  /** Every write is on disk before its answer, so that `start` after `kill` finds the data again. */
  readonly persistent?: boolean;
};

export type RedisServer = {
  readonly url: string;
  readonly port: number;
  /** It keeps its connections and answers nothing. */
  readonly freeze: () => Promise<void>;
  readonly thaw: () => Promise<void>;
  /** As kill -9 does it. */
  readonly kill: () => Promise<void>;
  /** Again, on the same port. */
  readonly start: () => Promise<void>;
  /** For good; its data goes too. */
  readonly stop: () => Promise<void>;
  /** One command over a connection of its own; the reply as ioredis gives it. */
  readonly cli: (command: string, ...args: (string | number)[]) => Promise<unknown>;
};

const cliOf = (url: string) => async (command: string, ...args: (string | number)[]) => {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0, enableReadyCheck: false });
  // The failure of the command says the same.
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await client.call(command, ...args);
  } finally {
    client.disconnect();
  }
};

const argsFor = (port: number, dir: string, { args = [], persistent = false }: RedisOptions) => {
  const memory = persistent ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
  return [join(dir, "redis.conf"), "--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", ...memory, ...args];
};

export const startBinary = async ({ server, env }: RedisWay & { kind: "binary" }, options: RedisOptions): Promise<RedisServer> => {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-redis-"));
  await writeFile(join(dir, "redis.conf"), options.config ?? "");
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const cli = cliOf(url);
  let child: Watched["child"];
  let ended: Promise<unknown> = Promise.resolve();
  const start = async () => {
    const log = await open(join(dir, "redis.log"), "w");
    ({ child } = spawnWatched(server, argsFor(port, dir, options), { signal: "KILL", scratch: dir, output: log.fd, env: { ...process.env, ...env } }));
    await log.close();
    let over = false;
    ended = once(child, "exit").then(() => (over = true));
    // Itself: at its port somebody else may answer, and then it ends.
    const isItself = async () => new RegExp(`^process_id:${child.pid}\\r?$`, "mu").test(String(await cli("INFO", "server")));
    await eventually(async () => over || ((await isItself()) && (await cli("PING")) === "PONG"));
    if (over) throw new Error(`redis-server did not start:\n${await readFile(join(dir, "redis.log"), "utf8")}`);
  };
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  await start();
  return {
    url,
    port,
    cli,
    start,
    kill,
    freeze: async () => void child.kill("SIGSTOP"),
    thaw: async () => void child.kill("SIGCONT"),
    stop: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
};

// In the host's network, so that servers of a cluster, or a sentinel and its master, see each other as they do without Docker.
const startDocker = async ({ image }: RedisWay & { kind: "docker" }, options: RedisOptions): Promise<RedisServer> => {
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const { container, Wait, byId } = await docker(image);
  const started = await container
    .withNetworkMode("host")
    .withCopyContentToContainer([{ content: options.config ?? "", target: "/data/redis.conf", mode: 0o666 }])
    .withCommand(["redis-server", ...argsFor(port, "/data", options)])
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections|Sentinel ID/u))
    .start();
  const handle = byId(started.getId());
  const cli = cliOf(url);
  return {
    url,
    port,
    cli,
    freeze: async () => void (await handle.pause()),
    thaw: async () => void (await handle.unpause()),
    kill: async () => void (await handle.kill()),
    start: async () => {
      await handle.start();
      await eventually(() => cli("PING"), { within: 10_000 });
    },
    stop: async () => void (await started.stop({ timeout: 0 })),
  };
};

let given = 0;

// A server that others started cannot be killed; a proxy before it makes it seem so. Every server of a test is a database of its own in it: with two workers, eight each.
const startGiven = async (way: RedisWay & { kind: "given" }, { args, config, persistent = false }: RedisOptions): Promise<RedisServer> => {
  if (args !== undefined || config !== undefined) throw new Error("A Redis with settings of its own cannot be had from TEST_REDIS_URL. Leave it unset for this test.");
  const target = new URL(way.url);
  const proxy: Proxy = await startProxy({ host: target.hostname, port: Number(target.port || 6379) });
  const front = new URL(way.url);
  front.host = `127.0.0.1:${proxy.port}`;
  front.pathname = target.pathname = `/${((Number(process.env.VITEST_POOL_ID ?? 1) - 1) % 2) * 8 + (given++ % 8)}`;
  const direct = cliOf(target.href);
  const forget = async () => void (persistent || (await direct("FLUSHDB")));
  await direct("FLUSHDB");
  return {
    url: front.href,
    port: proxy.port,
    cli: cliOf(front.href),
    freeze: async () => proxy.blackhole(),
    thaw: () => proxy.restore(),
    kill: () => proxy.cut(),
    start: async () => {
      await forget();
      await proxy.restore();
    },
    stop: async () => {
      await direct("FLUSHDB");
      await proxy.stop();
    },
  };
};

/** A Redis of this test's own, empty; with `redis-server` at hand it takes 20 ms. */
export const startRedis = (options: RedisOptions = {}): Promise<RedisServer> => {
  const way = inject("redisWay");
  if (way.kind === "binary") return startBinary(way, options);
  return way.kind === "docker" ? startDocker(way, options) : startGiven(way, options);
};
