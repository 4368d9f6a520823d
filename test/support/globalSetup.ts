import type { TestProject } from "vitest/node";
import { startPostgres } from "./postgres.ts";
import { findRedis, type RedisWay } from "./redisWays.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly postgresUrl: string;
    readonly redisWay: RedisWay;
  }
}

/** One Postgres for the whole run, in which every test makes databases of its own, and the way in which every test starts its Redis. */
export default async (project: TestProject) => {
  const [redisWay, postgres] = await Promise.all([findRedis(), startPostgres()]);
  project.provide("redisWay", redisWay);
  project.provide("postgresUrl", postgres.url);
  return postgres.stop;
};
