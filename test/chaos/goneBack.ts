import { setTimeout as delay } from "node:timers/promises";
import type { RedisServer } from "../support/redis.ts";
import type { Caches } from "./caches.ts";

const NOTICE_MS = 20_000, REPAIR_MS = 20_000;

// As text that compares as its numbers do: the first 27 characters of an entry are its format and its rank. A lease, which begins with another letter, has none.
const ENTRY = /^1[\da-f]{26}$/u;

// In one round trip and at one moment, so that hardly anything is written between this and the death of the server.
const ALL = `
local found, cursor = {}, '0'
repeat
  local some = redis.call('SCAN', cursor, 'MATCH', 'hf:{*}:*', 'COUNT', 1000)
  cursor = some[1]
  for _, key in ipairs(some[2]) do
    found[#found + 1] = key
    found[#found + 1] = redis.call('GETRANGE', key, 0, 26)
  end
until cursor == '0'
return found`;
const THESE = "local found = {} for i, key in ipairs(KEYS) do found[i] = redis.call('GETRANGE', key, 0, 26) end return found";

const ranksOf = async (server: RedisServer): Promise<Map<string, string>> => {
  const found = (await server.cli("EVAL", ALL, 0)) as string[], ranks = new Map<string, string>();
  for (let i = 0; i < found.length; i += 2) if (ENTRY.test(found[i + 1]!)) ranks.set(found[i]!, found[i + 1]!);
  return ranks;
};

/** Watches how entries go back with a fail-over of Redis, and for how long: the promoted replica does not have what the old master had not yet sent it. */
export const startGoneBack = () => {
  const counts: number[] = [], took: number[] = [], watching: Promise<void>[] = [];
  let never = 0;

  const watch = async (caches: Caches, back: Map<string, string>, before: number) => {
    for (const end = performance.now() + NOTICE_MS; caches.failovers() === before; await delay(5)) if (performance.now() > end) return;
    const began = performance.now(), number = back.size;
    let last = 0;
    while (back.size > 0 && performance.now() < began + REPAIR_MS) {
      const keys = [...back.keys()];
      // The next fault may stop this server or kill it, too: then there is nothing to be seen for a while.
      const found = (await caches.master().cli("EVAL", THESE, keys.length, ...keys).catch(() => null)) as string[] | null;
      found?.forEach((stands, i) => {
        // Where none stands, or a lease, a reader fills it from the database.
        if (!ENTRY.test(stands) || stands >= back.get(keys[i]!)!) back.delete(keys[i]!);
      });
      last = performance.now() - began;
      if (back.size > 0) await delay(20);
    }
    counts.push(number);
    never += back.size;
    if (number > 0 && back.size === 0) took.push(last);
  };

  return {
    /** To be called when the replica is about to be promoted, just before its master is killed. What it answers begins the watch, beside what else is done. */
    compare: async (caches: Caches): Promise<() => void> => {
      const before = caches.failovers(), [old, next] = await Promise.all([ranksOf(caches.master()), ranksOf(caches.replica())]);
      const back = new Map([...old].filter(([key, rank]) => next.has(key) && next.get(key)! < rank));
      return () => void watching.push(watch(caches, back, before));
    },
    /** What was found, as a line of the verdict, once everything is repaired or has had its time. Null where there was no fail-over. */
    verdict: async (): Promise<string | null> => {
      await Promise.all(watching);
      if (counts.length === 0) return null;
      const all = counts.reduce((sum, count) => sum + count, 0), sorted = took.toSorted((a, b) => a - b), ms = (value: number) => `${Math.round(value)} ms`;
      const repaired = sorted.length === 0 ? "" : `, the last was repaired after ${ms(sorted[Math.floor(sorted.length / 2)]!)} (median), ${ms(sorted.at(-1)!)} (longest)`;
      return `fail-overs of Redis    ${counts.length}: ${all} entries had gone back (at most ${Math.max(...counts)} at once)${repaired}${never > 0 ? `, ${never} never within ${REPAIR_MS / 1_000} s` : ""}`;
    },
  };
};
export type GoneBack = ReturnType<typeof startGoneBack>;
