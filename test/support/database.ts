import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import { administer, databaseUrl } from "./administer.ts";

/** The URL of a fresh database on the server of this run: empty, or with every migration and an installation of 64 partitions. */
export const createDatabase = async ({ migrated = false }: { readonly migrated?: boolean } = {}): Promise<string> => {
  const server = inject("postgresUrl"), name = `test_${randomUUID().replaceAll("-", "")}`;
  await administer(server, `create database ${name} ${migrated ? `template ${inject("migratedDatabase")}` : ""}`);
  return databaseUrl(server, name);
};

/** Breaks off who is still connected. */
export const dropDatabase = (url: string): Promise<void> =>
  administer(inject("postgresUrl"), `drop database if exists ${new URL(url).pathname.slice(1)} with (force)`);
