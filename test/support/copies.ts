import { connect } from "node:net";
import type { RedisServer } from "./redis.ts";

export type Copy = readonly [place: string, content: Buffer | string];

/**
 * What `SAVE` would write, as a replica is sent it: the bytes of the dump file, from a server wherever it runs. Uncompressed, for a text in pieces is not found.
 */
export const dumpOf = async (redis: RedisServer): Promise<Buffer> => {
  await redis.cli("CONFIG", "SET", "rdbcompression", "no");
  await redis.cli("CONFIG", "SET", "repl-diskless-sync", "no");
  await redis.cli("SAVE");
  const socket = connect(redis.port, "127.0.0.1");
  socket.write("SYNC\r\n");
  let received = Buffer.alloc(0);
  try {
    for await (const bytes of socket) {
      received = Buffer.concat([received, bytes as Buffer]);
      // Newlines keep the line open until the dump is ready.
      const header = /^\n*\$(\d+)\r\n/u.exec(received.subarray(0, 1_000).toString("latin1"));
      if (header !== null && received.length >= header[0].length + Number(header[1])) return received.subarray(header[0].length, header[0].length + Number(header[1]));
    }
  } finally {
    socket.destroy();
  }
  throw new Error(`no dump came: ${received.subarray(0, 200).toString()}`);
};

/** Everything that Redis holds: its data, and the commands that it remembers for having been slow. */
export const copiesInRedis = async (redis: RedisServer): Promise<readonly Copy[]> => [
  ["the dump of Redis", await dumpOf(redis)],
  ["the slow log of Redis", JSON.stringify(await redis.cli("SLOWLOG", "GET", -1))],
];

type Query = (text: string) => Promise<readonly Record<string, any>[]>;

/** Every row of every table in every schema that is not Postgres' own, and what its sessions do. Binary columns are hexadecimal. */
export const copiesInPostgres = async (query: Query): Promise<readonly Copy[]> => {
  const tables = await query(`select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 1`);
  const copies: Copy[] = [];
  for (const name of [...tables.map((table) => table["name"] as string), "pg_stat_activity"]) {
    const rows = await query(`select to_json(t)::text as row from ${name} t`);
    copies.push([`the table ${name}`, rows.map(({ row }) => row as string).join("\n")]);
  }
  return copies;
};
