import { setTimeout as delay } from "node:timers/promises";
import { debianRedis } from "../support/debian.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisOptions, type RedisServer, startBinary } from "../support/redis.ts";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const MASTER = "mymaster";
// Short, so that a fail-over takes two seconds; a Redis that is frozen for less is left alone.
const DOWN_AFTER_MS = 1_000;
// Sentinel does not begin a second fail-over before twice this time, and does not call a replica to order earlier that was parted from its master.
const FAILOVER_MS = 6_000;

const LOOK_MS = 50;
// A master waits five seconds for further replicas before it begins to copy itself.
const COPIED_MS = 60_000, MEND_MS = 120_000;
// One whose port was taken meanwhile, or that did not answer in time, is made anew.
const START_MS = 60_000;

/** A Redis, its replica, and a Sentinel that gives the mastership to the one that lives. */
export type Caches = {
  readonly master: () => RedisServer;
  readonly replica: () => RedisServer;
  /** When the last fail-over was noticed. */
  readonly failovers: () => number;
  /** The replica hears nothing of its master from now on. */
  readonly part: () => Promise<void>;
  readonly join: () => Promise<void>;
  /** The replica is made the master by hand, at once, while the master lives; Sentinel is told. Over when everybody is led to it, over the connections that they have. */
  readonly promote: () => Promise<void>;
  /** Two servers that run and are one behind the other, as at first. */
  readonly mend: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

const way = async () => {
  const found = await run("redis-server", ["--version"]).then(() => ({ server: "redis-server", env: {} }), debianRedis);
  return { kind: "binary" as const, ...found };
};

export const startCaches = async (onMaster: (port: number, stay: boolean) => Promise<void>): Promise<Caches> => {
  const found = await way(), server = (options: RedisOptions) => eventually(() => startBinary(found, options), { within: START_MS });
  const first = await server({});
  // Told when it runs, not on its command line: one that is killed while it is the master must come back as one, and not as a replica of its replica.
  const second = await server({});
  await second.cli("REPLICAOF", "127.0.0.1", first.port);
  // A replica that never asked its master for the data would be promoted empty.
  await eventually(async () => String(await second.cli("INFO", "replication")).includes("master_link_status:up"), { within: COPIED_MS });
  const sentinel = await server({
    args: ["--sentinel"],
    config: [
      `sentinel monitor ${MASTER} 127.0.0.1 ${first.port} 1`,
      `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER} ${FAILOVER_MS}`,
      "",
    ].join("\n"),
  });
  let master = first, failovers = 0, followed = 0, stay = false, promoted = false, over = false;
  const other = (one: RedisServer) => (one === first ? second : first);

  // The service does not speak to Sentinel: the proxies before it follow.
  const follow = (async () => {
    while (!over) {
      const answer = (await sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER).catch(() => null)) as [string, string] | null;
      const port = Number(answer?.[1]);
      if (port > 0 && port !== master.port) {
        master = port === first.port ? first : second;
        failovers++;
        await onMaster(port, stay);
        stay = false;
        followed++;
      }
      await delay(LOOK_MS);
    }
  })();

  const follows = async (replica: RedisServer, of: RedisServer) => {
    const info = String(await replica.cli("INFO", "replication"));
    return info.includes("role:slave") && info.includes(`master_port:${of.port}`) && info.includes("master_link_status:up");
  };

  return {
    master: () => master,
    replica: () => other(master),
    failovers: () => failovers,
    // Nobody listens at port 1.
    part: async () => void (await other(master).cli("REPLICAOF", "127.0.0.1", 1)),
    join: async () => void (await other(master).cli("REPLICAOF", "127.0.0.1", master.port)),
    promote: async () => {
      const to = other(master), before = followed;
      stay = promoted = true;
      await to.cli("REPLICAOF", "NO", "ONE");
      await sentinel.cli("SENTINEL", "REMOVE", MASTER);
      await sentinel.cli("SENTINEL", "MONITOR", MASTER, "127.0.0.1", to.port, 1);
      await sentinel.cli("SENTINEL", "SET", MASTER, "down-after-milliseconds", DOWN_AFTER_MS, "failover-timeout", FAILOVER_MS);
      await eventually(() => followed > before, { within: 30_000 }).finally(() => (stay = false));
    },
    mend: async () => {
      await eventually(async () => {
        for (const one of [first, second]) {
          await one.thaw();
          if ((await one.cli("PING").catch(() => null)) !== "PONG") {
            // A frozen one that was thawed answers in a moment; one that was killed does not.
            await delay(200);
            if ((await one.cli("PING").catch(() => null)) !== "PONG") {
              await one.kill().catch(() => undefined);
              await one.start();
            }
          }
          await one.cli("CONFIG", "SET", "maxmemory", "0");
        }
        const now = master, replica = other(now);
        if (!String(await now.cli("INFO", "replication")).includes("role:master")) {
          await now.cli("REPLICAOF", "NO", "ONE");
          return false;
        }
        if (!(await follows(replica, now))) {
          await replica.cli("REPLICAOF", "127.0.0.1", now.port);
          await delay(300);
          return follows(replica, now);
        }
        return true;
      }, { within: MEND_MS });
      // It asks a master every ten seconds who its replicas are, and this one had none when it was asked first.
      if (promoted) await sentinel.cli("SENTINEL", "RESET", MASTER);
      promoted = false;
    },
    stop: async () => {
      over = true;
      await follow;
      await Promise.all([sentinel, first, second].map((one) => one.stop()));
    },
  };
};
