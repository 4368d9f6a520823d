import { chmod, mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEmbeddedPostgres } from "../src/infrastructure/embedded/EmbeddedPostgres.ts";
import { start, type Started } from "../src/start.ts";

const folder = async () => {
  const made = await mkdtemp(join(tmpdir(), "holdfast-embedded-"));
  // mkdtemp makes it its maker's alone, and root hands the server to another account.
  await chmod(made, 0o755);
  return made;
};

/** With a Host of one's own, which fetch would not send. */
const ask = (url: string, path: string, key: string, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(`${url}${path}`, { headers: { authorization: `Bearer ${key}`, host } }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    }).on("error", reject).end();
  });

describe("with nothing configured", () => {
  let home: string, one: Started, port: string;
  const before = process.cwd();
  beforeAll(async () => {
    home = await folder();
    process.chdir(home);
    one = await start("all", { PORT: "0", LOG_LEVEL: "silent" });
    port = new URL(one.url!).port;
  });
  afterAll(async () => {
    await one.stop();
    process.chdir(before);
    await rm(home, { recursive: true, force: true });
  });

  test("a database of its own is made and migrated, and the key dev has every scope on this machine", async () => {
    for (const name of ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"]) {
      for (const host of [name, `${name}:${port}`]) {
        for (const path of ["/v1/products?limit=1", "/ops/stats", "/metrics"]) expect(await ask(one.url!, path, "dev", host), `${host} ${path}`).toBe(200);
      }
    }
  });

  test.each(["example.org", "localhost.example.org", "127.0.0.2"])("the key dev is nobody's when the Host is %s", async (host) => {
    expect(await ask(one.url!, "/v1/products?limit=1", "dev", host)).toBe(401);
  });

  test("what is written is read again after the process has ended and another begins", async () => {
    const headers = { authorization: "Bearer dev", "content-type": "application/json" };
    const body = JSON.stringify({ sku: "kept", name: "Lamp", price: { amount: 1, currency: "EUR" }, stock: 1 });
    const made = await (await fetch(`${one.url}/v1/products`, { method: "POST", headers, body })).json() as { id: string };
    await one.stop();
    one = await start("all", { PORT: "0", LOG_LEVEL: "silent" });
    expect(await (await fetch(`${one.url}/v1/products/${made.id}`, { headers })).json()).toMatchObject({ sku: "kept", versionId: 1 });
  });
});

test("a database of its own that cannot be migrated is stopped again, and the start says why", async () => {
  const home = await folder();
  const options = { folder: home, persistent: true } as const;
  const earlier = await startEmbeddedPostgres(options);
  const client = new pg.Client({ connectionString: earlier.url });
  await client.connect();
  await client.query("create table schema_migrations (number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now())");
  await client.query("insert into schema_migrations values (1, '0001', 'of another text')");
  await client.end();
  await earlier.stop();
  await expect(start("all", { HOLDFAST_FOLDER: home, PORT: "0", LOG_LEVEL: "silent" })).rejects.toThrow("was changed after it was applied");
  // Its folder can be used at once.
  await (await startEmbeddedPostgres(options)).stop();
  await rm(home, { recursive: true, force: true });
});

test("beyond the loopback the key dev is nobody's, whatever the Host", async () => {
  const home = await folder(), one = await start("all", { PORT: "0", HOST: "0.0.0.0", LOG_LEVEL: "silent", HOLDFAST_FOLDER: home });
  for (const host of ["localhost", "127.0.0.1"]) expect(await ask(`http://127.0.0.1:${new URL(one.url!).port}`, "/v1/products?limit=1", "dev", host)).toBe(401);
  await one.stop();
  await rm(home, { recursive: true, force: true });
});
