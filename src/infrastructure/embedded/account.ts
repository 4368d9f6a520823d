import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whose process the server is: initdb and postgres refuse to run as root. */
export type Account = { readonly uid: number; readonly gid: number };

// Root hands the server to `postgres`, or where there is none to `nobody`, which every system has: initdb wants an account with a name, and a start should not add
// one to the machine. Everybody else runs the server as themselves.
const choose = `if [ "$(id -u)" != 0 ]; then id -u; id -g
else name=postgres; id "$name" >/dev/null 2>&1 || name=nobody; id -u "$name"; id -g "$name"; fi`;

export const serverAccount = async (): Promise<Account> => {
  const { stdout } = await run("/bin/sh", ["-c", choose]);
  const [uid, gid] = stdout.trim().split("\n").map(Number) as [number, number];
  return { uid, gid };
};

/** Whether the account can walk to the folder and read it: a clone under a home of mode 700 is closed to all but its owner and root. */
export const reaches = (account: Account, folder: string): Promise<boolean> =>
  run("/bin/sh", ["-c", 'cd "$1" && test -r .', "sh", folder], { ...account, cwd: "/" }).then(
    () => true,
    () => false,
  );

// A server that runs in the folder, or the sessions of one that was killed, take files away while it is gone through. What is gone needs no owner; all else is handed over.
const give = `said=$(LC_ALL=C chown -R "$1" "$2" 2>&1) || ! printf '%s\\n' "$said" | grep -v 'No such file or directory$' >&2`;

/** Gives a folder and all that is in it to the account. */
export const handOver = (account: Account, folder: string) => run("/bin/sh", ["-c", give, "sh", `${account.uid}:${account.gid}`, folder]);
