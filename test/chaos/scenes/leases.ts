import { scene } from "./scene.ts";

/** Stores, fills and leases that come late. */
export const LEASE_SCENES = {
  ...scene("late-store", "a store comes after another process has stored a newer version", (random) => {
    const present = random.chance(0.5), evicted = random.chance(0.5), when = random.between(0, 1);
    // With the relays stopped; or when its writer has given it up long since and others have brought what it owed, so that nobody looks at the entry again.
    const unsettled = when < 0.4, givenUp = !unsettled && when < 0.7;
    return async (play) => {
      if (!present) await play.evict();
      if (unsettled) play.stopRelays();
      const late = play.keep([play.patient.redis], play.requests.put);
      play.beside(play.write(play.patient));
      await play.caught(late);
      await play.write(play.quick);
      if (givenUp) await play.paid();
      if (!unsettled) await play.settled();
      if (evicted && !givenUp) await play.evict();
      late.release();
      await play.ended();
      if (unsettled) await play.fresh();
    };
  }, "scene", 3),

  ...scene("late-fill", "a reader's fill comes after the row has changed", (random) => {
    const another = random.chance(0.7), evicted = random.chance(0.3);
    return async (play) => {
      await play.evict();
      const late = play.keep([play.patient.redis], play.requests.put);
      play.beside(play.read(play.patient));
      await play.caught(late);
      await play.write(play.quick);
      await play.settled();
      if (evicted) await play.evict();
      // Another reader has a lease of its own by then, and its fill is lost.
      const lost = another ? play.keep([play.quick.redis], play.requests.put) : null;
      if (lost !== null) {
        play.beside(play.read(play.quick));
        await play.caught(lost);
      }
      late.release();
      // Its bytes are there before those of anybody who asks for the outcome.
      await play.read(play.patient);
      lost?.drop();
      await play.ended();
    };
  }, "scene", 2),

  ...scene("late-lease", "a writer's lease comes after it has committed", () => async (play) => {
    await play.evict();
    const late = play.keep([play.patient.redis], play.requests.lease);
    play.beside(play.write(play.patient));
    await play.caught(late);
    await play.committed(2);
    await play.write(play.quick);
    await play.settled();
    await play.evict();
    late.release();
    await play.ended();
  }),

  ...scene("abandoned-store", "a store comes after a newer change whose writer died before its store", (random) => {
    const purged = random.chance(0.5);
    return async (play) => {
      await play.evict();
      const late = play.keep([play.patient.redis], play.requests.put);
      play.beside(play.write(play.patient));
      await play.caught(late);
      if (purged) play.stopRelays();
      await play.unstored();
      if (purged) {
        await play.loseCheckpoint();
        play.goOnRelays();
      }
      await play.settled();
      late.release();
      await play.ended();
    };
  }, "scene", 2),

  ...scene("late-replay", "an entity is owed again while its replay is under way", () => async (play) => {
    await play.evict();
    const relays = play.relays.map(({ redis }) => redis);
    play.keep(relays, play.requests.settle);
    const replay = play.keep(relays, play.requests.put);
    const lose = async () => {
      const lost = play.keep([play.quick.redis], play.requests.put);
      await play.write(play.quick);
      lost.drop();
    };
    await lose();
    // The lease of the lost store: the replay wants one of its own.
    await play.evict();
    await play.caught(replay);
    await lose();
    replay.release();
    await play.fresh();
  }),
};
