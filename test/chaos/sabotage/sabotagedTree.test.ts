import { spawnSync } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { patchesOf, replaced, rules, sabotagedTree } from "./sabotagedTree.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** The files that a sabotage changes, as they then are. */
const changedBy = async (rule: (typeof rules)[number]) => {
  const files = new Map<string, string>();
  for (const patch of patchesOf(rule)) files.set(patch.file, replaced(files.get(patch.file) ?? (await readFile(join(root, patch.file), "utf8")), patch));
  return files;
};

describe.each(rules)("without %s", (rule) => {
  test("every patch matches once, and what it makes parses", async () => {
    for (const [file, text] of await changedBy(rule)) {
      if (file.endsWith(".lua")) expect(await redis.cli("SCRIPT", "LOAD", text)).toMatch(/^[0-9a-f]{40}$/u);
      else expect(() => stripTypeScriptTypes(text)).not.toThrow();
    }
  });
});

test("a line that moved is an error, not a sabotage of nothing", () => {
  const patch = { file: "src/a.ts", from: "const a = 1", to: "const a = 2" };
  expect(() => replaced("const b = 1", patch)).toThrow("src/a.ts must match once, and matches 0 times");
  expect(() => replaced("const a = 1\nconst a = 1", patch)).toThrow("matches 2 times");
  expect(replaced("const a = 1 // $&", patch)).toBe("const a = 2 // $&");
});

test("a tree is a copy in which the rule alone is missing, and its modules can be run", async () => {
  const tree = await sabotagedTree("guard");
  try {
    const changed = await changedBy("guard");
    expect(await readFile(join(tree, "src/infrastructure/redis/store.lua"), "utf8")).toBe(changed.get("src/infrastructure/redis/store.lua"));
    expect(await readFile(join(tree, "src/domain/sync/Relay.ts"), "utf8")).toBe(await readFile(join(root, "src/domain/sync/Relay.ts"), "utf8"));
    const { stdout, stderr } = spawnSync(process.execPath, ["src/cli/main.ts", "--help"], { cwd: tree, encoding: "utf8" });
    expect(stdout + stderr).toContain("holdfast");
  } finally {
    await rm(tree, { recursive: true });
  }
});
