import { setTimeout as delay } from "node:timers/promises";
import { type Maker, seconds, type Stand } from "./Fault.ts";
import type { Member } from "./Member.ts";
import type { Seeded } from "./seeded.ts";

// Not cut short by the end of the round: what is on its way is to arrive before anything is judged.
const arriving = (ms: number) => delay(ms);

const network = (what: string, between: (random: Seeded) => number, begin: (member: Member) => unknown, link: "redis" | "postgres") => (random: Seeded, { apis }: { readonly apis: number }) => {
  const target = random.below(apis), ms = between(random);
  return {
    what: `${what}, api-${target + 1}, for ${seconds(ms)}`,
    run: async ({ apis: members, pause }: Stand) => {
      const member = members[target]!;
      await begin(member);
      await pause(ms);
      await member[link].restore();
    },
  };
};

/** What is done to the processes of Holdfast, and to their ways to the servers. */
export const PROCESS_FAULTS: Readonly<Record<string, Maker>> = {
  "kill-api": {
    track: "api",
    weight: 3,
    draw: (random, { apis }) => {
      const target = random.below(apis);
      return { what: `kill -9 of api-${target + 1}`, run: ({ apis: members }) => members[target]!.kill() };
    },
  },
  // What it committed in its last moments is neither stored nor queued.
  "die-unstored": {
    track: "api",
    weight: 3,
    draw: (random, { apis }) => {
      const target = random.below(apis), ms = random.between(15, 80);
      return {
        what: `what api-${target + 1} sends to Redis vanishes, and ${Math.round(ms)} ms later kill -9`,
        run: async ({ apis: members, pause }) => {
          members[target]!.redis.blackhole("requests");
          await pause(ms);
          await members[target]!.kill();
          await members[target]!.redis.restore();
        },
      };
    },
  },
  "kill-relay": {
    track: "relay",
    weight: 2,
    draw: (random, { relays }) => {
      const target = random.below(relays);
      return { what: `kill -9 of relay-${target + 1}`, run: ({ relays: members }) => members[target]!.kill() };
    },
  },
  // What it has read or committed by then reaches the cache long after its lease is over, or first when it goes on.
  "stop-api": {
    track: "api",
    weight: 3,
    draw: (random, { apis }) => {
      const target = random.below(apis), late = random.between(300, 7_000), stopped = random.between(5_500, 7_500);
      return {
        what: `api-${target + 1}: what it sends to Redis comes ${seconds(late)} late, then it is stopped for ${seconds(stopped)}`,
        run: async ({ apis: members, pause }) => {
          const member = members[target]!;
          member.redis.delay(late);
          await pause(60);
          member.signal("SIGSTOP");
          const arrives = arriving(late);
          await pause(stopped);
          member.signal("SIGCONT");
          await arrives;
          await member.redis.restore();
        },
      };
    },
  },
  // A burst of stores, fills and leases arrives when others have done the same long since, and what they were about is quiet.
  "late-cache": {
    track: "api",
    weight: 5,
    draw: (random, { apis }) => {
      const target = random.below(apis), late = random.between(300, 3_000), ms = random.between(100, 500);
      return {
        what: `what passes between api-${target + 1} and Redis for ${seconds(ms)} comes ${seconds(late)} late`,
        run: async ({ apis: members, pause }) => {
          members[target]!.redis.delay(late);
          await pause(ms);
          await members[target]!.redis.restore();
          await arriving(late);
        },
      };
    },
  },
  "slow-cache": { track: "api", weight: 1, draw: network("Redis is slow", (random) => random.between(1_000, 4_000), (member) => member.redis.delay(20), "redis") },
  "cut-cache": { track: "api", weight: 2, draw: network("Redis cannot be reached", (random) => random.between(300, 3_000), (member) => member.redis.cut(), "redis") },
  "lose-requests": { track: "api", weight: 2, draw: network("what it sends to Redis vanishes", (random) => random.between(300, 3_000), (member) => member.redis.blackhole("requests"), "redis") },
  "lose-answers": { track: "api", weight: 2, draw: network("what Redis answers it vanishes", (random) => random.between(300, 3_000), (member) => member.redis.blackhole("answers"), "redis") },
  "cut-database": { track: "api", weight: 2, draw: network("Postgres cannot be reached", (random) => random.between(100, 1_500), (member) => member.postgres.cut(), "postgres") },
  "lose-commits": { track: "api", weight: 1, draw: network("what Postgres answers it vanishes", (random) => random.between(300, 1_500), (member) => member.postgres.blackhole("answers"), "postgres") },
  "jump-clock": {
    track: "relay",
    weight: 2,
    draw: (random, { apis, relays }) => {
      const target = random.below(apis + relays);
      return {
        what: `the clock of ${target < apis ? `api-${target + 1}` : `relay-${target - apis + 1}`} jumps`,
        run: async ({ apis: a, relays: r }) => {
          const member = [...a, ...r][target]!;
          if (member.url() !== null) member.signal("SIGUSR2");
        },
      };
    },
  },
  // Longer than a lane may be neglected: the other relay works it, and then there are two.
  "stop-relay": {
    track: "relay",
    weight: 3,
    draw: (random, { relays }) => {
      const target = random.below(relays), ms = random.between(2_500, 5_000);
      return {
        what: `relay-${target + 1} is stopped for ${seconds(ms)}`,
        run: async ({ relays: members, pause }) => {
          members[target]!.signal("SIGSTOP");
          await pause(ms);
          members[target]!.signal("SIGCONT");
        },
      };
    },
  },
};
