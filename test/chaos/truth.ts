import { randomUUID } from "node:crypto";
import pg from "pg";
import { type Cluster, startCluster, type WhenOver } from "../support/clusters.ts";
import { eventually } from "../support/eventually.ts";
import { CHANGED_WITHOUT_STORE } from "../support/holdfast.ts";
import { startProxy } from "../support/proxy.ts";

/** An event of the outbox, as far as it is compared with what clients were told. */
export type Logged = {
  readonly seq: number; readonly epoch: number; readonly kind: string; readonly id: string; readonly version: number; readonly type: string;
  /** The X-Request-Id of the command: clients send their idempotency key in it. */
  readonly key: string;
  readonly data: { readonly delta?: number; readonly quantity?: number; readonly stock?: number };
};

/** A Postgres and a replica that follows it asynchronously. */
export type Truth = {
  readonly primary: () => Cluster;
  readonly databaseUrl: (port: number) => string;
  readonly query: Cluster["query"];
  readonly events: (above: number) => Promise<Logged[]>;
  /** Everything that is committed now is on the replica when this is over, and nothing of what comes later. */
  readonly part: () => Promise<void>;
  /** The replica takes the place of the primary, which dies before that, or only when what is answered is called. `onPromoted` is called before anybody is led to it. */
  readonly failOver: (dies: "before" | "later", onPromoted: () => void) => Promise<() => Promise<void>>;
  readonly crash: () => Promise<void>;
  /** How often it crashed. */
  readonly crashes: () => number;
  /** A change of a product, as by a writer that dies before it stores, in a transaction that is open until it is let go: it holds the fence, and its event has a place before those that are seen earlier. Without a product it changes nothing. */
  readonly hold: (product: string | null) => Promise<() => Promise<void>>;
};

// A process that was killed may take its time to end, and a server is not started again while a session of the last one lives.
const RESTART_MS = 120_000;
// A file of the log that is renamed while it is copied is missing in the copy; then it is made again.
const ATTEMPTS = 5;

const replicaOf = async (primary: Cluster, whenOver: WhenOver) => {
  const link = await startProxy({ host: "127.0.0.1", port: primary.port });
  whenOver(link.stop);
  for (let attempt = 1; ; attempt++) {
    try {
      return { link, server: await primary.replica(link.port) };
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
};

export const startTruth = async (whenOver: WhenOver, onPrimary: (port: number) => Promise<void>): Promise<Truth> => {
  let primary = await startCluster(whenOver), crashes = 0;
  let replica: Awaited<ReturnType<typeof replicaOf>> | null = await replicaOf(primary, whenOver);
  const { password } = new URL(primary.url);
  // Commits of a connection of the harness are not what is tested; but one that broke must not stay.
  const query: Cluster["query"] = (text, values) => primary.query(text, values);

  return {
    primary: () => primary,
    databaseUrl: (port) => `postgres://postgres:${password}@127.0.0.1:${port}/holdfast?sslmode=disable`,
    query,
    events: async (above) =>
      (await query(
        `select seq, epoch, kind, entity_id as id, version_id as version, type, metadata->>'request' as key,
           json_build_object('delta', data->'delta', 'quantity', data->'quantity', 'stock', case when type = 'ProductCreated' then data->'stock' end) as data
         from outbox where seq > $1 order by seq`, [above])
      ).map((row) => ({ ...row, seq: Number(row.seq), epoch: Number(row.epoch), version: Number(row.version) })),
    part: async () => {
      const { server, link } = (replica ??= await replicaOf(primary, whenOver));
      const [{ lsn }] = await query("select pg_current_wal_lsn()::text as lsn");
      await eventually(async () => (await server.query("select pg_last_wal_replay_lsn() >= $1::pg_lsn as caught", [lsn]))[0].caught, { within: 20_000 });
      link.blackhole();
    },
    failOver: async (dies, onPromoted) => {
      const { server, link } = replica!, old = primary;
      replica = null;
      if (dies === "before") await old.kill();
      await server.promote();
      primary = server;
      await eventually(async () => (await query("select pg_is_in_recovery() as still"))[0].still === false, { within: 20_000 });
      onPromoted();
      await onPrimary(primary.port);
      await link.stop();
      return async () => {
        if (dies === "later") await old.kill();
      };
    },
    crashes: () => crashes,
    crash: async () => {
      crashes++;
      await primary.kill().catch(() => undefined);
      await eventually(primary.start, { within: RESTART_MS });
    },
    hold: async (product) => {
      const client = new pg.Client({ connectionString: primary.url, connectionTimeoutMillis: 5_000, statement_timeout: 5_000 });
      client.on("error", () => undefined);
      const end = () => client.end().catch(() => undefined);
      try {
        await client.connect();
        await client.query("begin");
        if (product === null) await client.query("select pg_current_xact_id()");
        else await client.query(CHANGED_WITHOUT_STORE.replace('"request": "test"', `"request": "${randomUUID()}"`), [product]);
      } catch (error) {
        await end();
        throw error;
      }
      return async () => {
        await client.query("commit").catch(() => undefined);
        await end();
      };
    },
  };
};

