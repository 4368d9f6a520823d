import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

// Lists and downloads of its own, so that nothing is changed on the machine and no rights are needed.
const aptIn = (folder: string) => {
  const own = [`Dir::State::lists=${folder}/lists`, `Dir::Cache=${folder}/cache`, "APT::Sandbox::User=", "Debug::NoLocking=true"];
  return (...args: string[]) => run("apt-get", [...own.flatMap((option) => ["-o", option]), "-q", ...args], { cwd: folder, maxBuffer: 64 << 20 });
};

/** The folder into which packages were unpacked, with those of their dependencies that the machine lacks; once per user. */
const unpack = async (packages: readonly string[], wanted: string): Promise<string> => {
  const target = join(tmpdir(), `holdfast-debian-${process.getuid!()}`);
  if (existsSync(join(target, wanted))) return target;
  const folder = `${target}.${randomUUID()}`;
  try {
    for (const name of ["lists/partial", "cache/archives/partial", "root"]) await mkdir(join(folder, name), { recursive: true });
    const apt = aptIn(folder);
    await apt("update");
    const { stdout } = await apt("install", "--simulate", "--no-install-recommends", ...packages);
    const missing = [...stdout.matchAll(/^Inst (\S+)/gmu)].map(([, name]) => name!);
    await apt("download", ...new Set([...packages, ...missing]));
    for (const file of await readdir(folder)) if (file.endsWith(".deb")) await run("dpkg", ["-x", join(folder, file), join(folder, "root")]);
    await rename(join(folder, "root"), target).catch(() => undefined);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return target;
};

/** `redis-server` from Debian's packages, and the environment to start it with. */
export const debianRedis = async () => {
  const server = "usr/bin/redis-server";
  const root = await unpack(["redis-server", "redis-tools"], server);
  const libraries = (await readdir(root, { recursive: true })).filter((path) => /\.so(\.\d+)*$/u.test(path)).map((path) => join(root, path, ".."));
  return { server: join(root, server), env: { LD_LIBRARY_PATH: [...new Set(libraries)].join(":") } };
};
