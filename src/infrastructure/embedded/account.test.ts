import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { handOver, serverAccount } from "./account.ts";
import { startProcess } from "../../../test/support/processes.ts";

const newFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-account-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
};

test("a folder is handed over with all that is in it, though files come and go there meanwhile", async () => {
  const folder = await newFolder(), account = await serverAccount();
  await chmod(folder, 0o755);
  for (let n = 0; n < 200; n++) await writeFile(join(folder, `kept-${n}`), "");
  // As a server does with its temporary files.
  const busy = startProcess("/bin/sh", ["-c", 'cd "$1"; while :; do for n in 1 2 3 4 5 6 7 8; do : >"t$n"; done; rm -f t1 t2 t3 t4 t5 t6 t7 t8; done', "sh", folder]);
  for (let n = 0; n < 50; n++) await handOver(account, folder);
  busy.kill("SIGKILL");
  await busy.exited;
  for (const name of ["", "kept-0", "kept-199"]) expect((await stat(join(folder, name))).uid).toBe(account.uid);
});

test("what cannot be handed over is an error, and says why", async () => {
  await expect(handOver({ uid: -1, gid: -1 }, await newFolder())).rejects.toThrow(/chown: /u);
});
