import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sabotagedTree } from "../chaos/sabotage/sabotagedTree.ts";
import { type Modules, modulesIn } from "./modules.ts";
import { type Replay, replays } from "./replays.ts";
import { openServers, openStage, type Servers, type Violation } from "./stage.ts";

let servers: Servers, whole: Modules, tree: string;
beforeAll(async () => {
  servers = await openServers();
  // A copy too: what is loaded past the test runner from where it loads itself would spoil its count of lines that were run.
  tree = await sabotagedTree(null);
  whole = await modulesIn(tree);
});
afterAll(async () => {
  await servers.close();
  await rm(tree, { recursive: true });
});

const play = async (modules: Modules, { play, given }: Replay, cache: "redis" | "memory"): Promise<Violation | null> => {
  const stage = await openStage(modules, servers, { cache, ...given });
  try {
    return await play(stage);
  } finally {
    await stage.close();
  }
};

describe.each(replays)("$rule: $title", (replay) => {
  test.each(replay.caches)("holds over %s", async (cache) => {
    expect(await play(whole, replay, cache)).toBe(null);
  });

  test("without the rule it goes wrong, as the model says", async () => {
    const caches = replay.inMemory ? replay.caches : ["redis" as const];
    const tree = await sabotagedTree(replay.rule);
    try {
      const modules = await modulesIn(tree);
      for (const cache of caches) expect(await play(modules, replay, cache)).toMatchObject({ property: replay.breaks });
    } finally {
      await rm(tree, { recursive: true });
    }
  });
});
