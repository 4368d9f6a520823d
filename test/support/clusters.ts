import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { onTestFinished } from "vitest";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/infrastructure/embedded/EmbeddedPostgres.ts";
import { freePort, freezeFamily, thawFamily, untilGone } from "./processes.ts";

const run = promisify(execFile);

/** A Postgres of the test's own, with its data folder: what a common server, or one in a container, does not let a test do. */
export type Cluster = {
  readonly url: string;
  readonly port: number;
  readonly query: (text: string, values?: unknown[]) => Promise<any[]>;
  readonly stop: () => Promise<void>;
  /** As kill -9 does it. */
  readonly kill: () => Promise<void>;
  readonly freeze: () => Promise<void>;
  readonly thaw: () => Promise<void>;
  readonly start: () => Promise<void>;
  /** A copy of the data folder as it is now; the server may be running. Nothing runs on it yet. */
  readonly copy: () => Promise<Cluster>;
  /** The same, to follow this server as its replica, at the port given: through a proxy it can be parted from it. */
  readonly replica: (port: number) => Promise<Cluster>;
  /** Puts the data folder of another one in place of this one's. Both are stopped. */
  readonly restore: (from: Cluster) => Promise<void>;
  readonly promote: () => Promise<void>;
  /** So many transactions. */
  readonly burn: (count: number) => Promise<void>;
  readonly home: string;
};

const settings = { shared_buffers: "32MB", wal_level: "replica", max_wal_senders: "4", wal_keep_size: "64MB", max_connections: "100" };

/** Takes what is to be done at the end; a test's own end, where nothing else is named. */
export type WhenOver = (work: () => Promise<void>) => void;

/** Of a folder whose server may be running: what it takes away meanwhile, as every server does, is no part of the copy. */
const copyOf = (from: string, to: string) =>
  run("/bin/sh", ["-c", 'said=$(LC_ALL=C cp -a "$1/." "$2" 2>&1) || ! printf "%s\\n" "$said" | grep -qv "No such file or directory$"', "sh", from, to]);

const folderOf = async (whenOver: WhenOver) => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-cluster-test-"));
  // mkdtemp makes it its maker's alone, and root hands the server to another account.
  await chmod(folder, 0o755);
  whenOver(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

const over = (folder: string, home: string, password: string, port: number, whenOver: WhenOver): Cluster => {
  let server: EmbeddedPostgres | undefined, connected: Promise<pg.Client> | undefined;
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/holdfast?sslmode=disable`;
  const connect = () => {
    const client = new pg.Client({ connectionString: url });
    // One that could not be made, or that broke, is forgotten: nobody would ever answer what is asked over it.
    const forget = () => {
      if (connected === mine) connected = undefined;
    };
    client.on("error", forget);
    client.on("end", forget);
    const mine: Promise<pg.Client> = client.connect().then(() => client, (error: unknown) => {
      forget();
      throw error;
    });
    return mine;
  };
  const query = async (text: string, values: unknown[] = []) => {
    return (await (await (connected ??= connect())).query(text, values)).rows;
  };
  const leave = async () => {
    const left = connected;
    connected = undefined;
    await left?.then((client) => client.end()).catch(() => undefined);
  };
  const stop = async () => {
    await leave();
    await server?.stop();
    server = undefined;
  };
  const data = join(home, "data");
  const copyTo = async () => {
    const other = await folderOf(whenOver), to = join(other, "postgres");
    await mkdir(to);
    const running = server !== undefined;
    if (running) await query("select pg_backup_start('copy', true)");
    await copyOf(home, to);
    if (running) {
      const [{ labelfile }] = await query("select labelfile from pg_backup_stop(false)");
      await copyOf(join(data, "pg_wal"), join(to, "data", "pg_wal"));
      await writeFile(join(to, "data", "backup_label"), labelfile);
    }
    await rm(join(to, "data", "postmaster.pid"), { force: true });
    return { other, to, port: await freePort() };
  };
  const cluster: Cluster = {
    url,
    port,
    home,
    query,
    stop,
    kill: async () => {
      await leave();
      server!.kill("SIGKILL");
      await untilGone(server!.pid);
      server = undefined;
    },
    freeze: () => freezeFamily(server!.pid),
    thaw: () => thawFamily(server!.pid),
    start: async () => {
      server = await startEmbeddedPostgres({ folder, persistent: true, port, settings });
    },
    copy: async () => {
      const { other, to, port } = await copyTo();
      const copied = over(other, to, password, port, whenOver);
      whenOver(copied.stop);
      return copied;
    },
    replica: async (primary) => {
      const { other, to, port } = await copyTo();
      await writeFile(join(to, "data", "standby.signal"), "");
      await writeFile(join(to, "data", "postgresql.auto.conf"), `primary_conninfo = 'host=127.0.0.1 port=${primary} user=postgres password=${password} sslmode=disable'\n`);
      const copied = over(other, to, password, port, whenOver);
      whenOver(copied.stop);
      await copied.start();
      return copied;
    },
    restore: async (from) => {
      await rm(data, { recursive: true });
      await run("cp", ["-a", join(from.home, "data"), data]);
    },
    promote: async () => {
      await query("select pg_promote()");
    },
    burn: async (count) => {
      await query(`do $$ begin for n in 1..${count} loop perform pg_current_xact_id(); commit; end loop; end $$`);
    },
  };
  return cluster;
};

export const startCluster = async (whenOver: WhenOver = onTestFinished): Promise<Cluster> => {
  const folder = await folderOf(whenOver);
  const port = await freePort();
  const first = await startEmbeddedPostgres({ folder, persistent: true, port, settings });
  const { password } = new URL(first.url), { dataFolder } = first;
  await first.stop();
  const cluster = over(folder, join(dataFolder, ".."), password, port, whenOver);
  whenOver(cluster.stop);
  await cluster.start();
  return cluster;
};
