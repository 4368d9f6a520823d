import { Context, Effect, Layer, ManagedRuntime } from "effect";
import pg from "pg";
import { inject } from "vitest";
import { ApiKeys, type Scope } from "../../src/domain/access/ApiKeys.ts";
import type { Kind } from "../../src/domain/Kind.ts";
import { kinds as allKinds } from "../../src/domain/kinds/kinds.ts";
import { Log } from "../../src/domain/observe/Log.ts";
import { Apps } from "../../src/http/app.ts";
import { type Environment, readConfiguration } from "../../src/infrastructure/configuration/readConfiguration.ts";
import { layerServices } from "../../src/infrastructure/live.ts";
import { createDatabase, dropDatabase } from "./database.ts";
import { keptLog } from "./services.ts";

export const KEY = "tests_of_the_interface_of_holdfast_01";

/** The HTTP interface over a database of its own and the memory cache, without a server, until it is stopped. */
export const openApps = async ({ opsPort = false, environment = {}, kinds = allKinds }: { readonly opsPort?: boolean; readonly environment?: Environment; readonly kinds?: readonly Kind[] } = {}) => {
  const database = await createDatabase({ migrated: true });
  const configured = readConfiguration({ DATABASE_URL: database, KEYRING_FILE: inject("keyringFile"), CACHE_PROVIDER: "memory", BOOTSTRAP_API_KEY: KEY, ...environment }, "all");
  const running = { ...configured, DATABASE_URL: database, KEYRING_FILE: configured.KEYRING_FILE!, embedded: false };
  const { log, lines } = keptLog();
  const runtime = ManagedRuntime.make(Apps.layer(kinds, { opsPort }).pipe(Layer.provideMerge(layerServices(running, kinds)), Layer.provideMerge(Layer.succeed(Log, log))));
  const context = await runtime.context();
  const { main, ops, closeStreams } = Context.get(context, Apps);
  const pool = new pg.Pool({ connectionString: database, max: 1 });
  return {
    main,
    ops,
    lines,
    /** With the key that has every scope; `null` sends none. */
    call: async (method: string, path: string, { key = KEY, ...init }: Omit<RequestInit, "headers"> & { readonly key?: string | null; readonly headers?: Readonly<Record<string, string>> } = {}) => {
      const type = init.body === undefined ? {} : { "content-type": "application/json" };
      return main.request(path, { method, ...init, headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...type, ...init.headers } });
    },
    keyWith: async (scopes: readonly string[]) => (await Effect.runPromise(Context.get(context, ApiKeys).create("test", scopes as readonly Scope[]))).text,
    query: async (text: string, values: unknown[] = []): Promise<any[]> => (await pool.query(text, values)).rows,
    stop: async () => {
      closeStreams();
      await runtime.dispose();
      await pool.end();
      await dropDatabase(database);
    },
  };
};
export type TestApps = Awaited<ReturnType<typeof openApps>>;
