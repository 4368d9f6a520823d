import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { debianRedis } from "./debian.ts";
import { docker, firstWay } from "./servers.ts";

const run = promisify(execFile);

/** How this run gets its Redis servers: plain data, for the global setup finds it once and hands it to every worker. */
export type RedisWay =
  | { readonly kind: "given"; readonly url: string }
  | { readonly kind: "docker"; readonly image: string }
  | { readonly kind: "binary"; readonly server: string; readonly env: Readonly<Record<string, string>> };

const image = "redis:7-alpine";

const answersVersion = async (server: string, env: Record<string, string> = {}): Promise<RedisWay> => {
  await run(server, ["--version"], { env: { ...process.env, ...env } });
  return { kind: "binary", server, env };
};

export const findRedis = (): Promise<RedisWay> =>
  firstWay<RedisWay>(
    "Redis",
    [
      {
        name: "given",
        start: async () => {
          const url = process.env.TEST_REDIS_URL;
          if (url === undefined) throw new Error("TEST_REDIS_URL is not set");
          return { kind: "given", url };
        },
      },
      {
        name: "docker",
        start: async () => {
          const { container } = await docker(image);
          // An image may be had and its containers still not start, or the one that cleans up after them.
          await (await container.start()).stop();
          return { kind: "docker", image };
        },
      },
      { name: "local", start: () => answersVersion("redis-server") },
      {
        name: "debian",
        start: async () => {
          const { server, env } = await debianRedis();
          return answersVersion(server, env);
        },
      },
    ],
    "Install redis-server, start Docker, or set TEST_REDIS_URL to a Redis whose data may be deleted.",
  );
