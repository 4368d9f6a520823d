import { setTimeout as delay } from "node:timers/promises";
import type { Member } from "./Member.ts";
import type { Seeded } from "./seeded.ts";

export const KEY = "chaos_harness_of_holdfast_has_every_scope";

export type Answer = { readonly status: number; readonly version: number | null; readonly token: string | null; readonly source: string; readonly replayed: boolean; readonly text: string; readonly body: any; readonly by: string };
export type Asked = { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> };

// Longer than a lease lives is too long for a client to wait for a process that was stopped.
const PATIENCE_MS = 4_000;

/** One request to one process; null where no answer came. */
export const ask = async (member: Member, method: string, path: string, { body, headers }: Asked = {}, patience = PATIENCE_MS): Promise<Answer | null> => {
  const url = member.url();
  if (url === null) return null;
  try {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${KEY}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(patience),
    });
    const text = await response.text(), etag = /^"(\d+)/u.exec(response.headers.get("etag") ?? "");
    return {
      status: response.status,
      version: etag === null ? null : Number(etag[1]),
      token: response.headers.get("consistency-token"),
      source: response.headers.get("cache-status") ?? "",
      replayed: response.headers.has("idempotency-replayed"),
      text,
      body: text.startsWith("{") ? JSON.parse(text) : undefined,
      by: member.name,
    };
  } catch {
    return null;
  }
};

type Problem = { readonly type?: string };
export const problemOf = ({ body }: Answer) => (body as Problem | undefined)?.type?.replace("/problems/", "") ?? "";

/** Whether it says what became of a change; of any other answer, and of none, the change may have happened or may happen yet. */
export const isOutcome = (answer: Answer) => answer.status !== 503 && problemOf(answer) !== "idempotency-key-in-flight";

/** A process that is ready, if there is one at the moment. */
export const anyOf = async (members: readonly Member[], random: Seeded): Promise<Member> => {
  const ready = members.filter((member) => member.url() !== null);
  if (ready.length === 0) await delay(50);
  return random.pick(ready.length > 0 ? ready : members);
};

/** An answer with this status, by whichever process gives one. */
export const insist = async (members: readonly Member[], random: Seeded, method: string, path: string, asked: Asked, good: readonly number[], withinMs = 60_000): Promise<Answer> => {
  const end = performance.now() + withinMs;
  for (;;) {
    const answer = await ask(await anyOf(members, random), method, path, asked, 10_000);
    if (answer !== null && good.includes(answer.status)) return answer;
    if (performance.now() > end) throw new Error(`${method} ${path} was answered ${answer === null ? "not at all" : `${answer.status} ${answer.text}`}`);
    await delay(100);
  }
};
