import { setTimeout as delay } from "node:timers/promises";
import type { Stand } from "./Fault.ts";
import { ask } from "./requests.ts";

const AGES = ["100ms", "1s", "10s", "1m", "5m"];
const SETTLED = /^holdfast_settled_total\{age="(?<age>[^"]+)",result="(?<result>[^"]+)"\} (?<count>\d+)/gmu;

/** Looks at the queue and at what the relays count, again and again: what a process counted goes with it. */
export const startWatch = ({ apis, relays }: Stand) => {
  let most = 0, over = false;
  // By the start of each relay, what it last said of each age and result.
  const counted = new Map<string, Map<string, number>>();
  const look = async () => {
    const api = apis.find((member) => member.url() !== null);
    const size = api === undefined ? null : await ask(api, "GET", "/ops/queue-size", {}, 2_000);
    if (size?.status === 200) most = Math.max(most, size.body.size as number);
    await Promise.all(relays.map(async (relay) => {
      const start = `${relay.name} ${relay.starts()}`, metrics = await ask(relay, "GET", "/metrics", {}, 2_000);
      if (metrics?.status !== 200) return;
      counted.set(start, new Map([...metrics.text.matchAll(SETTLED)].map(({ groups }) => [`${groups!["age"]} ${groups!["result"]}`, Number(groups!["count"])])));
    }));
  };
  const watching = (async () => {
    while (!over) {
      await look();
      await delay(500);
    }
  })();
  const sum = (name: string) => [...counted.values()].reduce((all, counts) => all + (counts.get(name) ?? 0), 0);
  return {
    mostQueued: () => most,
    /** Entries that a relay found behind and brought up to date. */
    repairs: () => [...AGES, "older"].reduce((all, age) => all + sum(`${age} behind`), 0),
    settled: () => [...AGES, "older"].reduce((all, age) => all + sum(`${age} behind`) + sum(`${age} current`), 0),
    /** Of a million entries that a relay looked at while the write was at most so old, so many were behind. */
    stalePerMillion: (): Readonly<Record<string, number | null>> => {
      let all = 0, behind = 0;
      return Object.fromEntries(AGES.map((age) => {
        behind += sum(`${age} behind`);
        all += sum(`${age} behind`) + sum(`${age} current`);
        return [age, all === 0 ? null : Math.round((behind / all) * 1_000_000)];
      }));
    },
    stop: async () => {
      over = true;
      await watching;
    },
  };
};
export type Watch = ReturnType<typeof startWatch>;
