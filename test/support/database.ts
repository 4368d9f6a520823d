import { randomUUID } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";

const administer = async (statement: string): Promise<void> => {
  const client = new pg.Client({ connectionString: inject("postgresUrl") });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
};

/** The URL of a fresh, empty database on the server of this run. */
export const createDatabase = async (): Promise<string> => {
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await administer(`create database ${name}`);
  const url = new URL(inject("postgresUrl"));
  url.pathname = `/${name}`;
  return url.href;
};

/** Breaks off who is still connected. */
export const dropDatabase = (url: string): Promise<void> => administer(`drop database if exists ${new URL(url).pathname.slice(1)} with (force)`);
