import { rm } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Rule } from "../chaos/sabotage/patches.ts";
import { sabotagedTree } from "../chaos/sabotage/sabotagedTree.ts";
import { guests, MOST_STEPS, playInterleaving, STEPS } from "./interleaving.ts";
import { type Modules, modulesIn } from "./modules.ts";
import { openServers, openStage, type Servers } from "./stage.ts";

/** For a long run: INTERLEAVINGS_SECONDS=600 INTERLEAVINGS_SEED=$RANDOM; and INTERLEAVINGS_WITHOUT=guard to see that it finds a missing rule. */
const seconds = Number(process.env.INTERLEAVINGS_SECONDS ?? 12);
const seed = Number(process.env.INTERLEAVINGS_SEED ?? 20_260_401);
const without = process.env.INTERLEAVINGS_WITHOUT as Rule | undefined;

let servers: Servers, modules: Modules, tree: string;
beforeAll(async () => {
  servers = await openServers();
  tree = await sabotagedTree(without ?? null);
  modules = await modulesIn(tree);
});
afterAll(async () => {
  await servers.close();
  await rm(tree, { recursive: true });
});

const few = (most: number) => fc.integer({ min: 0, max: most });
const runs = fc.record({
  cache: fc.constantFrom("redis" as const, "redis" as const, "memory" as const),
  entry: fc.boolean(),
  budget: fc.record({ evictions: few(2), losses: few(2), crashes: few(1), failOvers: few(1), checkpointsLost: few(1) }),
  cast: fc.subarray([...guests], { minLength: 1, maxLength: 4 }),
  picks: fc.array(fc.nat({ max: STEPS * MOST_STEPS - 1 }), { minLength: 8, maxLength: 30, size: "max" }),
});
type Run = typeof runs extends fc.Arbitrary<infer R> ? R : never;

const play = async ({ cache, entry, budget, cast, picks }: Run): Promise<void> => {
  const steps: string[] = [];
  const stage = await openStage(modules, servers, { cache, entry });
  try {
    const possible = cache === "redis" ? budget : { ...budget, failOvers: 0, checkpointsLost: 0 };
    const violation = await playInterleaving(stage, possible, cast, picks, (step) => steps.push(step));
    expect({ violation, steps }).toEqual({ violation: null, steps });
  } finally {
    await stage.close();
  }
};

test("whatever the order of steps, evictions, losses, crashes and fail-overs, the cache converges, is fresh, and a token's reads are monotonic", async () => {
  let last: Promise<void> = Promise.resolve();
  await fc.assert(
    fc.asyncProperty(runs, (run) => (last = play(run))),
    { seed, numRuns: without === undefined && process.env.INTERLEAVINGS_SECONDS === undefined ? 100 : 1_000_000, interruptAfterTimeLimit: seconds * 1_000 },
  );
  // The time limit does not wait for the run that is under way: it comes to its end before its servers do.
  await last;
}, (seconds + 120) * 1_000);
