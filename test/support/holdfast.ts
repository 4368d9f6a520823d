import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { expect, inject, onTestFailed, onTestFinished } from "vitest";
import { createDatabase, dropDatabase } from "./database.ts";
import { eventually } from "./eventually.ts";
import { startProcess } from "./processes.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { type RedisOptions, type RedisServer, startRedis } from "./redis.ts";

export type Role = "all" | "api" | "relay";

const MAINS: Record<Role, string> = { all: "../../src/main.ts", api: "../../src/http/main.ts", relay: "../../src/jobs/main.ts" };
const KEY = "whole_process_tests_of_holdfast_key_01";

export type Line = { readonly level: string; readonly msg: string; readonly [field: string]: unknown };

export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string; readonly body: any };
export type Asked = { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal };

export type Holdfast = {
  readonly role: Role;
  /** Of its HTTP interface; an empty text where it has none. */
  readonly url: string;
  /** Has every scope. */
  readonly key: string;
  readonly call: (method: string, path: string, asked?: Asked) => Promise<Answer>;
  /** What it has logged so far. */
  readonly lines: () => readonly Line[];
  readonly output: () => string;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** As kill -9 does it; over when the process is. */
  readonly kill: () => Promise<void>;
};

/** Without the last one: it may not be there to its end yet. */
const linesOf = (output: string): Line[] =>
  output.split("\n").slice(0, -1).filter((line) => line.startsWith("{") && line.endsWith("}")).map((line) => JSON.parse(line) as Line);

/** One request with the key that has every scope. Rejects where no answer comes. */
export const request = async (url: string, method: string, path: string, { body, headers, signal }: Asked = {}): Promise<Answer> => {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${KEY}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: text.startsWith("{") ? JSON.parse(text) : undefined };
};

/** A child that runs one of the mains, with this environment and nothing of ours; it may not come up. It is killed when the test is over. */
export const launch = (role: Role, environment: Readonly<Record<string, string>>) => {
  const child = startProcess(process.execPath, [fileURLToPath(import.meta.resolve(MAINS[role]))], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: "0", BOOTSTRAP_API_KEY: KEY, ...environment },
  });
  onTestFailed(() => console.error(`--- ${role}, process ${child.pid}, printed last:\n${child.output().slice(-3_000)}`));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  return child;
};

/** A process of Holdfast that is ready. */
export const startHoldfast = async (role: Role, environment: Readonly<Record<string, string>>): Promise<Holdfast> => {
  const child = launch(role, environment);
  let over = false;
  void child.exited.then(() => (over = true));
  const ready = () => linesOf(child.output()).find(({ msg }) => msg === "Holdfast is ready");
  await eventually(() => over || ready() !== undefined, { within: 50_000 });
  if (over) throw new Error(`${role} ended before it was ready:\n${child.output()}`);
  const url = (ready()!["url"] as string | null) ?? "";
  return {
    role,
    url,
    key: KEY,
    call: (method, path, asked) => request(url, method, path, asked),
    lines: () => linesOf(child.output()),
    output: child.output,
    exited: child.exited,
    signal: child.kill,
    kill: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
};

export type Row = { readonly id: string; readonly version: number; readonly stock: number; readonly name: string };

/** A database with every migration in it, and what a test looks up behind the service's back. */
export const startTruth = async () => {
  const database = await createDatabase({ migrated: true });
  const pool = new pg.Pool({ connectionString: database, max: 4 });
  pool.on("error", () => undefined);
  onTestFinished(async () => {
    // What a failed test left locked goes with its connection.
    await dropDatabase(database);
    await pool.end();
  });
  return { database, ...look(pool) };
};

export const look = (pool: pg.Pool) => {
  const query = async (text: string, values: unknown[] = []) => (await pool.query<Record<string, any>>(text, values)).rows;
  return {
    query,
    /** A transaction that holds what the statement takes, until it is let go or the test is over. */
    hold: async (statement: string, values: unknown[] = []) => {
      const client = await pool.connect();
      client.on("error", () => undefined);
      let held = true;
      const letGo = async () => {
        if (!held) return;
        held = false;
        await client.query("commit").finally(() => client.release(true));
      };
      onTestFinished(() => letGo().catch(() => undefined));
      await client.query("begin");
      await client.query(statement, values);
      return letGo;
    },
    rows: async (): Promise<readonly Row[]> =>
      (await query("select id, version_id, stock, name from products")).map(({ id, version_id, stock, name }) =>
        ({ id, version: Number(version_id), stock: Number(stock), name })),
    /** Changes of this product wait until they are let go, as long as a statement may take. For a lock they would wait 2 s at most, and be refused then. */
    gate: async (id: string) => {
      await query("create table gate as select 1 as shut");
      await query("create function wait_at_gate() returns trigger language plpgsql as 'begin while exists (select from gate) loop perform pg_sleep(0.01); end loop; return new; end'");
      await query(`create trigger gate before update on products for each row when (old.id = '${id}') execute function wait_at_gate()`);
      return {
        /** Until somebody waits. */
        reached: () => eventually(async () => (await query("select 1 from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'")).length > 0),
        open: () => query("delete from gate"),
      };
    },
    queued: async () => Number((await query("select count(*) as n from sync_retry_queue"))[0]!["n"]),
    /** From now on nobody can queue anything: what the store missed, the relay alone can find. */
    loseRetryRows: async () => {
      await query("create function lose() returns trigger language plpgsql as 'begin return null; end'");
      await query("create trigger lose before insert on sync_retry_queue for each row execute function lose()");
    },
  };
};
export type Truth = Awaited<ReturnType<typeof startTruth>>;

export const startCache = async (options?: RedisOptions): Promise<RedisServer> => {
  const redis = await startRedis(options);
  onTestFinished(redis.stop);
  return redis;
};

/** A network of its own before a server, for one process alone. */
export const startNetwork = async (server: { readonly port: number }): Promise<Proxy> => {
  const proxy = await startProxy({ host: "127.0.0.1", port: server.port });
  onTestFinished(proxy.stop);
  return proxy;
};

export const on = (truth: { readonly database: string }, redis: { readonly url: string } | string, more: Readonly<Record<string, string>> = {}) =>
  ({ DATABASE_URL: truth.database, KEYRING_FILE: inject("keyringFile"), REDIS_URL: typeof redis === "string" ? redis : redis.url, ...more });

export type Product = { readonly id: string; readonly versionId: number; readonly name: string; readonly stock: number };

/** New products, each cached if there is a cache. */
export const createProducts = async (api: Holdfast, count: number, { description = "as new", withCache = true } = {}): Promise<readonly Product[]> => {
  const products: Product[] = [];
  for (let n = 0; n < count; n++) {
    const body = { sku: randomUUID(), name: `product ${n}`, description, price: { amount: 100, currency: "EUR" }, stock: 1_000 };
    const answer = await api.call("POST", "/v1/products", { body });
    if (answer.status !== 201) throw new Error(`a product could not be made: ${answer.text}`);
    // On a busy machine the lease may come too late; then the first read makes the entry.
    const cached = async () => status(await api.call("GET", `/v1/products/${answer.body.id}`)) === "holdfast; hit";
    if (withCache && status(answer) !== "holdfast; fwd=method; stored") await eventually(cached);
    products.push(answer.body);
  }
  return products;
};

/** On a busy machine the cache may not answer in time, and then nothing is explained. */
export const explain = (api: Holdfast, id: string) => eventually(async () => {
  const { status, body, text } = await api.call("GET", `/ops/entries/product/${id}`);
  if (status !== 200) throw new Error(`no explanation of ${id}: ${text}`);
  return body as { row: { versionId: number }; entry: { versionId: number } | null; lease: boolean; queued: boolean; verdict: string };
});

/** The first answer that is not 503: sessions are nowhere but in the cache, which on a busy machine may be too slow for its deadline. */
export const fromSessions = (ask: () => Promise<Answer>): Promise<Answer> => eventually(async () => {
  const answer = await ask();
  if (answer.status === 503) throw new Error(`the sessions are away: ${answer.text}`);
  return answer;
});

/** Where the product's entry stands in the cache; it has to be there. */
export const keyOf = async (redis: RedisServer, id: string) => ((await redis.cli("KEYS", `hf:{*}:product:${id}`)) as string[])[0]!;

/**
 * Every product whose entry is not its row: of another version, or with other bytes than the history gives that version. None are left when the cache can be
 * trusted. Nothing here mends an entry: it may be asked again and again until the relay has done its work.
 */
export const untrue = async (api: Holdfast, ids: Iterable<string>) => {
  const wrong: unknown[] = [];
  for (const id of ids) {
    const { row, entry, verdict } = await explain(api, id);
    const agrees = entry === null ? verdict === "absent" : verdict === "consistent" && entry.versionId === row.versionId;
    const served = await api.call("GET", `/v1/products/${id}`);
    const made = await api.call("GET", `/v1/products/${id}?version=${row.versionId}`);
    if (!agrees || served.text !== made.text) wrong.push({ id, row, entry, verdict, served: served.text, made: made.text });
  }
  return wrong;
};

/**
 * Reads until the cache answers. On a busy machine it may not answer in time, and a miss may not be filled in time, so that it takes some reads; but each of them,
 * wherever it comes from, shows the version that the row has. Five that are late in a row open the breaker, and what a relay has yet to settle is not read after
 * that: so it may take seconds. The statuses of all, the last one a hit.
 */
export const becomesHit = async (api: Holdfast, id: string, version: number) => {
  const statuses: (string | null)[] = [], wrong: unknown[] = [];
  await eventually(async () => {
    const read = await api.call("GET", `/v1/products/${id}`);
    statuses.push(status(read));
    if (read.status !== 200 || read.body.id !== id || read.body.versionId !== version) wrong.push({ id, version, status: status(read), read: read.text });
    if (wrong.length === 0 && status(read) !== "holdfast; hit") throw new Error(`${id} is no hit yet: ${[...new Set(statuses)].join(", ")}`);
  }, { within: 40_000 });
  expect(wrong).toEqual([]);
  return statuses;
};

export const status = (answer: { readonly headers: Headers }) => answer.headers.get("cache-status");

/** $1: a product, which gets a version and its event as by a writer that dies before it stores. */
export const CHANGED_WITHOUT_STORE = `with changed as (
    update products set version_id = version_id + 1, stock = stock + 1, event_seq = nextval('outbox_seq'),
      updated_at_ns = (extract(epoch from clock_timestamp()) * 1000000)::bigint * 1000 where id = $1 returning *)
  insert into outbox (recorded_at, epoch, seq, partition, kind, entity_id, version_id, type, data, metadata)
  select timestamptz 'epoch' + (c.updated_at_ns / 1000) * interval '1 microsecond', (select max(epoch) from database_epochs), c.event_seq,
    (select partition from outbox where entity_id = $1 limit 1), 'product', c.id, c.version_id, 'StockAdjusted', '{"delta": 1, "reason": null}',
    '{"actor": "test", "trace": "", "request": "test"}' from changed c`;

/** Until the first checkpoints stand: from then on the relay works. */
export const relayWorks = (redis: RedisServer) =>
  eventually(async () => (await checkpoints(redis)).length === 64, { within: 50_000 });

/** The checkpoints that stand in the cache: of settled partitions only. */
export const checkpoints = async (redis: RedisServer): Promise<readonly string[]> => {
  const keys = (await redis.cli("KEYS", "hf:{??}")) as string[];
  const texts = keys.length === 0 ? [] : ((await redis.cli("MGET", ...keys)) as (string | null)[]);
  return texts.filter((text) => text?.startsWith("C") === true) as string[];
};
