import { once } from "node:events";
import { connect, createServer } from "node:net";
import pg from "pg";
import { afterEach, describe, expect, inject, test, vi } from "vitest";
import { createDatabase, dropDatabase } from "./database.ts";
import { eventually } from "./eventually.ts";
import { startPostgres } from "./postgres.ts";
import { freePort, startProcess } from "./processes.ts";
import { startProxy } from "./proxy.ts";
import { startRedis } from "./redis.ts";
import { firstWay } from "./servers.ts";

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const step of undo.splice(0).reverse()) await step();
});
const later = <A extends { stop: () => Promise<unknown> }>(server: A): A => {
  undo.push(server.stop);
  return server;
};

const query = async (url: string, text: string) => {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    void client.end().catch(() => undefined);
  }
};

/** Whether it still does not answer after a time in which it would have. */
const isSilent = (answer: Promise<unknown>) => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  answer.then(() => resolve(false), () => resolve(false));
  setTimeout(() => resolve(true), 200);
  return promise;
};

test("every database of a test is its own, and goes while somebody is still connected", async () => {
  const [one, two] = [await createDatabase(), await createDatabase()];
  await query(one, "create table only_here ()");
  await expect(query(two, "select from only_here")).rejects.toThrow("does not exist");
  const client = new pg.Client({ connectionString: one });
  client.on("error", () => undefined);
  await client.connect();
  for (const url of [one, two]) await dropDatabase(url);
  await expect(query(one, "select 1")).rejects.toThrow("does not exist");
});

describe("a Redis of a test's own", () => {
  test("is forgotten by kill -9, and starts again on its port", async () => {
    const redis = later(await startRedis());
    expect(await redis.cli("SET", "key", 1)).toBe("OK");
    await redis.kill();
    await expect(redis.cli("PING")).rejects.toThrow();
    await redis.start();
    expect(await redis.cli("GET", "key")).toBeNull();
  });

  test("keeps what it answered, if asked to", async () => {
    const redis = later(await startRedis({ persistent: true }));
    await redis.cli("SET", "key", "value");
    await redis.kill();
    await redis.start();
    expect(await redis.cli("GET", "key")).toBe("value");
  });

  test("answers nothing while it is frozen", async () => {
    const redis = later(await startRedis());
    await redis.freeze();
    const answer = redis.cli("PING").catch(() => "cut off");
    expect(await isSilent(answer)).toBe(true);
    await redis.thaw();
    expect(["PONG", "cut off"]).toContain(await answer);
    expect(await redis.cli("PING")).toBe("PONG");
  });

  test.skipIf(inject("redisWay").kind === "given")("takes settings of its own", async () => {
    const redis = later(await startRedis({ args: ["--maxmemory", "3mb"], config: "maxmemory-policy volatile-lru" }));
    expect(await redis.cli("CONFIG", "GET", "maxmemory*")).toEqual(expect.arrayContaining(["3145728", "volatile-lru"]));
  });

  test.skipIf(inject("redisWay").kind !== "binary")("ends with the process that started it", async () => {
    const port = await freePort();
    const way = JSON.stringify(inject("redisWay"));
    const program = `import { openSync } from "node:fs";
      import { spawnWatched } from ${JSON.stringify(import.meta.resolve("../../src/infrastructure/embedded/watched.ts"))};
      const { server, env } = ${way};
      const { child } = spawnWatched(server, ["--port", "${port}", "--save", ""], { signal: "KILL", scratch: "", output: openSync("/dev/null", "w"), env: { ...process.env, ...env } });
      console.log("server " + child.pid);`;
    const owner = startProcess(process.execPath, ["--input-type=module", "--eval", program]);
    const pid = await eventually(() => /server (\d+)/u.exec(owner.output())?.[1] ?? false);
    const accepts = async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.destroy();
    };
    await eventually(accepts);
    owner.kill("SIGKILL");
    await eventually(() => {
      expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
    });
    await expect(accepts()).rejects.toThrow("ECONNREFUSED");
  });
});

test.skipIf(process.env.TEST_DATABASE_URL !== undefined)("a Postgres that was frozen, killed and started again has what was committed", async () => {
  const postgres = later(await startPostgres());
  await query(postgres.url, "create table kept as select 1 as one");
  await postgres.freeze();
  expect(await isSilent(query(postgres.url, "select 1"))).toBe(true);
  await postgres.thaw();
  await postgres.kill();
  await expect(query(postgres.url, "select 1")).rejects.toThrow();
  await postgres.start();
  expect(await eventually(() => query(postgres.url, "select one from kept"))).toEqual([{ one: 1 }]);
});

describe("a proxy", () => {
  const echo = async () => {
    const received: string[] = [];
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (bytes) => {
        received.push(String(bytes));
        socket.write(bytes);
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    undo.push(async () => server.close());
    const proxy = later(await startProxy({ host: "127.0.0.1", port: (server.address() as { port: number }).port }));
    return { proxy, received };
  };
  const dial = async (port: number) => {
    const socket = connect(port, "127.0.0.1");
    const heard: string[] = [];
    const fate = new Promise<string>((resolve) => socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code!)));
    socket.on("data", (bytes) => heard.push(String(bytes)));
    undo.push(async () => socket.destroy());
    await Promise.race([once(socket, "connect"), fate]);
    return { socket, heard, fate };
  };

  test("cuts what is open and refuses what is new, until it is restored", async () => {
    const { proxy } = await echo();
    const open = await dial(proxy.port);
    open.socket.write("a");
    await eventually(() => open.heard.join("") === "a");
    await proxy.cut();
    expect(await open.fate).toBe("ECONNRESET");
    expect(await (await dial(proxy.port)).fate).toBe("ECONNREFUSED");
    await proxy.restore();
    const next = await dial(proxy.port);
    next.socket.write("b");
    await eventually(() => next.heard.join("") === "b");
  });

  test("lets requests through and swallows the answers", async () => {
    const { proxy, received } = await echo();
    const { socket, heard, fate } = await dial(proxy.port);
    proxy.blackhole("answers");
    socket.write("request");
    await eventually(() => received.join("") === "request");
    // Once this has arrived, the answer to the first is swallowed: it came to the proxy before.
    socket.write(", again");
    await eventually(() => received.join("") === "request, again");
    await proxy.restore();
    expect(await fate).toBe("ECONNRESET");
    expect(heard).toEqual([]);
  });

  test("swallows both ways while connections stay", async () => {
    const { proxy, received } = await echo();
    proxy.blackhole();
    const { socket } = await dial(proxy.port);
    socket.write("lost");
    expect(await isSilent(once(socket, "data"))).toBe(true);
    expect(received).toEqual([]);
  });

  test("delays both ways, in order", async () => {
    const { proxy } = await echo();
    const { socket, heard } = await dial(proxy.port);
    proxy.delay(30);
    const began = performance.now();
    for (const part of ["one ", "two ", "three"]) socket.write(part);
    await eventually(() => heard.join("") === "one two three");
    // A timer may fire a millisecond early.
    expect(performance.now() - began).toBeGreaterThanOrEqual(58);
  });
});

test("whoever has no server at all is told what was tried and what to do", async () => {
  vi.stubEnv("TEST_SERVERS", undefined);
  const ways = (["given", "docker"] as const).map((name) => ({ name, start: () => Promise.reject(new Error(`no ${name}`)) }));
  await expect(firstWay("Redis", ways, "Install it.")).rejects.toThrow("none of these ways led to one:\n- given: no given\n- docker: no docker\nInstall it.");
});

test("waiting for a condition ends with the last error of its check", async () => {
  let tries = 0;
  await expect(eventually(() => Promise.reject(new Error(`try ${++tries}`)), { within: 50 })).rejects.toThrow(/^try \d+$/u);
  expect(tries).toBeGreaterThan(1);
});
