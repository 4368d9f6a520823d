import { setTimeout as delay } from "node:timers/promises";
import { scene } from "./scene.ts";

// A look that is shared has been answered by then.
const SHARED_MS = 15;

/** Reads with the token of a change that the cache does not have yet. */
export const TOKEN_SCENES = {
  ...scene("early-token", "a read shows the token of a change that is neither stored nor settled", () => async (play) => {
    play.keep(play.relays.map(({ redis }) => redis), play.requests.settle);
    play.keep([play.quick.redis], play.requests.put);
    await play.readWith(play.patient, await play.write(play.quick));
  }),

  ...scene("settled-between", "a change is settled while a read with the token of its order looks", () => async (play) => {
    const customer = await play.customer();
    const settle = play.keep(play.relays.map(({ redis }) => redis), play.requests.settle);
    play.keep([play.quick.redis], play.requests.put);
    const order = await play.order(play.quick, customer);
    await play.caught(settle);
    const look = play.keep([play.patient.redis], play.requests.fullLook);
    play.beside(play.readWithOrder(play.patient, order));
    await play.caught(look);
    settle.release();
    await play.settled();
    look.release();
    await play.ended();
  }, "scene", 2),

  ...scene("shared-load", "a read with a token comes to a load that began before its change", () => async (play) => {
    await play.evict();
    play.keep(play.relays.map(({ redis }) => redis), play.requests.settle);
    const rows = play.keep([play.patient.postgres], play.requests.any, "answers");
    play.beside(play.read(play.patient));
    await play.caught(rows);
    play.keep([play.quick.redis], play.requests.put);
    const token = await play.write(play.quick);
    const look = play.keep([play.patient.redis], play.requests.look);
    play.beside(play.readWith(play.patient, token));
    await play.caught(look);
    look.release();
    await delay(SHARED_MS);
    rows.release();
    await play.ended();
  }),
};
