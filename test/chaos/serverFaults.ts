import { setTimeout as delay } from "node:timers/promises";
import { type Maker, seconds } from "./Fault.ts";

/** What is done to Redis and Postgres. */
export const SERVER_FAULTS: Readonly<Record<string, Maker>> = {
  "stop-redis": {
    track: "redis",
    weight: 3,
    draw: (random) => {
      // The longer ones bring a fail-over, and the old master wakes up as one.
      const ms = random.chance(0.6) ? random.between(200, 700) : random.between(1_500, 4_000);
      return {
        what: `Redis is stopped for ${seconds(ms)}`,
        run: async ({ caches, pause }) => {
          const frozen = caches.master();
          await frozen.freeze();
          await pause(ms);
          await frozen.thaw();
          if (ms > 1_000) await caches.mend();
        },
      };
    },
  },
  "flush": { track: "redis", weight: 2, draw: () => ({ what: "FLUSHALL", run: async ({ caches }) => void (await caches.master().cli("FLUSHALL")) }) },
  "flush-scripts": { track: "redis", weight: 1, draw: () => ({ what: "SCRIPT FLUSH", run: async ({ caches }) => void (await caches.master().cli("SCRIPT", "FLUSH")) }) },
  "evict": {
    track: "redis",
    weight: 2,
    draw: (random) => {
      const ms = random.between(1_500, 4_000), policy = random.pick(["allkeys-lru", "allkeys-random", "volatile-lru", "noeviction"]);
      return {
        what: `Redis has too little memory for ${seconds(ms)} (${policy})`,
        run: async ({ caches, pause }) => {
          const master = caches.master(), used = Number(/used_memory:(\d+)/u.exec(String(await master.cli("INFO", "memory")))![1]);
          await master.cli("CONFIG", "SET", "maxmemory-policy", policy);
          await master.cli("CONFIG", "SET", "maxmemory", Math.max(1_000_000, used - 20_000));
          await pause(ms);
          await master.cli("CONFIG", "SET", "maxmemory", 0);
          await master.cli("CONFIG", "SET", "maxmemory-policy", "noeviction");
        },
      };
    },
  },
  "restart-redis": {
    track: "redis",
    weight: 1,
    draw: () => ({
      what: "kill -9 of Redis, which comes back empty",
      run: async ({ caches }) => {
        const master = caches.master();
        await master.kill();
        await master.start();
        await caches.mend();
      },
    }),
  },
  "fail-over-redis": {
    track: "redis",
    weight: 2,
    draw: (random) => {
      const ms = random.between(500, 5_000);
      return {
        what: `the replica of Redis hears nothing for ${seconds(ms)}, then the master dies and the replica takes its place`,
        run: async ({ caches, pause }, goneBack) => {
          const master = caches.master(), before = caches.failovers();
          await caches.part();
          await pause(ms);
          const watch = await goneBack.compare(caches);
          await master.kill();
          watch();
          const end = performance.now() + 20_000;
          // Not `pause`: that is over at once when the round is, and a loop around it lets nothing else run.
          while (caches.failovers() === before && performance.now() < end) await delay(50);
          await master.start();
          await caches.mend();
        },
      };
    },
  },
  "crash-postgres": { track: "postgres", weight: 2, draw: () => ({ what: "kill -9 of Postgres, which is started again", run: ({ truth }) => truth.crash() }) },
  "hold-transaction": {
    track: "transaction",
    weight: 1,
    draw: (random) => {
      const ms = random.chance(0.3) ? random.between(10_000, 40_000) : random.between(1_000, 6_000), which = random.below(1_000);
      return {
        what: `a transaction with a change is left open for ${seconds(ms)}, and nobody stores it`,
        run: async ({ truth, quiet, pause }) => {
          const letGo = await truth.hold(quiet[which % quiet.length]!.id);
          await pause(ms);
          await letGo();
        },
      };
    },
  },
};
