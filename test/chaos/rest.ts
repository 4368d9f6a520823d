import { setTimeout as delay } from "node:timers/promises";
import type { Stand } from "./Fault.ts";
import { ask } from "./requests.ts";

const MEND_MS = 180_000, OUTCOME_MS = 60_000, REST_MS = 120_000;

const within = async (ms: number, check: () => Promise<string | null>): Promise<string | null> => {
  const end = performance.now() + ms;
  for (;;) {
    const wrong = await check().catch((error: unknown) => String(error));
    if (wrong === null || performance.now() > end) return wrong;
    await delay(200);
  }
};

/** Takes back whatever a fault has left, so that all servers and processes run and reach each other. */
export const mend = async ({ apis, relays, actors, caches, truth }: Stand): Promise<void> => {
  const members = [...apis, ...relays, ...actors];
  for (const member of members) member.signal("SIGCONT");
  await caches.mend();
  await Promise.all(members.map(async (member) => {
    await member.redis.restore();
    await member.postgres.restore();
  }));
  const wrong = await within(MEND_MS, async () => {
    await truth.query("select 1");
    return members.find((member) => member.url() === null)?.name ?? null;
  });
  if (wrong !== null) throw new Error(`not all processes run that should: ${wrong}`);
};

/** No change that a scene has asked for is under way any more when this is over: one that happened while everything is compared would look like a fault. */
export const learnOutcomes = async ({ open, apis, history }: Stand): Promise<void> => {
  await Promise.all(open.splice(0).map(async ({ what, again }) => {
    let asked = 0;
    const unknown = await within(OUTCOME_MS, async () => (await again(apis[asked++ % apis.length]!)) ? null : what);
    if (unknown !== null) history.violate(`the outcome of a scene's change could not be learnt: ${unknown}`);
  }));
};

/** Until nothing is owed, nothing is unsettled and every process reads the cache. Answers what did not come to rest. */
export const comeToRest = async ({ apis, actors, truth }: Stand): Promise<string | null> => {
  let calm = 0;
  return within(REST_MS, async () => {
    for (const api of [...apis, ...actors]) {
      const stats = await ask(api, "GET", "/ops/stats", {}, 10_000);
      if (stats?.status !== 200) return `${api.name} does not tell its statistics`;
      const { breaker, queue } = stats.body;
      const unrest = breaker !== "closed" ? `${api.name} does not read the cache: ${breaker}` : queue.size > 0 ? `${queue.size} rows in the retry queue` : queue.relayLagEvents > 0 ? `the relay is ${queue.relayLagEvents} events behind` : null;
      if (unrest !== null) {
        calm = 0;
        return unrest;
      }
    }
    const [{ running }] = await truth.query("select count(*)::int as running from verifications where finished_at is null");
    if (running > 0) return "a verification is still running";
    return ++calm < 3 ? "not for long enough" : null;
  });
};
