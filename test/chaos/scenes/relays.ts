import { setTimeout as delay } from "node:timers/promises";
import type { Hold } from "../../support/proxy.ts";
import type { Stand } from "../Fault.ts";
import type { Play } from "./Play.ts";
import { scene } from "./scene.ts";

/** Longer than a relay sleeps between two looks at the log. */
const LOOKED_MS = 250;

/** The last step is taken, and mended whatever came of it. */
const mended = async (stand: Stand, work: () => Promise<void>) => {
  try {
    await work();
  } finally {
    await stand.caches.mend();
  }
};
/** The product's partition loses its checkpoint; its purge is kept back at a step, and meanwhile one writer stores and the next one dies before it does. */
const writeInPurge = async (play: Play, keep: () => Hold): Promise<Hold> => {
  play.stopRelays();
  await play.loseCheckpoint();
  const hold = keep();
  play.goOnRelays();
  await play.caught(hold);
  const late = play.keep([play.patient.redis], play.requests.put);
  play.beside(play.write(play.patient));
  await play.caught(late);
  await play.unstored();
  late.release();
  await play.ended();
  return hold;
};
const ways = ({ relays }: Play) => relays.map(({ redis }) => redis);

/** What the relays do is cut between two of its steps. */
export const RELAY_SCENES = {
  ...scene("slow-log", "the relays hear from Postgres late, while writers die before they store", (random) => {
    const late = random.between(100, 250);
    return async (play) => {
      const products = [play.product, await play.another(), await play.another(), await play.another()];
      for (const { postgres } of play.relays) postgres.delay(late);
      try {
        for (const product of products) {
          await delay(late);
          await play.unstored(product);
        }
        await delay(4 * late);
      } finally {
        for (const { postgres } of play.relays) await postgres.restore();
      }
    };
  }),

  ...scene("write-in-purge", "a partition is purged while one writer stores and the next dies before it does", () => async (play) => {
    const piece = await writeInPurge(play, () => play.keep(ways(play), play.requests.piece, "answers"));
    piece.release();
    await play.settled();
  }),

  ...scene("fail-over-in-settle", "a replica of Redis without a repair is promoted before the checkpoint moves", () => async (play, stand) => {
    await play.replicated();
    await stand.caches.part();
    await mended(stand, async () => {
      const mark = play.keep(ways(play), play.requests.mark);
      await play.unstored();
      // Where repair and checkpoint are one command, there is nothing to be caught between them.
      await mark.caught(LOOKED_MS);
      await stand.caches.promote();
      mark.release();
    });
  }, "redis"),

  ...scene("fail-over-in-purge", "a replica of Redis without a piece of a purge is promoted before the purge ends", () => async (play, stand) => {
    play.stopRelays();
    await play.unstored();
    await play.loseCheckpoint();
    await play.replicated();
    const piece = play.keep(ways(play), play.requests.piece), mark = play.keep(ways(play), play.requests.mark);
    play.goOnRelays();
    await play.caught(piece);
    await play.replicated();
    await stand.caches.part();
    await mended(stand, async () => {
      piece.release();
      await play.caught(mark);
      await stand.caches.promote();
      mark.release();
    });
  }, "redis"),

  ...scene("second-purge", "a replica of Redis in the middle of a purge is promoted in the middle of the next one", () => async (play, stand) => {
    const first = await writeInPurge(play, () => play.keep(ways(play), play.requests.mark));
    await play.replicated();
    await stand.caches.part();
    await mended(stand, async () => {
      first.release();
      await play.settled();
      play.stopRelays();
      await play.loseCheckpoint();
      const second = play.keep(ways(play), play.requests.mark);
      play.goOnRelays();
      await play.caught(second);
      await stand.caches.promote();
      second.release();
    });
  }, "redis"),
};
