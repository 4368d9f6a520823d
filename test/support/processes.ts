import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { spawnWatched } from "../../src/infrastructure/embedded/watched.ts";
import { eventually } from "./eventually.ts";

// Below those that the system gives to whoever asks for any port, or connects: nobody is given the port of a server that is down, to be started there again.
// Every worker has a row of its own, and goes along it.
const FIRST = 12_000, LAST = 32_000, ROWS = 4;
let port = FIRST + ROWS * randomInt((LAST - FIRST) / ROWS) + (Number(process.env["VITEST_POOL_ID"] ?? 0) % ROWS);

/** A port of the loopback at which nobody listens, and which nobody else is given. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const next = (port = port + ROWS < LAST ? port + ROWS : port + ROWS - (LAST - FIRST));
    const server = createServer();
    if (!(await new Promise<boolean>((resolve) => server.once("error", () => resolve(false)).listen(next, "127.0.0.1", () => resolve(true))))) continue;
    server.close();
    await once(server, "close");
    return next;
  }
};

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

/** Until a child of this process, which was killed, is gone: before that its folder and its port are in use. */
export const untilGone = (pid: number): Promise<boolean> => eventually(() => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
});

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
