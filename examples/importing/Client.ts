import { setTimeout as delay } from "node:timers/promises";
import { isRecord } from "./isRecord.ts";
import type { Change } from "./Change.ts";
import { isTransient, MOST_ATTEMPTS, retryDelayMs } from "./retryPolicy.ts";

/** The service waits up to 2 s for a key in flight; this is far above all that it does on purpose. */
const TIMEOUT_MS = 15_000;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** null if it is not JSON. */
  readonly body: unknown;
  /** The name of the problem; null if the answer is none. */
  readonly problem: string | null;
  /** The first answer to this key, given again. */
  readonly replayed: boolean;
}

/** No answer that settles the request, however often it was asked. Whether it was done is unknown. */
export class GaveUp extends Error {
  override readonly name = "GaveUp";
}

/**
 * `took` collects how long the answers took in ms, each attempt for itself: waiting between attempts is not the
 * service's time.
 */
export interface Client {
  readonly change: (change: Change, took: number[]) => Promise<Answer>;
  readonly read: (path: string, fromDatabase: boolean, took: number[]) => Promise<Answer>;
  /** How many attempts were repeated. */
  readonly retries: () => number;
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

/** `halted` ends the waiting between attempts; a request under way is let finish, so that its answer is counted. */
export function openClient(url: string, key: string, halted: AbortSignal): Client {
  const authorization = `Bearer ${key}`;
  const origin = url.replace(/\/+$/, "");
  let retries = 0;

  async function attempt({ method, path, headers, body }: Request, took: number[]): Promise<Answer> {
    const start = performance.now();
    const response = await fetch(origin + path, {
      method,
      headers: { authorization, ...headers },
      ...(body === undefined ? {} : { body }),
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    took.push(performance.now() - start);
    const json = parseJson(text);
    const { status, headers: answered } = response;
    const replayed = answered.get("idempotency-replayed") === "true";
    return { status, headers: answered, text, body: json, problem: problemOf(status, json), replayed };
  }

  async function settle(request: Request, took: number[]): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      let retryAfter: string | null = null;
      let outcome: string;
      try {
        const answer = await attempt(request, took);
        if (!isTransient(answer)) return answer;
        retryAfter = answer.headers.get("retry-after");
        outcome = `${answer.status} ${answer.problem ?? ""}`.trim();
      } catch (error) {
        outcome = connectionError(error);
      }
      if (tries === MOST_ATTEMPTS) throw new GaveUp(`the service does not settle a request: ${outcome}, ${tries} times`);
      if (halted.aborted) throw new GaveUp(`${outcome}, then broken off`);
      retries++;
      const wait = retryDelayMs(tries, retryAfter, Date.now(), Math.random());
      await delay(wait, undefined, { signal: halted }).catch(() => {
        throw new GaveUp(`${outcome}, then broken off`);
      });
    }
  }

  return {
    retries: () => retries,
    change: ({ method, path, body, idempotencyKey }, took) => settle({
      method,
      path,
      body,
      headers: {
        "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
        ...(idempotencyKey === null ? {} : { "idempotency-key": idempotencyKey }),
      },
    }, took),
    read: (path, fromDatabase, took) => settle({
      method: "GET",
      path,
      headers: fromDatabase ? { "cache-control": "no-cache" } : {},
    }, took),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** `/problems/sku-taken` → `sku-taken`. */
function problemOf(status: number, body: unknown): string | null {
  if (status < 400) return null;
  const type = isRecord(body) && typeof body.type === "string" ? body.type : "";
  return type.split("/").at(-1) || null;
}

/** `fetch` says "fetch failed" and hides what failed in the cause. */
function connectionError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (isRecord(cause) && typeof cause.code === "string") return cause.code;
  return error.name === "TimeoutError" ? "no answer in time" : error.message;
}
