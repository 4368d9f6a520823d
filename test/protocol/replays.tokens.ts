import type { Replay } from "./replays.ts";
import type { Actor, Violation } from "./stage.ts";

const both = ["redis", "memory"] as const;

/** Whether a reader was given an older version than that of the token that it showed. A refusal shows nothing. */
const notOlder = async (read: ReturnType<Actor["read"]>, version: number): Promise<Violation | null> => {
  const { entry } = await read.finish();
  return entry.version < version ? { property: "monotonic", how: `a token of version ${version} is answered with version ${entry.version}` } : null;
};

/** Reads that show the token of a write. */
export const tokenReplays: readonly Replay[] = [
  {
    rule: "by-sequence",
    title: "an entry that is older than the token's write is passed over, while the relay has not come to it",
    breaks: "monotonic",
    caches: both,
    play: async (stage) => {
      const [writer, reader] = [await stage.start(), await stage.start()];
      writer.write();
      await writer.pass("lease", "load", "commit");
      return notOlder(reader.read([await stage.tokenOf(2)]), 2);
    },
  },
  {
    rule: "one-look",
    title: "a checkpoint vouches only for an entry that was read with it, in one command",
    breaks: "monotonic",
    caches: both,
    play: async (stage) => {
      const [writer, reader, relay] = [await stage.start(), await stage.start(), await stage.start()];
      writer.write();
      await writer.pass("lease", "load", "commit");
      const read = reader.read([await stage.tokenOf(2, false)]);
      await reader.pass("look");
      while (await relay.settle().finish()) { /* until the checkpoint shows the write */ }
      return (await notOlder(read, 2)) ?? stage.converged(relay);
    },
  },
  {
    rule: "join-check",
    title: "what somebody else loaded is held against the token too",
    breaks: "monotonic",
    caches: both,
    given: { entry: false },
    play: async (stage) => {
      const [readers, writer] = [await stage.start(), await stage.start()];
      const early = readers.read();
      await readers.pass("look", "lease", "rows");
      writer.write();
      await writer.pass("lease", "load", "commit");
      const joining = readers.read([await stage.tokenOf(2)]);
      await readers.pass("look");
      await early.finish();
      return (await notOlder(joining, 2)) ?? stage.converged(await stage.start());
    },
  },
];
