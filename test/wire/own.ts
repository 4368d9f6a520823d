import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, expect } from "vitest";
import { writeKeyring } from "../../src/infrastructure/crypto/keyringFile.ts";
import { start } from "../../src/start.ts";
import { createDatabase, dropDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { type Algorithm, makeKey, startIssuer } from "../support/issuer.ts";
import { PATIENCE, patientRedis } from "../support/patient.ts";
import { startRedis } from "../support/redis.ts";
import type { Target } from "./client.ts";
import { SCOPES, type ScopedKeys } from "./keys.ts";

const ALGORITHMS: ReadonlyArray<Algorithm> = ["RS256", "ES256", "EdDSA"];

/** Makes a key for each scope as the service would: it keeps the digest alone. */
const makeScopedKeys = async (database: string): Promise<ScopedKeys> => {
  const made = SCOPES.map((scope) => {
    const id = randomBytes(6).toString("hex");
    return { scope, id, key: `hf_${id}_${randomBytes(20).toString("hex")}` };
  });
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  for (const { scope, id, key } of made) {
    await client.query("insert into api_keys (id, name, scopes, secret_hash) values ($1, $2, $3, $4)", [id, scope, [scope], createHash("sha256").update(key).digest()]);
  }
  await client.end();
  return Object.fromEntries(made.map(({ scope, key }) => [scope, key]));
};

/** One issuer, which publishes a key of each algorithm before the service asks for them. */
const startIssuers = async () => {
  const keys = ALGORITHMS.map((alg) => makeKey(alg, alg.toLowerCase()));
  const { issuer, audience, url, token, stop } = await startIssuer(keys);
  return {
    issuers: keys.map(({ alg, kid, privateKey }) => ({ issuer, audience, alg, kid, privateKey })),
    environment: { JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_JWKS_URL: url },
    token,
    stop,
  };
};

/** A whole Holdfast in this process, on a database and a Redis of its own, until the test file is over. */
export const startOwn = async (environment: Readonly<Record<string, string>> = {}): Promise<Target> => {
  const [database, redis, tokens] = await Promise.all([createDatabase({ migrated: true }), startRedis(), startIssuers()]);
  const key = `wire_${randomBytes(16).toString("hex")}`;
  const scopedKeys = await makeScopedKeys(database);
  const folder = await mkdtemp(join(tmpdir(), "holdfast-wire-")), keyring = join(folder, "keyring.json");
  writeKeyring(keyring);
  // A quiet installation: what a busy machine makes slow is not the wire's matter, so a store and every answer of the cache may take their time.
  const { url, stop } = await start("all", {
    DATABASE_URL: database, REDIS_URL: patientRedis(redis.url), PORT: "0", LOG_LEVEL: "silent", BOOTSTRAP_API_KEY: key, SYNC_BUDGET_MS: String(PATIENCE), KEYRING_FILE: keyring,
    ...tokens.environment, ...environment,
  }, { shortestDeadlineMilliseconds: PATIENCE });
  // A start waits a few seconds for its relay; on a slow machine a purge may come later, and takes out what was put in.
  // Sessions have a connection of their own, and the start waits for no issuer: one that was slow to answer is asked again after 10 s.
  const ask = (path: string, by: string) => fetch(`${url}${path}`, { headers: { authorization: `Bearer ${by}` } });
  await eventually(async () => {
    expect(await (await ask("/ops/stats", key)).json()).toMatchObject({ breaker: "closed" });
    expect((await ask("/v1/sessions/nobodys", key)).status).toBe(404);
    expect((await ask("/v1/nothing", tokens.token())).status).toBe(404);
  }, { within: 40_000 });
  afterAll(async () => {
    await stop();
    await Promise.all([redis.stop(), tokens.stop()]);
    await dropDatabase(database);
    await rm(folder, { recursive: true });
  });
  return { url: url!, key, limitedKey: scopedKeys["catalog:read"], scopedKeys, issuers: tokens.issuers };
};
