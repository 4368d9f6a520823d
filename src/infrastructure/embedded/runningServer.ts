import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { shutDown } from "./shutDown.ts";

const run = promisify(execFile);

/** A setting that Postgres ignores; it names, in the server's command line, the process that the server serves. */
export const ownerSetting = "holdfast.owner";

// Linux first: slim images have no ps, and macOS has no /proc.
const read = `tr '\\0' ' ' <"/proc/$1/cmdline" 2>/dev/null || ps -ww -o args= -p "$1"`;

/** Empty where there is no such process, or only its remains. */
const commandLine = (pid: number): Promise<string> =>
  run("/bin/sh", ["-c", read, "sh", String(pid)]).then(
    ({ stdout }) => stdout.trim(),
    () => "",
  );

const lives = async (pid: number): Promise<boolean> => (await commandLine(pid)) !== "";

const untilGone = async (pid: number): Promise<void> => {
  while (await lives(pid)) await delay(20);
};

/**
 * Makes way for a server on this data folder. A server whose owner is gone is stopped (its own watcher may have been killed as well); one whose owner lives is in use,
 * and the start is refused.
 */
export const clearRunningServer = async (dataFolder: string): Promise<void> => {
  const lockFile = join(dataFolder, "postmaster.pid");
  const pid = Number.parseInt(await readFile(lockFile, "utf8").catch(() => ""), 10);
  const command = await commandLine(pid);
  // No such process: Postgres sees that too, and knows better what else it left behind.
  if (command === "") return;
  const [, settings = ""] = command.split(` -D ${dataFolder} `);
  const owner = new RegExp(`${ownerSetting}=(\\d+)`, "u").exec(settings)?.[1];
  // The id was given to another program since, as is usual when a container starts again. Postgres would take that for its server.
  if (owner === undefined) return rm(lockFile);
  if (await lives(Number(owner))) throw new Error(`The embedded Postgres in ${dataFolder} is in use by process ${owner}. Stop that one first, or set DATABASE_URL.`);
  // By way of the shell, for the server may end at this very moment, which is no error.
  await shutDown((signal) => run("/bin/sh", ["-c", 'kill -s "$1" "$2" || true', "sh", signal.slice(3), String(pid)]), untilGone(pid));
};
