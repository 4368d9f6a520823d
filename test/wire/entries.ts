import { expect } from "vitest";
import { cacheStatus, CHANGE, UNCHANGED } from "./cacheStatus.ts";
import { type Answer, call } from "./client.ts";

export type KindName = "product" | "order" | "customer";

/** Of answers to requests of the same moment, whose order means nothing. */
export const statuses = (answers: ReadonlyArray<Answer>): Array<number> => answers.map((answer) => answer.status).sort((a, b) => a - b);

export const token = (answer: Answer): string => answer.headers.get("consistency-token") ?? "";
export const withToken = (answer: Answer) => ({ "consistency-token": token(answer) });

/**
 * Once in thousands of creations the relay settles the event before the service has stored it, and takes the lease away: the answer then does not say `stored`, and
 * the next read fills. Where a test goes on from an entry, that read is made here.
 */
export const standing = async (created: Answer, path: string): Promise<void> => {
  if (!(created.headers.get("cache-status") ?? "").includes("stored")) await call("GET", path);
};

/** Makes the next read of that entity a miss. */
export const evictEntry = async (kind: KindName, id: string): Promise<void> => {
  const answer = await call("DELETE", `/ops/entries/${kind}/${id}`);
  expect(answer.status, answer.text).toBe(204);
};

/** What `/ops/entries` explains of one entity. */
export const explain = async (kind: KindName, id: string): Promise<any> => {
  const answer = await call("GET", `/ops/entries/${kind}/${id}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
};

/** Whether the relay was before the store of the entity's creation, and that one then found its lease gone: by the word of the process that answers. */
export const isLeaseBroken = async (kind: KindName, id: string): Promise<boolean> => {
  const moves = (await explain(kind, id)).transitions.map(({ by, outcome }: any) => `${by}: ${outcome}`);
  return moves.includes("settle: lease broken") && moves.includes("store: absent");
};

/** The answer to a creation says that the cache has it, unless the relay was before; afterwards it is there in any case. */
export const expectStored = async (created: Answer, kind: KindName, path: string): Promise<void> => {
  expect(cacheStatus(created)).toEqual((await isLeaseBroken(kind, created.json.id)) ? UNCHANGED : CHANGE);
  await standing(created, path);
};

export const eventsOf = async (path: string): Promise<Array<any>> => {
  const answer = await call("GET", `${path}/events?limit=200`);
  expect(answer.status, answer.text).toBe(200);
  return answer.json.items;
};

export const versionsOf = async (path: string): Promise<Array<number>> => (await eventsOf(path)).map((event) => event.versionId);
