import type { Answer } from "./Client.ts";

/** With the delays below this waits out a restart of half a minute. */
export const MOST_ATTEMPTS = 14;

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;
/** A service that asks for more is not waited for; the import can be run again. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * Answers that speak of the moment, not of the request. A 409 is a refusal unless the first request under the same key
 * is still running; 503 covers a lost reply to the commit, where the key finds out what became of it.
 */
export function isTransient({ status, problem }: Pick<Answer, "status" | "problem">): boolean {
  if (status === 409) return problem === "idempotency-key-in-flight";
  return [408, 429, 502, 503, 504].includes(status);
}

/**
 * Doubles from 100 ms to 5 s, of which the upper half is left to chance so that sixteen requests refused together do
 * not come back together; never less than `Retry-After`. `attempt` counts from 1, `random` is in [0, 1).
 */
export function retryDelayMs(attempt: number, retryAfter: string | null, now: number, random: number): number {
  const ceiling = Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), LONGEST_DELAY_MS);
  const jittered = ceiling / 2 + (ceiling / 2) * random;
  return retryAfterMs(retryAfter, now) + jittered;
}

/** `Retry-After` is a number of seconds or a date. */
export function retryAfterMs(header: string | null, now: number): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS) : 0;
}
