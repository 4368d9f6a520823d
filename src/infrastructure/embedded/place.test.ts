import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { serverAccount } from "./account.ts";
import { homesOf, placeBinaries, placeData } from "./place.ts";

const uid = process.getuid!();
const left: string[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const path of left.splice(0)) await rm(path, { recursive: true, force: true });
});

const newFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-place-"));
  left.push(folder);
  return folder;
};

test("a folder that cannot be made is replaced by one under /var/tmp, by the same one each time", async () => {
  const file = join(await newFolder(), "file");
  await writeFile(file, "");
  const account = await serverAccount();
  const first = await placeData(account, join(file, "folder"), uid);
  left.push(first.home);
  expect(first).toEqual({ home: expect.stringMatching(/^\/var\/tmp\/holdfast-[0-9a-f]{16}$/u) as string, moved: true });
  expect(await placeData(account, join(file, "folder"), uid)).toEqual(first);
});

test("a folder of somebody else's is not taken over, nor one under /var/tmp", async () => {
  const folder = await newFolder();
  const stranger = uid + 4_000;
  // By its name: what else comes there meanwhile belongs to others.
  left.push(homesOf(folder, stranger)[1]);
  await expect(placeData({ uid: stranger, gid: stranger }, folder, stranger)).rejects.toThrow(`neither in ${folder}/postgres nor in /var/tmp/holdfast-`);
});

test("the binaries go to /var/tmp if the server's account cannot come to the temporary folder", async () => {
  const account = await serverAccount();
  expect(await placeBinaries(account)).toBe(tmpdir());
  vi.stubEnv("TMPDIR", join(await newFolder(), "missing"));
  expect(await placeBinaries(account)).toBe("/var/tmp");
});
