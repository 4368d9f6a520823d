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

const lockFileOf = (dataFolder: string): string => join(dataFolder, "postmaster.pid");
const lockOf = async (dataFolder: string): Promise<readonly string[]> => (await readFile(lockFileOf(dataFolder), "utf8").catch(() => "")).split("\n");

/** The id of the process that a server on this data folder serves; undefined where the command line is of another program. */
const ownerIn = (command: string, dataFolder: string): string | undefined =>
  new RegExp(`${ownerSetting}=(\\d+)`, "u").exec(command.split(` -D ${dataFolder} `)[1] ?? "")?.[1];

/** The port of a server on this data folder that accepts connections and whose owner lives; null where there is none. */
export const portInUse = async (dataFolder: string): Promise<number | null> => {
  // Process, folder, start, port, socket, address, memory, status: as Postgres writes its lock file.
  const [pid, , , port, , , , status] = await lockOf(dataFolder);
  if (status?.trim() !== "ready") return null;
  const owner = ownerIn(await commandLine(Number(pid)), dataFolder);
  return (await lives(Number(owner))) ? Number(port) : null;
};

/**
 * Makes way for a server on this data folder. A server whose owner is gone is stopped (its own watcher may have been killed as well); one whose owner lives is in use,
 * and the start is refused.
 */
export const clearRunningServer = async (dataFolder: string): Promise<void> => {
  const pid = Number.parseInt((await lockOf(dataFolder))[0]!, 10);
  const command = await commandLine(pid);
  // No such process: Postgres sees that too, and knows better what else it left behind.
  if (command === "") return;
  const owner = ownerIn(command, dataFolder);
  // The id was given to another program since, as is usual when a container starts again. Postgres would take that for its server.
  if (owner === undefined) return rm(lockFileOf(dataFolder));
  if (await lives(Number(owner))) throw new Error(`The embedded Postgres in ${dataFolder} is in use by process ${owner}. Stop that one first, or set DATABASE_URL.`);
  // By way of the shell, for the server may end at this very moment, which is no error.
  await shutDown((signal) => run("/bin/sh", ["-c", 'kill -s "$1" "$2" || true', "sh", signal.slice(3), String(pid)]), untilGone(pid));
};
