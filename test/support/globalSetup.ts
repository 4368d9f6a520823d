import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Effect } from "effect";
import type { TestProject } from "vitest/node";
import { Log } from "../../src/domain/observe/Log.ts";
import { writeKeyring } from "../../src/infrastructure/crypto/keyringFile.ts";
import { migrate } from "../../src/infrastructure/postgres/migrate.ts";
import { administer, databaseUrl } from "./administer.ts";
import { startPostgres } from "./postgres.ts";
import { findRedis, type RedisWay } from "./redisWays.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly postgresUrl: string;
    /** The name of a database that nobody connects to, with every migration in it: what `createDatabase({ migrated: true })` clones. */
    readonly migratedDatabase: string;
    readonly redisWay: RedisWay;
    /** The keyring of every Holdfast that is started without one of its own. */
    readonly keyringFile: string;
  }
}

const silent = Log.of({ debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined });

/** One Postgres for the whole run, in which every test makes databases of its own, and the way in which every test starts its Redis. */
export default async (project: TestProject) => {
  // Nobody kills this one, and a slow disk would make the statements of all tests late.
  const [redisWay, postgres] = await Promise.all([findRedis(), startPostgres({ settings: { fsync: "off" } })]);
  const migrated = `migrated_${randomUUID().replaceAll("-", "")}`;
  await administer(postgres.url, `create database ${migrated}`);
  await Effect.runPromise(migrate(databaseUrl(postgres.url, migrated), { partitions: 64, log: silent }));
  // Its clones are no new lives.
  await administer(databaseUrl(postgres.url, migrated), "update database_epochs set place = null");
  const folder = await mkdtemp(join(tmpdir(), "holdfast-keyring-")), keyring = join(folder, "keyring.json");
  writeKeyring(keyring);
  project.provide("keyringFile", keyring);
  project.provide("redisWay", redisWay);
  project.provide("postgresUrl", postgres.url);
  project.provide("migratedDatabase", migrated);
  return async () => {
    await administer(postgres.url, `drop database if exists ${migrated} with (force)`);
    await postgres.stop();
    await rm(folder, { recursive: true });
  };
};
