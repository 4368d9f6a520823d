import { cp, mkdtemp, readFile, readdir, realpath, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Patch, patches, type Rule } from "./patches.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The rules of the cache protocol that can be taken out, and `position-above-last`: the fence's classic wrong neighbour. */
export const rules: readonly Rule[] = Object.keys(patches) as Rule[];

/** What a rule's absence changes: `file`, as a path from the root, with `from` replaced by `to`. */
export const patchesOf = (rule: Rule): readonly Patch[] => patches[rule];

/** Throws where the text does not stand there exactly once: a line that moved must not turn a sabotage into nothing. */
export const replaced = (text: string, { file, from, to }: Patch): string => {
  const times = text.split(from).length - 1;
  if (times !== 1) throw new Error(`The sabotage of ${file} must match once, and matches ${times} times: ${from}`);
  return text.replace(from, () => to);
};

const isCode = (path: string): boolean => !path.endsWith(".test.ts");

/**
 * A copy of the repository, without its tests and without a rule, in a folder of its own that the caller removes. With no
 * rule, the copy as it is. Its processes and modules run as the repository's do: types are stripped outside of node_modules.
 */
export const sabotagedTree = async (rule: Rule | null): Promise<string> => {
  // Node resolves a module to its real path, and so must whoever imports from here.
  const folder = await realpath(await mkdtemp(join(tmpdir(), `holdfast-${rule === null ? "whole" : `without-${rule}`}-`)));
  const files = (await readdir(root)).filter((name) => name === "package.json" || /^tsconfig.*\.json$/u.test(name));
  await Promise.all([
    ...["src", "migrations"].map((name) => cp(join(root, name), join(folder, name), { recursive: true, filter: isCode })),
    ...files.map((name) => cp(join(root, name), join(folder, name))),
    symlink(await realpath(join(root, "node_modules")), join(folder, "node_modules"), "dir"),
  ]);
  for (const patch of rule === null ? [] : patchesOf(rule)) {
    const path = join(folder, patch.file);
    await writeFile(path, replaced(await readFile(path, "utf8"), patch));
  }
  return folder;
};
