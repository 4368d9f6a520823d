import type { Replay } from "./replays.ts";
import type { Stage, Violation } from "./stage.ts";

const both = ["redis", "memory"] as const;

/** Nothing stale now, and nothing when the relay is through. */
const fine = async (stage: Stage): Promise<Violation | null> => (await stage.fresh()) ?? stage.converged(await stage.start());

/** Stores, fills and replays: what creates, replaces and breaks. */
export const leaseReplays: readonly Replay[] = [
  {
    rule: "guard",
    title: "a store that comes late does not replace a newer entry",
    breaks: "fresh",
    caches: both,
    inMemory: true,
    play: async (stage) => {
      const [first, second] = [await stage.start(), await stage.start()];
      const late = first.write();
      await first.pass("lease", "load", "commit");
      await second.write().finish();
      await late.finish();
      return fine(stage);
    },
  },
  {
    rule: "lease",
    title: "a store whose lease is gone does not create an entry that was evicted",
    breaks: "fresh",
    caches: both,
    inMemory: true,
    given: { entry: false },
    play: async (stage) => {
      const [first, second] = [await stage.start(), await stage.start()];
      const late = first.write();
      await first.pass("lease", "load", "commit");
      await second.write().finish();
      await stage.evict();
      await late.finish();
      return fine(stage);
    },
  },
  {
    rule: "lease-first",
    title: "a lease that comes while the statement runs is not used",
    breaks: "fresh",
    caches: both,
    given: { entry: false },
    play: async (stage) => {
      const [first, second] = [await stage.start(), await stage.start()];
      const slow = first.write();
      const arrive = await first.late("lease");
      await first.pass("load", "commit");
      const other = second.write();
      await second.lose("lease");
      await other.finish();
      await arrive();
      await slow.finish();
      return fine(stage);
    },
  },
  {
    rule: "token-once",
    title: "a fill whose lease was broken does not take somebody else's for its own",
    breaks: "fresh",
    caches: both,
    given: { entry: false },
    play: async (stage) => {
      const [one, another, writer] = [await stage.start(), await stage.start(), await stage.start()];
      const early = one.read();
      await one.pass("look", "lease", "rows");
      await writer.write().finish();
      const later = another.read();
      await another.pass("look", "lease");
      await one.pass("fill");
      const found = await stage.fresh();
      await early.finish();
      await later.finish();
      return found ?? fine(stage);
    },
  },
  {
    rule: "store-breaks",
    title: "a store breaks the lease that stands on its key, so that an older one does not create the entry after it",
    breaks: "fresh",
    caches: both,
    given: { entry: false },
    play: async (stage) => {
      const [first, second] = [await stage.start(), await stage.start()];
      const late = first.write();
      await first.pass("lease", "load", "commit");
      await second.write().finish();
      await late.finish();
      return fine(stage);
    },
  },
  {
    rule: "relay-breaks",
    title: "the relay breaks the lease of a key that it finds absent, so that a late store does not create the entry",
    breaks: "converged",
    caches: both,
    given: { entry: false },
    play: async (stage) => {
      const [first, second, relay] = [await stage.start(), await stage.start(), await stage.start()];
      const late = first.write();
      await first.pass("lease", "load", "commit");
      second.write();
      await second.pass("lease", "load", "commit");
      await relay.settle().finish();
      await late.finish();
      return stage.converged(relay);
    },
  },
  {
    rule: "queue-guard",
    title: "a replay leaves the retry row of an entity that was owed again since it read the row",
    breaks: "fresh",
    caches: both,
    given: { entry: false },
    play: async (stage) => {
      const [first, second, replayer] = [await stage.start(), await stage.start(), await stage.start()];
      const one = first.write();
      await first.lose("lease");
      await first.pass("load", "commit");
      await first.lose("store");
      await one.finish();
      const replay = replayer.replay();
      await replayer.pass("due", "lease", "rows");
      const two = second.write();
      await second.pass("lease", "load", "commit");
      await second.lose("store");
      await two.finish();
      await replay.finish();
      while ((await stage.query("select 1 from sync_retry_queue")).length > 0) await replayer.replay().finish();
      return fine(stage);
    },
  },
];
