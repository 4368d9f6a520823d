import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Stand } from "../Fault.ts";
import { ask } from "../requests.ts";
import type { Play } from "./Play.ts";

const NEW_LIFE_MS = 20_000, READING_MS = 3_000;
/** So long after its first connection to the new server a process asks the old one no more. */
const LEARNT_MS = 1_000;
/** Commands, of which so many at once want more connections than stand. */
const AT_ONCE = 12;

/**
 * One process is led to the old primary still, where the product has a version that is lost. It has no other truth, and answers from it; but what it reads there
 * must not come into the cache. Then its new connections lead to the new primary, and those that it has stay where they are.
 */
export const readOldPrimary = async ({ history, truth }: Stand, play: Play, verified: Promise<void>): Promise<void> => {
  const fill = play.keep([play.patient.redis], play.requests.put);
  if (!(await play.isOfNewLife(NEW_LIFE_MS))) return;
  play.beside(play.read(play.patient));
  await verified;
  fill.release();
  // Over the same connection, so it is answered later.
  await play.read(play.patient);
  await play.ended();
  const verdict = await play.verdict();
  if (verdict === "behind" || verdict === "ahead") {
    history.violate(`what was read from the old primary came into the cache after it was of the new life, and the entry is ${verdict}`, play.product);
    return;
  }
  play.patient.postgres.redirect(truth.primary().port);
  const before = play.patient.postgres.accepted();
  let met = Infinity;
  for (const began = performance.now(); performance.now() - began < READING_MS; await delay(50)) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => ask(play.patient, "POST", `/v1/products/${randomUUID()}/stock-adjustments`, { body: { delta: 1 }, headers: { "idempotency-key": randomUUID() } })));
    if (met === Infinity && play.patient.postgres.accepted() > before) met = performance.now();
    await play.evict();
    const answer = await play.read(play.patient);
    if (answer !== null && answer.version! > 1 && performance.now() - met > LEARNT_MS) {
      history.violate(`version ${answer.version} of a lost life was read from the old primary by a process that knows the new one (${answer.by}, ${answer.source})`, play.product);
      return;
    }
  }
};
