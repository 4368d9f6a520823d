import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { finished } from "node:stream";
import type { Account } from "./account.ts";

export type Watched = {
  readonly child: ChildProcess & { readonly pid: number };
  /** The pipe that the watcher holds; like the child it keeps this process alive until it is told not to (`unref`). */
  readonly leash: Socket;
};

// A process that outlives its parent would keep its port, its lock and its memory, and kill -9 leaves the parent no time to stop it. So a small shell holds the other
// end of a pipe: a line on it means that the process is known to have ended, the end of the pipe that the parent has. The shell turns into the program itself (`exec`),
// so the program has the id that was spawned; the watcher is started from a subshell, so that it is nobody's child and no server meets a child that it does not know.
// CONT, because a program that was stopped hears nothing else but KILL. The script is given as text, not as a file: the account may not be able to read this folder.
const watch = `( ( read -r ended <&3 || {
  kill -s "$1" "$$"; kill -s CONT "$$"
  test -z "$2" || { n=0; while kill -0 "$$" && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done; rm -rf "$2"; }
} ) >/dev/null 2>&1 & )
shift 2
exec "$@" 3<&-`;

/**
 * Starts a program that ends when this process ends, however that happens. It leads a session of its own: Ctrl-C in a terminal reaches this process alone, which then
 * stops its servers in their order.
 */
export const spawnWatched = (
  command: string,
  args: readonly string[],
  options: {
    /** What the program gets when this process is gone, without SIG. */
    readonly signal: "INT" | "TERM" | "KILL";
    /** A folder that goes as well, after the program; an empty text for none. */
    readonly scratch: string;
    /** A file descriptor for what the program prints, or a pipe. */
    readonly output: number | "pipe";
    readonly account?: Account;
    readonly env?: NodeJS.ProcessEnv;
    readonly cwd?: string;
  },
): Watched => {
  const { signal, scratch, output, account, ...rest } = options;
  const shell = ["-c", watch, "sh", signal, scratch, command, ...args];
  // Not over stdin: Node closes that by itself when the child ends, before a line could be written.
  const child = spawn("/bin/sh", shell, { ...rest, ...account, detached: true, stdio: ["ignore", output, output, "pipe"] }) as Watched["child"];
  const leash = child.stdio[3] as Socket;
  // Well or badly: whoever kills the whole group kills the watcher with it, and then nobody reads the line.
  finished(leash, () => undefined);
  child.once("exit", () => leash.end("ended\n"));
  return { child, leash };
};
