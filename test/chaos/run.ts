import { setTimeout as delay } from "node:timers/promises";
import { client, setStage, type Stage } from "./clients.ts";
import { failOverPostgres } from "./failOver.ts";
import type { Track } from "./Fault.ts";
import { FAULTS, POSTGRES_FAIL_OVER, TOUCH_THE_DATABASE } from "./faults.ts";
import { startGoneBack } from "./goneBack.ts";
import { startHistory } from "./History.ts";
import { startJudge } from "./judge.ts";
import { printVerdict, printViolations } from "./report.ts";
import { comeToRest, learnOutcomes, mend } from "./rest.ts";
import { SCENES } from "./scenes/scenes.ts";
import { type Planned, scheduleOf } from "./schedule.ts";
import { seeded } from "./seeded.ts";
import { type Sizes, startStand } from "./stand.ts";
import { startWatch } from "./watch.ts";

export type Plan = Sizes & {
  readonly seed: number;
  readonly lengthMs: number;
  /** After about so long all faults end, and everything is held against Postgres; then it goes on. */
  readonly roundMs: number;
  readonly clients: number;
  readonly faults: readonly string[];
  readonly root: string;
};

// What coming to rest and being judged take of a run's length, about; so long at least it is broken in every round.
const JUDGING_MS = 10_000, SHORTEST_MS = 5_000;
const LONG_MS = 480_000;
// The most that clients take to learn the outcome of their last change.
const OUTCOME_MS = 60_000;

/** A whole run. True: clean. */
export const runChaos = async (plan: Plan, whenOver: (work: () => Promise<void>) => void): Promise<boolean> => {
  const random = seeded(plan.seed), history = startHistory();
  history.log("servers and processes start");
  const stand = await startStand(plan.root, plan, history, whenOver);
  const stage: Stage = { quiet: stand.quiet, products: [], customers: [], orders: [] };
  const clients = Array.from({ length: plan.clients }, (_, n) => client(`client-${n + 1}`, { apis: stand.apis, history, stage, random: random.fork(`client ${n}`) }));
  await setStage(clients[0]!, stage, history);
  const watch = startWatch(stand), judge = startJudge(stand, random.fork("judge"));
  whenOver(watch.stop);
  const done = new Map<string, number>(), extra: string[] = [], goneBack = startGoneBack();
  const count = (name: string) => void done.set(name, (done.get(name) ?? 0) + 1);

  const work = async (planned: readonly Planned[], began: number, until: number) => {
    for (const { at, fault } of planned) {
      await stand.pause(began + at - history.now());
      if (history.now() >= until || history.violations.length > 0) return;
      history.log(fault.what);
      count(fault.name);
      await fault.run(stand, goneBack).catch((error: unknown) => history.log(`${fault.name} did not go as it should: ${String(error).slice(0, 200)}`));
    }
  };

  // In a long run a transaction stays open for minutes, over several rounds: nothing is to wait for it.
  const whole = new AbortController(), inAll = (ms: number) => delay(ms, undefined, { signal: whole.signal }).catch(() => undefined);
  const stalling = (async () => {
    while (plan.lengthMs >= LONG_MS && plan.faults.includes("hold-transaction") && !whole.signal.aborted) {
      const letGo = await stand.truth.hold(null).catch(() => null);
      if (letGo !== null) {
        history.log("a transaction is left open for minutes");
        count("stall");
      }
      await inAll(180_000);
      await letGo?.();
      await inAll(30_000);
    }
  })();

  const rounds = Math.max(1, Math.round(plan.lengthMs / (plan.roundMs + JUDGING_MS))), roundMs = Math.max(plan.lengthMs / rounds - JUDGING_MS, SHORTEST_MS);
  const failsOver = plan.faults.includes(POSTGRES_FAIL_OVER);
  // The more there is to be judged, the longer it takes: a round for which there is no time is left out.
  const start = history.now();
  const breakAndJudge = async () => {
    for (let round = 1, took = plan.lengthMs / rounds, last = false; !last && history.violations.length === 0; round++) {
      const roundBegan = history.now();
      last = round >= rounds || roundBegan - start + 1.5 * took > plan.lengthMs;
      history.log(`round ${round} of ${rounds} at most`);
      stand.isOver(false);
      const began = history.now(), until = began + roundMs, own = random.fork(`round ${round}`);
      // Last of all, and in a long run once in the middle: what it loses makes every later check a little weaker.
      const late = failsOver && (last || plan.faults.length <= 4 || (rounds > 8 && round === Math.ceil(rounds / 2)));
      // Not all at once: where everything is emptied all the time, nothing that is wrong stands for long.
      const chosen = plan.faults.filter((name) => name in FAULTS && (plan.faults.length <= 4 || own.chance(0.5)) && !(late && (name === "crash-postgres" || name in SCENES)));
      history.allowUnavailable(late || chosen.some((name) => TOUCH_THE_DATABASE.includes(name)));
      for (const one of clients) one.again();
      const lives = clients.map((one) => one.live());
      const schedule = scheduleOf(own, roundMs, chosen, plan);
      const working = (Object.keys(schedule) as Track[]).map((track) => work(schedule[track], began, until));
      if (late) {
        await stand.pause(roundMs * 0.4);
        count(POSTGRES_FAIL_OVER);
        const { entities, served, lastServedMs, verifiedMs } = await failOverPostgres(stand, own, own.between(2_000, 5_000), own.chance(0.5) ? "before" : "later");
        extra.push(`fail-over of Postgres  ${entities} entities had versions that were lost; ${served} phantoms were seen, the last after ${Math.round(lastServedMs)} ms; verified after ${Math.round(verifiedMs)} ms`);
      }
      while (history.now() < until && history.violations.length === 0) await delay(100);
      stand.isOver(true);
      history.log("the faults end");
      await Promise.all(working);
      await mend(stand);
      for (const one of clients) one.end(OUTCOME_MS);
      await Promise.all([...lives, learnOutcomes(stand)]);
      if (history.violations.length > 0) break;
      const unrest = await comeToRest(stand);
      if (unrest !== null) history.violate(`it did not come to rest: ${unrest}`);
      history.log("everything is at rest; it is judged");
      await judge.judge();
      took = history.now() - roundBegan;
    }
  };
  // What cannot go on after something was found to be broken takes nothing back.
  await breakAndJudge().catch((error: unknown) => {
    if (history.violations.length === 0) throw error;
    history.log(`it could not go on: ${String(error).slice(0, 200)}`);
  });
  const clean = history.violations.length === 0, tookSeconds = (history.now() / 1_000).toFixed(1);
  whole.abort();
  await Promise.all([watch.stop(), stalling]);
  if (!clean) await printViolations(history.violations, stand, history);
  const failOvers = await goneBack.verdict();
  if (failOvers !== null) extra.push(failOvers);
  printVerdict(history, judge, watch, done, extra);
  console.log(clean ? `\nCLEAN after ${tookSeconds} s, seed ${plan.seed}` : `\nVIOLATED after ${(history.violations[0]!.at / 1_000).toFixed(1)} s, seed ${plan.seed}: ${history.violations[0]!.what.split("\n")[0]}`);
  return clean;
};
