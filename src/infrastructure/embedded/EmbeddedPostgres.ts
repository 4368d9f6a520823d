import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { type Account, handOver, serverAccount } from "./account.ts";
import { installBinaries, locateBinaries } from "./binaries.ts";
import { freePort } from "./freePort.ts";
import { homesOf, placeBinaries, placeData } from "./place.ts";
import { clearRunningServer, ownerSetting, portInUse } from "./runningServer.ts";
import { shutDown } from "./shutDown.ts";
import { spawnWatched, type Watched } from "./watched.ts";

const run = promisify(execFile);

export type EmbeddedPostgresOptions = {
  /** The server keeps its data, its log and its password in `postgres` under this folder. */
  readonly folder: string;
  /** A free one if none is named. */
  readonly port?: number;
  /** Otherwise fsync is off, and the data goes when the server stops. */
  readonly persistent: boolean;
  /** Settings of postgresql.conf; they win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
};

export type EmbeddedPostgres = {
  /** Of the database `holdfast`, with the password. */
  readonly url: string;
  readonly dataFolder: string;
  /** The folder that was asked for cannot be used by the server's account; the data is elsewhere. */
  readonly moved: boolean;
  readonly port: number;
  readonly pid: number;
  readonly stop: () => Promise<void>;
  readonly kill: (signal: NodeJS.Signals) => void;
};

type Server = { readonly account: Account; readonly binaries: string; readonly home: string; readonly dataFolder: string; readonly password: string };

const database = "holdfast";

const defaults = (persistent: boolean): Record<string, string> => ({
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  fsync: persistent ? "on" : "off",
  timezone: "UTC",
  log_timezone: "UTC",
  // The log is a plain file: statements and the details of an error carry values, and values may be personal.
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
});

// Nothing of the caller's PG* variables, of its locale or of its HOME, which may be empty.
const environment = (home: string): NodeJS.ProcessEnv => ({ PATH: "/usr/bin:/bin", HOME: home, LC_ALL: "C", TZ: "UTC" });

const keptPassword = async (home: string): Promise<string> => {
  const file = join(home, "password");
  await writeFile(file, randomBytes(24).toString("base64url"), { mode: 0o600, flag: "wx" }).catch(() => undefined);
  return readFile(file, "utf8");
};

const initialise = async ({ account, binaries, home, dataFolder }: Server): Promise<void> => {
  // Under another name until it is whole: an initdb that was killed leaves something that looks like a database.
  const fresh = `${dataFolder}.new`;
  await rm(fresh, { recursive: true, force: true });
  await handOver(account, home);
  const args = ["--username=postgres", "--auth=scram-sha-256", `--pwfile=${join(home, "password")}`, "--locale=C", "--encoding=UTF8", "--no-instructions"];
  await run(join(binaries, "bin", "initdb"), [...args, `--pgdata=${fresh}`], { ...account, cwd: home, env: environment(home) });
  await rename(fresh, dataFolder);
};

const urlOf = (password: string, port: number, name: string): string => `postgres://postgres:${password}@127.0.0.1:${port}/${name}?sslmode=disable`;

/** The URL of the server that another process runs on this folder; null where none does that this user can use. A second server would be refused. */
export const findEmbeddedPostgres = async (folder: string): Promise<string | null> => {
  for (const home of homesOf(resolve(folder), process.getuid!())) {
    const port = await portInUse(join(home, "data"));
    if (port !== null) return urlOf(await readFile(join(home, "password"), "utf8"), port, database);
  }
  return null;
};

/** Postgres writes into its lock file when it accepts connections. A connection as the test could reach another server on this port. */
const untilReady = async (server: Server, child: Watched["child"]): Promise<void> => {
  let ended = false;
  child.once("exit", () => (ended = true));
  const ready = new RegExp(`^${child.pid}\n[^]*\nready`, "u");
  while (!ready.test(await readFile(join(server.dataFolder, "postmaster.pid"), "utf8").catch(() => ""))) {
    if (ended) throw new Error(`The embedded Postgres did not start. The end of its log:\n${(await readFile(logOf(server), "utf8")).slice(-2000)}`);
    await delay(10);
  }
};

const logOf = (server: Server): string => join(server.home, "postgres.log");

const createDatabase = async (url: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rowCount } = await client.query("select from pg_database where datname = $1", [database]);
  if (rowCount === 0) await client.query(`create database ${database}`);
  await client.end();
};

const launch = async (server: Server, port: number, { persistent, settings }: EmbeddedPostgresOptions) => {
  const given = Object.entries({ ...defaults(persistent), ...settings, port: String(port), [ownerSetting]: String(process.pid) });
  const log = await open(logOf(server), "w", 0o600);
  const { child, leash } = spawnWatched(
    join(server.binaries, "bin", "postgres"),
    ["-D", server.dataFolder, ...given.flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    { signal: "INT", scratch: persistent ? "" : server.home, output: log.fd, account: server.account, env: environment(server.home), cwd: server.home },
  );
  await log.close();
  const ended = once(child, "exit");
  const stop = () => {
    child.ref();
    return shutDown((signal) => child.kill(signal), ended);
  };
  try {
    await untilReady(server, child);
    await createDatabase(urlOf(server.password, port, "postgres"));
  } catch (error) {
    await stop();
    throw error;
  }
  // A process that has nothing else to do may end; the watcher then stops the server.
  child.unref();
  leash.unref();
  return { child, stop };
};

// Both pass: the sessions of a server that was killed take a moment to notice, and somebody else may have been given the free port.
const passing = /is still in use|Address already in use/u;
const attempts = 30;

/**
 * Starts a real Postgres from the binaries of an npm package. It ends with this process, however that ends.
 * Fails with the end of the server's log if it does not start, and if a living process already uses the folder.
 */
export const startEmbeddedPostgres = async (options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> => {
  const uid = process.getuid!();
  const account = await serverAccount();
  const binaries = await installBinaries(await locateBinaries(), await placeBinaries(account), uid);
  const { home, moved } = await placeData(account, resolve(options.folder), uid);
  const dataFolder = join(home, "data");
  await clearRunningServer(dataFolder);
  const server = { account, binaries, home, dataFolder, password: await keptPassword(home) };
  if (!existsSync(join(dataFolder, "PG_VERSION"))) await initialise(server);
  const discard = async () => {
    if (!options.persistent) await rm(home, { recursive: true, force: true });
  };
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    try {
      const { child, stop } = await launch(server, port, options);
      const url = urlOf(server.password, port, database);
      return { url, dataFolder, moved, port, pid: child.pid, stop: () => stop().then(discard), kill: (signal) => child.kill(signal) };
    } catch (error) {
      if (attempt < attempts && passing.test(String(error))) await delay(100);
      else {
        await discard();
        throw error;
      }
    }
  }
};
