import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

export type WayName = "given" | "docker" | "local" | "debian";
export type Way<A> = { readonly name: WayName; readonly start: () => Promise<A> };

/** TEST_SERVERS forces one way; a way that a server does not have (Debian for Postgres) leaves its choice open. */
export const firstWay = async <A>(what: string, ways: readonly Way<A>[], remedy: string): Promise<A> => {
  const forced = ways.filter(({ name }) => name === process.env.TEST_SERVERS);
  const failures: string[] = [];
  for (const way of forced.length > 0 ? forced : ways) {
    try {
      return await way.start();
    } catch (error) {
      failures.push(`- ${way.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`The tests need a ${what}, and none of these ways led to one:\n${failures.join("\n")}\n${remedy}`);
};

const within = async <A>(ms: number, what: string, work: Promise<A>): Promise<A> => {
  const timer = new AbortController();
  const late = delay(ms, undefined, { signal: timer.signal }).then(() => Promise.reject(new Error(`${what} took over ${ms / 1000} s`)));
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
};

const sockets = () => [
  "/var/run/docker.sock",
  `${process.env.XDG_RUNTIME_DIR}/docker.sock`,
  `${process.env.HOME}/.docker/run/docker.sock`,
  `${process.env.HOME}/.docker/desktop/docker.sock`,
];

/** testcontainers, with the image at hand. Fails soon where no daemon answers, and after a minute where the image does not come. */
export const docker = async (image: string) => {
  // Before the library is loaded, which takes a second.
  if (process.env.DOCKER_HOST === undefined && !sockets().some(existsSync)) throw new Error("there is no Docker socket");
  const { getContainerRuntimeClient, ImageName, GenericContainer, Wait } = await import("testcontainers");
  const client = await within(3_000, "an answer of the Docker daemon", getContainerRuntimeClient());
  const name = ImageName.fromString(image);
  if (!(await client.image.exists(name))) await within(60_000, `docker pull ${image}`, client.image.pull(name));
  return {
    container: new GenericContainer(image).withStartupTimeout(30_000),
    Wait,
    byId: (id: string) => client.container.getById(id),
  };
};
