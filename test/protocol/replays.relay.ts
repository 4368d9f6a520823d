import type { Rule } from "../chaos/sabotage/patches.ts";
import type { Replay } from "./replays.ts";

const both = ["redis", "memory"] as const;

const fence = (rule: Rule, title: string): Replay => ({
  rule,
  title,
  breaks: "converged",
  caches: both,
  play: async (stage) => {
    const [slow, quick, relay] = [await stage.start(), await stage.start(), await stage.start()];
    const beside = await stage.beside();
    slow.holdOpen();
    slow.write();
    await slow.pass("lease", "load", "commit");
    await quick.write(beside).finish();
    await relay.settle().finish();
    // Committed now, and its process dies before the store.
    await slow.pass("end");
    return stage.converged(relay);
  },
});

/** The relay, its checkpoint, and what is done where that is lost. */
export const relayReplays: readonly Replay[] = [
  {
    rule: "rewind",
    title: "the relay works from the checkpoint that the cache has, so that what a fail-over undid is done again",
    breaks: "converged",
    caches: ["redis"],
    play: async (stage) => {
      const [writer, relay] = [await stage.start(), await stage.start()];
      await relay.settle().finish();
      writer.write();
      await writer.pass("lease", "load", "commit");
      const failOver = await stage.fallBehind();
      await relay.settle().finish();
      await failOver();
      return stage.converged(relay);
    },
  },
  {
    rule: "atomic",
    title: "a fail-over between a repair and the checkpoint's move is seen",
    breaks: "converged",
    caches: ["redis"],
    play: async (stage) => {
      const [writer, relay] = [await stage.start(), await stage.start()];
      writer.write();
      await writer.pass("lease", "load", "commit");
      const round = relay.settle();
      await relay.pass("checkpoints", "since");
      const failOver = await stage.fallBehind();
      await relay.pass("settle", "rows", "settle");
      await failOver();
      await round.finish();
      return stage.converged(relay);
    },
  },
  fence("fence", "the checkpoint does not pass a transaction that is still open"),
  fence("position-above-last", "an event is settled though a later position was settled before it was committed"),
  {
    rule: "row-after-log",
    title: "what is committed between the look at the log and the settling is found by the next look",
    breaks: "converged",
    caches: both,
    play: async (stage) => {
      const [writer, relay] = [await stage.start(), await stage.start()];
      const round = relay.settle();
      await relay.pass("checkpoints", "since");
      writer.write();
      await writer.pass("lease", "load", "commit");
      await round.finish();
      return stage.converged(relay);
    },
  },
  {
    rule: "fence-first",
    title: "what is committed while a purge is under way is not taken for settled by it",
    breaks: "converged",
    caches: ["redis"],
    play: async (stage) => {
      const [first, second, relay] = [await stage.start(), await stage.start(), await stage.start()];
      await stage.loseCheckpoint();
      const round = relay.settle();
      await relay.pass("checkpoints", "snapshot", "mark", "purge");
      const late = second.write();
      await second.pass("lease", "load", "commit");
      first.write();
      await first.pass("lease", "load", "commit");
      await late.finish();
      await round.finish();
      return stage.converged(relay);
    },
  },
  {
    rule: "purge-leases",
    title: "a purge removes leases too, so that a store that is older than its fence creates nothing after it",
    breaks: "converged",
    caches: ["redis"],
    given: { entry: false },
    play: async (stage) => {
      const [first, second, relay] = [await stage.start(), await stage.start(), await stage.start()];
      const late = first.write();
      await first.pass("lease", "load", "commit");
      second.write();
      await second.lose("lease");
      await second.pass("load", "commit");
      await stage.loseCheckpoint();
      const round = relay.settle();
      await relay.pass("checkpoints", "snapshot", "mark", "purge");
      await late.finish();
      await round.finish();
      return stage.converged(relay);
    },
  },
  {
    rule: "purge-progress",
    title: "a fail-over that undoes a piece of a purge is seen by the purge",
    breaks: "converged",
    caches: ["redis"],
    play: async (stage) => {
      const [writer, relay] = [await stage.start(), await stage.start()];
      writer.write();
      await writer.pass("lease", "load", "commit");
      await stage.loseCheckpoint();
      const round = relay.settle();
      await relay.pass("checkpoints", "snapshot", "mark");
      const failOver = await stage.fallBehind();
      await relay.pass("purge");
      await failOver();
      await round.finish();
      return stage.converged(relay);
    },
  },
  {
    rule: "purge-token",
    title: "a purge does not take the marker of an earlier attempt, which a fail-over brought back, for its own",
    breaks: "converged",
    caches: ["redis"],
    play: async (stage) => {
      const [first, second, relay] = [await stage.start(), await stage.start(), await stage.start()];
      await stage.loseCheckpoint();
      const earlier = relay.settle();
      await relay.pass("checkpoints", "snapshot", "mark", "purge");
      const late = second.write();
      await second.pass("lease", "load", "commit");
      first.write();
      await first.pass("lease", "load", "commit");
      await late.finish();
      const failOver = await stage.fallBehind();
      await earlier.finish();
      await stage.loseCheckpoint();
      const later = relay.settle();
      await relay.pass("checkpoints", "snapshot", "mark", "purge");
      await failOver();
      await later.finish();
      return stage.converged(relay);
    },
  },
];
