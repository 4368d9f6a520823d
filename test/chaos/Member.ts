import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";

export type Line = { readonly level: string; readonly msg: string; readonly [field: string]: unknown };

/** A process of Holdfast with a network of its own to each server, which is started again whenever it has ended, as a deployment does it. */
export type Member = {
  readonly name: string;
  readonly role: "api" | "relay";
  /** Of what it serves, `/ops` included; null while it is not ready. */
  readonly url: () => string | null;
  readonly redis: Proxy;
  readonly postgres: Proxy;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** As kill -9 does it; over when the process is. Another one is started at once. */
  readonly kill: () => Promise<void>;
  /** What it printed that stands for a defect, and how often it ended by itself. */
  readonly defects: () => readonly string[];
  readonly starts: () => number;
  readonly stop: () => Promise<void>;
};

const MAINS = { api: "src/http/main.ts", relay: "src/jobs/main.ts" };
const CLOCK = fileURLToPath(import.meta.resolve("./jumpingClock.ts"));

// What a process says while its servers are away, and nothing else, may be an error.
const EXPECTED = [
  /^Postgres cannot be reached$/u,
  // The old primary, met by a connection that was on its way when the replica took over; and a replica that is still in recovery.
  /^A Postgres server is not used$/u,
  // For a moment after a fail-over of Postgres, until the connections of the life that is over have noticed.
  /^The cache is ahead of the database/u,
];
// Work under a lease fails with its database; it is taken up again.
const AWAY = /DatabaseUnavailable|CacheUnavailable|UnknownOutcome/u;

const isDefect = ({ level, msg, cause }: Line) =>
  (level === "error" || level === "fatal") && !EXPECTED.some((one) => one.test(msg)) && !(msg === "Leased work failed" && AWAY.test(String(cause)));

// A port that is not listened on may be lent to somebody's connection for a moment.
const LISTEN_MS = 30_000;

/** A fault and a fail-over take hold of the same network: one after the other, for a server that is closed while it is about to listen says nothing to who waits for it. */
const inTurn = (proxy: Proxy): Proxy => {
  let earlier: Promise<unknown> = Promise.resolve();
  const turn = (work: () => Promise<void>) => () => {
    const mine = earlier.then(work);
    earlier = mine.catch(() => undefined);
    return mine;
  };
  return { ...proxy, cut: turn(proxy.cut), restore: turn(() => eventually(proxy.restore, { within: LISTEN_MS })), stop: turn(proxy.stop) };
};

/** Null where it is none; the last one of a process that was killed may be half a line. */
const lineOf = (text: string): Line | null => {
  if (!text.startsWith("{") || !text.endsWith("}")) return null;
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null;
  }
};

export type Servers = { readonly postgresPort: number; readonly redisPort: number; readonly databaseUrl: (port: number) => string };

export const startMember = async (
  name: string,
  role: "api" | "relay",
  { root, servers, environment, key, onDefect }: { root: string; servers: Servers; environment: Readonly<Record<string, string>>; key: string; onDefect: (text: string) => void },
): Promise<Member> => {
  const [redis, postgres] = await Promise.all([
    startProxy({ host: "127.0.0.1", port: servers.redisPort }).then(inTurn),
    startProxy({ host: "127.0.0.1", port: servers.postgresPort }).then(inTurn),
  ]);
  const defects: string[] = [];
  let child: RunningProcess, url: string | null = null, over = false, killed = false, starts = 0;
  const defect = (text: string) => {
    defects.push(text);
    onDefect(`${name}: ${text}`);
  };

  /** Reads what the process prints as it comes: a long run prints more than one wants to keep. */
  const watch = async (process: RunningProcess) => {
    let read = 0, ended = false, ready = false;
    void process.exited.then(() => (ended = true));
    for (;;) {
      const last = ended, text = process.output(), end = last ? text.length : text.lastIndexOf("\n") + 1, printed: string[] = [];
      for (const line of text.slice(read, end).split("\n")) {
        const parsed = lineOf(line);
        if (parsed !== null) {
          if (parsed.msg === "Holdfast is ready") {
            ready = true;
            url = (parsed["url"] ?? parsed["opsUrl"]) as string;
          }
          if (isDefect(parsed)) defect(line.slice(0, 2_000));
        } else if (line.trim() !== "" && !killed && !over && ready) {
          printed.push(line);
        }
      }
      if (printed.length > 0) defect(`printed past its log:\n${printed.join("\n").slice(0, 3_000)}`);
      read = Math.max(read, end);
      if (last) return ready;
      await delay(20);
    }
  };

  const live = async () => {
    while (!over) {
      killed = false;
      starts++;
      child = startProcess(process.execPath, ["--trace-warnings", "--import", CLOCK, join(root, MAINS[role])], {
        env: {
          PATH: process.env["PATH"], HOME: process.env["HOME"], PORT: "0", BOOTSTRAP_API_KEY: key, CHAOS_CLOCK: String(starts), DATABASE_POOL_MAX: "8",
          DATABASE_URL: servers.databaseUrl(postgres.port), REDIS_URL: redis.url("redis"), ...(role === "relay" ? { OPS_PORT: "0" } : {}), ...environment,
        },
      });
      const wasReady = await watch(child);
      url = null;
      const { code, signal } = await child.exited;
      // One that does not find its database ends, and is started again; one that was ready never ends by itself.
      if (!over && !killed && wasReady) defect(`ended by itself: ${signal ?? code}\n${child.output().slice(-2_000)}`);
      if (!over && !wasReady) await delay(300);
    }
  };
  const living = live();

  return {
    name,
    role,
    url: () => url,
    redis,
    postgres,
    signal: (signal) => child.kill(signal),
    kill: async () => {
      killed = true;
      url = null;
      const one = child;
      one.kill("SIGKILL");
      await one.exited;
    },
    defects: () => defects,
    starts: () => starts,
    stop: async () => {
      over = true;
      child.kill("SIGKILL");
      await living;
      await Promise.all([redis.stop(), postgres.stop()]);
    },
  };
};
