import { createHash } from "node:crypto";
import { chmod, lstat, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Account, handOver, reaches } from "./account.ts";

// What an account already owns stays its own: a clone that is used by its owner and by root has a server for each, and neither takes the other's data away.
const settle = async (account: Account, home: string, uid: number): Promise<boolean> => {
  await mkdir(home, { mode: 0o700 }).catch(() => undefined);
  const found = await lstat(home);
  if (!found.isDirectory() || (found.uid !== uid && found.uid !== account.uid)) return false;
  await chmod(home, 0o700);
  await handOver(account, home);
  return reaches(account, home);
};

/** Where the data may be: `postgres` in the folder, or under /var/tmp. */
export const homesOf = (folder: string, uid: number): readonly [asked: string, elsewhere: string] =>
  [join(folder, "postgres"), `/var/tmp/holdfast-${createHash("sha256").update(`${uid}:${folder}`).digest("hex").slice(0, 16)}`];

/**
 * The folder for the server's data: `postgres` in the folder that was asked for, or, where the server's account cannot come there, one under /var/tmp whose name comes
 * from that folder, so that the next start finds it again.
 */
export const placeData = async (account: Account, folder: string, uid: number): Promise<{ home: string; moved: boolean }> => {
  const [asked, elsewhere] = homesOf(folder, uid);
  await mkdir(folder, { recursive: true }).catch(() => undefined);
  if (await settle(account, asked, uid).catch(() => false)) return { home: asked, moved: false };
  if (await settle(account, elsewhere, uid)) return { home: elsewhere, moved: true };
  throw new Error(`The embedded Postgres can keep its data neither in ${asked} nor in ${elsewhere}. Name a folder that it can use, or set DATABASE_URL.`);
};

/** Where the binaries go: some set-ups give root a temporary folder that nobody else may enter. */
export const placeBinaries = async (account: Account): Promise<string> => ((await reaches(account, tmpdir())) ? tmpdir() : "/var/tmp");

