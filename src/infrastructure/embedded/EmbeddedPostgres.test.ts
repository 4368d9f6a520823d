import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, expect, test, vi } from "vitest";
import { eventually } from "../../../test/support/eventually.ts";
import { startProcess } from "../../../test/support/processes.ts";
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from "./EmbeddedPostgres.ts";

// A port that stays taken is tried thirty times, and each time a server is started for it.
vi.setConfig({ testTimeout: 180_000 });

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const newFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-embedded-"));
  // A temporary folder is its maker's alone, and root hands the server to another account.
  await chmod(folder, 0o755);
  undo.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

const start = async (options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> => {
  const server = await startEmbeddedPostgres(options);
  undo.push(async () => {
    server.kill("SIGCONT");
    await server.stop();
  });
  return server;
};

const query = async (url: string, text: string) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
};

const lives = (pid: number) => existsSync(`/proc/${pid}/exe`) || readFile(`/proc/${pid}/cmdline`, "utf8").then(Boolean, () => false);
const isGone = async (pid: number) => !(await lives(pid));

/** A process that starts the server and then only lives. */
const startOwner = async (folder: string, persistent: boolean) => {
  const program = `import { startEmbeddedPostgres } from ${JSON.stringify(import.meta.resolve("./EmbeddedPostgres.ts"))};
    const { url, pid } = await startEmbeddedPostgres({ folder: ${JSON.stringify(folder)}, persistent: ${persistent} });
    console.log(JSON.stringify({ url, pid }));
    setInterval(() => {}, 1000);`;
  const owner = startProcess(process.execPath, ["--input-type=module", "--eval", program]);
  const printed = await eventually(() => JSON.parse(owner.output()) as { url: string; pid: number }, { within: 50_000 });
  return { owner, ...printed };
};

test("a second start finds the data and the password of the first", async () => {
  const folder = await newFolder();
  const first = await start({ folder, persistent: true });
  await query(first.url, "create table kept as select 42 as answer");
  await first.stop();
  const second = await start({ folder, persistent: true, port: first.port });
  expect(second.url).toBe(first.url);
  expect(await query(second.url, "select answer from kept")).toEqual([{ answer: 42 }]);
  expect((await stat(join(folder, "postgres", "password"))).mode & 0o777).toBe(0o600);
});

test("the database speaks UTF-8 in the C locale, listens on the loopback alone and keeps statements out of its log", async () => {
  const { url } = await start({ folder: await newFolder(), persistent: true, settings: { max_connections: "17" } });
  const settings = ["listen_addresses", "unix_socket_directories", "fsync", "max_connections", "log_min_error_statement", "server_encoding"];
  const [row] = await query(url, `select ${settings.map((name) => `current_setting('${name}') as ${name}`).join()}, datcollate from pg_database where datname = 'holdfast'`);
  expect(row).toEqual({
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "on",
    max_connections: "17",
    log_min_error_statement: "panic",
    server_encoding: "UTF8",
    datcollate: "C",
  });
});

test("a server that is not persistent leaves nothing behind, and a second stop is no error", async () => {
  const folder = await newFolder();
  const server = await start({ folder, persistent: false });
  expect(await query(server.url, "show fsync")).toEqual([{ fsync: "off" }]);
  await server.stop();
  await server.stop();
  expect(await readdir(folder)).toEqual([]);
});

test("a folder that a living process uses is refused, and the server goes on", async () => {
  const folder = await newFolder();
  const server = await start({ folder, persistent: true });
  await expect(startEmbeddedPostgres({ folder, persistent: true })).rejects.toThrow(`is in use by process ${process.pid}`);
  expect(await query(server.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("the server ends when its owner is killed, and what was temporary goes with it", async () => {
  const folder = await newFolder();
  const { owner, pid } = await startOwner(folder, false);
  owner.kill("SIGKILL");
  await eventually(() => isGone(pid));
  await eventually(() => !existsSync(join(folder, "postgres", "data")), { within: 40_000 });
});

test("a server whose owner and watcher were both killed is stopped by the next start", async () => {
  const folder = await newFolder();
  const { owner, pid, url } = await startOwner(folder, true);
  await query(url, "create table kept ()");
  for (const watcher of await watchersOf(pid)) process.kill(watcher, "SIGKILL");
  owner.kill("SIGKILL");
  await owner.exited;
  expect(await lives(pid)).toBe(true);
  const next = await start({ folder, persistent: true });
  expect(await isGone(pid)).toBe(true);
  expect(await query(next.url, "select from kept")).toEqual([]);
});

/** The other processes of the server's group. */
const watchersOf = async (pid: number) => {
  const groups = (await readdir("/proc")).filter((name) => /^\d+$/u.test(name)).map(async (name) => {
    const text = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    // pid (name) state parent group
    const [, parent, group] = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
    return { pid: Number(name), parent, group };
  });
  // A session that has just begun is in the group too, and is the server's child.
  return (await Promise.all(groups)).filter(({ pid: other, parent, group }) => group === pid && other !== pid && parent !== pid).map(({ pid: other }) => other);
};

test("a server that was killed is recovered by the next start, even where its data is temporary", async () => {
  const folder = await newFolder();
  const first = await start({ folder, persistent: false });
  await query(first.url, "create table kept ()");
  const watchers = await watchersOf(first.pid);
  first.kill("SIGKILL");
  for (const pid of [first.pid, ...watchers]) await eventually(() => isGone(pid));
  const second = await start({ folder, persistent: false });
  expect(await query(second.url, "select from kept")).toEqual([]);
});

test("a server whose whole process group was killed starts again", async () => {
  const folder = await newFolder();
  const server = await start({ folder, persistent: true });
  process.kill(-server.pid, "SIGKILL");
  await eventually(() => isGone(server.pid));
  const next = await start({ folder, persistent: true });
  expect(await query(next.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a lock file whose process id another program has been given does not stop the start", async () => {
  const folder = await newFolder();
  const first = await start({ folder, persistent: true });
  await first.stop();
  const lock = [process.pid, first.dataFolder, 0, first.port, "", "127.0.0.1", "", "ready"].join("\n");
  await writeFile(join(first.dataFolder, "postmaster.pid"), lock);
  const second = await start({ folder, persistent: true });
  expect(await query(second.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a start waits for the sessions of a server that was killed", async () => {
  const folder = await newFolder();
  const first = await start({ folder, persistent: true });
  const client = new pg.Client({ connectionString: first.url });
  client.on("error", () => undefined);
  await client.connect();
  const [{ pid: session }] = (await client.query<{ pid: number }>("select pg_backend_pid() as pid")).rows as [{ pid: number }];
  process.kill(session, "SIGSTOP");
  first.kill("SIGKILL");
  await eventually(() => isGone(first.pid));
  const second = start({ folder, persistent: true });
  await eventually(async () => (await readFile(join(folder, "postgres", "postgres.log"), "utf8")).includes("is still in use"));
  process.kill(session, "SIGCONT");
  expect(await query((await second).url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a start that fails quotes the end of the log and leaves no temporary data", async () => {
  const folder = await newFolder();
  const failing = startEmbeddedPostgres({ folder, persistent: false, settings: { shared_buffers: "nonsense" } });
  await expect(failing).rejects.toThrow(/did not start[^]*shared_buffers[^]*nonsense/u);
  expect(await readdir(folder)).toEqual([]);
});

test("a port that stays taken is an error that names it", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  undo.push(async () => taken.close());
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const failing = startEmbeddedPostgres({ folder: await newFolder(), persistent: true, port });
  await expect(failing).rejects.toThrow(/127\.0\.0\.1.*Address already in use/u);
});

test("a password that is not the data's fails the start and leaves no server", async () => {
  const folder = await newFolder();
  const first = await start({ folder, persistent: true });
  await first.stop();
  await writeFile(join(folder, "postgres", "password"), "another");
  await expect(startEmbeddedPostgres({ folder, persistent: true })).rejects.toThrow("password authentication failed");
  expect(existsSync(join(first.dataFolder, "postmaster.pid"))).toBe(false);
});

test("the server of root keeps its data elsewhere if its account cannot come to the folder", async () => {
  const closed = await newFolder();
  await chmod(closed, 0o700);
  const folder = join(closed, "clone");
  await mkdir(folder);
  const server = await start({ folder, persistent: false });
  expect(server.moved).toBe(process.getuid!() === 0);
  expect(server.dataFolder.startsWith(folder)).toBe(!server.moved);
});
