import { cacheStatus } from "./cacheStatus.ts";
import { concurrently } from "./concurrently.ts";
import { explain } from "./explain.ts";
import type { Run } from "./Run.ts";

/** One pass over all entities of a kind, by what the source calls them. */
export interface ReadBack<T> {
  readonly entities: ReadonlyMap<string, T>;
  /** Why an entity could not be read. */
  readonly unread: ReadonlyMap<string, string>;
  /** How many answers bore which `Cache-Status`. */
  readonly cacheStatuses: ReadonlyMap<string, number>;
  readonly took: readonly number[];
  readonly seconds: number;
}

/**
 * A plain GET sends no `Consistency-Token`: it sees what any other reader sees. With `fromDatabase` the cache is passed
 * by and refreshed, so that pass comes second.
 */
export async function readBack<T>(
  label: string,
  paths: ReadonlyMap<string, string>,
  fromDatabase: boolean,
  decode: (body: unknown) => T | null,
  { client, halt, progress }: Run,
): Promise<ReadBack<T>> {
  const entities = new Map<string, T>();
  const unread = new Map<string, string>();
  const cacheStatuses = new Map<string, number>();
  const took: number[] = [];
  const start = performance.now();

  progress.stage(`reading ${label}`, paths.size);
  await concurrently(paths, halt, async ([name, path]) => {
    const answer = await client.read(path, fromDatabase, took);
    const entity = answer.status === 200 ? decode(answer.body) : null;
    if (entity === null) unread.set(name, explain(answer)[0]);
    else entities.set(name, entity);
    const status = cacheStatus(answer.headers.get("cache-status"));
    cacheStatuses.set(status, (cacheStatuses.get(status) ?? 0) + 1);
    progress.tick();
  });
  return { entities, unread, cacheStatuses, took, seconds: (performance.now() - start) / 1_000 };
}
