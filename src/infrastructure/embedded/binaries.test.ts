import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installBinaries, locateBinaries } from "./binaries.ts";

const run = promisify(execFile);
const uid = process.getuid!();
let parent: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "holdfast-binaries-"));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const version = async (folder: string) => (await run(join(folder, "bin", "postgres"), ["--version"])).stdout;

test("a machine for which npm installed no binaries is told so", async () => {
  await expect(locateBinaries("vax-vms")).rejects.toThrow("no embedded Postgres for vax-vms");
});

test("two starts at the same time make one whole copy, which the next one uses", async () => {
  const from = await locateBinaries();
  const [first, second] = await Promise.all([installBinaries(from, parent, uid), installBinaries(from, parent, uid)]);
  expect(first).toBe(second);
  expect(await readdir(parent)).toEqual([`holdfast-postgres-${from.version}-${uid}`]);
  expect(await installBinaries(from, parent, uid)).toBe(first);
  expect(await version(first)).toContain("PostgreSQL");
});

test("a copy that was swept out is made again", async () => {
  const from = await locateBinaries();
  const folder = await installBinaries(from, parent, uid);
  for (const swept of ["share", "entries"]) {
    await rm(join(folder, swept), { recursive: true });
    await installBinaries(from, parent, uid);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(["bin", "lib", "share", "entries"]));
  }
});

test("binaries that somebody else put there are never run", async () => {
  const from = await locateBinaries();
  const folder = await installBinaries(from, parent, uid);
  const stranger = uid + 1;
  await run("mv", [folder, join(parent, `holdfast-postgres-${from.version}-${stranger}`)]);
  await expect(installBinaries(from, parent, stranger)).rejects.toThrow("belongs to somebody else");
  await writeFile(folder, "");
  await expect(installBinaries(from, parent, uid)).rejects.toThrow("belongs to somebody else");
});
