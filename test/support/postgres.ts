import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbeddedPostgres } from "../../src/infrastructure/embedded/EmbeddedPostgres.ts";
import { eventually } from "./eventually.ts";
import { freePort, freezeFamily, thawFamily, untilGone } from "./processes.ts";
import { docker, firstWay } from "./servers.ts";

export type PostgresServer = {
  /** Of a superuser or of one who may create databases. */
  readonly url: string;
  readonly freeze: () => Promise<void>;
  readonly thaw: () => Promise<void>;
  /** As kill -9 does it. */
  readonly kill: () => Promise<void>;
  /** Again, on the same port, with what was committed. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

const image = "postgres:18-alpine";

// fsync stays on: what these servers are killed for is to show that what was acknowledged is there.
const defaults = { max_connections: "300", shared_buffers: "128MB", fsync: "on" };

const startGiven = async (): Promise<PostgresServer> => {
  const url = process.env.TEST_DATABASE_URL;
  if (url === undefined) throw new Error("TEST_DATABASE_URL is not set");
  const refuse = () => Promise.reject(new Error("The server of TEST_DATABASE_URL is not the tests' own: put a proxy before it (startProxy)."));
  return { url, freeze: refuse, thaw: refuse, kill: refuse, start: refuse, stop: async () => undefined };
};

const greet = async (url: string) => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  await client.connect();
  await client.end();
};

const startDocker = async (settings: Record<string, string>): Promise<PostgresServer> => {
  const { container, Wait, byId } = await docker(image);
  const port = await freePort();
  const ready = /database system is ready to accept connections/u;
  const started = await container
    .withEnvironment({ POSTGRES_PASSWORD: "holdfast" })
    // A fixed port: Docker would give another one after a kill.
    .withExposedPorts({ container: 5432, host: port })
    .withCommand(["postgres", ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])])
    // The image starts the server once to fill it, and then in earnest.
    .withWaitStrategy(Wait.forLogMessage(ready, 2))
    .start();
  const handle = byId(started.getId());
  const url = `postgres://postgres:holdfast@${started.getHost()}:${port}/postgres?sslmode=disable`;
  await eventually(() => greet(url), { within: 10_000 });
  return {
    url,
    freeze: async () => void (await handle.pause()),
    thaw: async () => void (await handle.unpause()),
    kill: async () => void (await handle.kill()),
    start: async () => {
      await handle.start();
      await eventually(() => greet(url), { within: 20_000 });
    },
    stop: async () => void (await started.stop({ timeout: 0 })),
  };
};

const startEmbedded = async (settings: Record<string, string>): Promise<PostgresServer> => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-postgres-test-"));
  // mkdtemp makes it its maker's alone, and root hands the server to another account.
  await chmod(folder, 0o755);
  const port = await freePort();
  const start = () => startEmbeddedPostgres({ folder, persistent: false, settings, port });
  let server = await start();
  const { url } = server;
  return {
    url,
    freeze: () => freezeFamily(server.pid),
    thaw: () => thawFamily(server.pid),
    kill: async () => {
      server.kill("SIGKILL");
      await untilGone(server.pid);
    },
    start: async () => void (server = await start()),
    stop: async () => {
      // One that a failed test left frozen would never hear of it; one that was killed has nobody to thaw.
      await thawFamily(server.pid).catch(() => undefined);
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
};

export const startPostgres = ({ settings = {} }: { settings?: Record<string, string> } = {}): Promise<PostgresServer> => {
  const all = { ...defaults, ...settings };
  return firstWay<PostgresServer>(
    "Postgres",
    [
      { name: "given", start: startGiven },
      { name: "docker", start: () => startDocker(all) },
      { name: "local", start: () => startEmbedded(all) },
    ],
    "Install with optional dependencies (npm install), start Docker, or set TEST_DATABASE_URL to a server on which databases may be created.",
  );
};
