import { once } from "node:events";
import { spawnWatched } from "../../src/infrastructure/embedded/watched.ts";

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
