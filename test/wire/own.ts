import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll } from "vitest";
import { writeKeyring } from "../../src/infrastructure/crypto/keyringFile.ts";
import { start } from "../../src/start.ts";
import { createDatabase, dropDatabase } from "../support/database.ts";
import { startRedis } from "../support/redis.ts";
import type { Target } from "./client.ts";

/** Makes a key as the service would: it keeps the digest alone. */
const makeKey = async (database: string, scopes: ReadonlyArray<string>): Promise<string> => {
  const id = randomBytes(6).toString("hex");
  const key = `hf_${id}_${randomBytes(20).toString("hex")}`;
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  const digest = createHash("sha256").update(key).digest();
  await client.query("insert into api_keys (id, name, scopes, secret_hash) values ($1, 'limited', $2, $3)", [id, scopes, digest]);
  await client.end();
  return key;
};

/** A whole Holdfast in this process, on a database and a Redis of its own, until the test file is over. */
export const startOwn = async (): Promise<Target> => {
  const [database, redis] = await Promise.all([createDatabase({ migrated: true }), startRedis()]);
  const key = `wire_${randomBytes(16).toString("hex")}`;
  const limitedKey = await makeKey(database, ["catalog:read"]);
  const folder = await mkdtemp(join(tmpdir(), "holdfast-wire-")), keyring = join(folder, "keyring.json");
  writeKeyring(keyring);
  // A quiet installation: what a busy machine makes slow is not the wire's matter, so a store and every answer of the cache may take their time.
  const patience = 2_000;
  const { url, stop } = await start("all", { DATABASE_URL: database, REDIS_URL: redis.url, PORT: "0", LOG_LEVEL: "silent", BOOTSTRAP_API_KEY: key, SYNC_BUDGET_MS: String(patience), KEYRING_FILE: keyring }, { shortestDeadlineMilliseconds: patience });
  afterAll(async () => {
    await stop();
    await redis.stop();
    await dropDatabase(database);
    await rm(folder, { recursive: true });
  });
  return { url: url!, key, limitedKey };
};
