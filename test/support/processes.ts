import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { spawnWatched } from "../../src/infrastructure/embedded/watched.ts";
import { eventually } from "./eventually.ts";

export { freePort } from "../../src/infrastructure/embedded/freePort.ts";

export type RunningProcess = {
  readonly pid: number;
  /** What it has printed so far, stdout and stderr as they came. */
  readonly output: () => string;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly kill: (signal: NodeJS.Signals) => void;
};

/** A child that is killed when this process dies, by kill -9 too. Its stdin is empty; a Node program that should run under this Node is `process.execPath`. */
export const startProcess = (command: string, args: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string } = {}): RunningProcess => {
  const { child } = spawnWatched(command, args, { signal: "KILL", scratch: "", output: "pipe", ...options });
  let output = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  // "close" comes after the last of the output, "exit" before it.
  const exited = once(child, "close").then(([code, signal]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null }));
  return { pid: child.pid, output: () => output, exited, kill: (signal) => child.kill(signal) };
};

const childrenOf = async (pid: number) => (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter((child) => child !== "").map(Number);

/** Stops a process and its children, as a Postgres and its sessions: first the parent, so that it neither makes nor buries a child while they are gone through. */
export const freezeFamily = async (pid: number): Promise<void> => {
  process.kill(pid, "SIGSTOP");
  await eventually(async () => /^State:\tT/mu.test(await readFile(`/proc/${pid}/status`, "utf8")));
  for (const child of await childrenOf(pid)) process.kill(child, "SIGSTOP");
};

/** What `freezeFamily` has stopped goes on: the parent last, for the same reason. */
export const thawFamily = async (pid: number): Promise<void> => {
  for (const child of await childrenOf(pid)) process.kill(child, "SIGCONT");
  process.kill(pid, "SIGCONT");
};
