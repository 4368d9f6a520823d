import type { Replay } from "./replays.ts";
import type { Actor, Stage, Violation } from "./stage.ts";

/** Whether a reader with a token of the new life is shown another version 2 than that life's. A refusal shows nothing. */
const ofThisLife = async (stage: Stage, read: ReturnType<Actor["read"]>): Promise<Violation | null> => {
  const is = await stage.row();
  const found = await read.finish().catch(() => null);
  if (found === null) return null;
  const { updatedAtNs } = JSON.parse(Buffer.from(found.entry.payload).toString()) as { updatedAtNs: string };
  return updatedAtNs === is.updatedAtNs ? null : { property: "monotonic", how: "a token of the new life is answered with the version of the old one" };
};

/** A replica that lags is promoted: version 2 of the old life is gone, and another one is made. */
export const epochReplays: readonly Replay[] = [
  {
    rule: "epoch-first",
    title: "the first commit of a new life has an epoch of its own, so that its version is not taken for the old life's",
    breaks: "monotonic",
    caches: ["redis"],
    given: { replica: true },
    play: async (stage) => {
      await (await stage.start()).write().finish();
      const life = await stage.promote();
      const [writer, reader] = [await stage.start(undefined, life), await stage.start(undefined, life)];
      await writer.write().finish();
      return ofThisLife(stage, reader.read([await stage.tokenOf(2)]));
    },
  },
  {
    rule: "epoch-with-row",
    title: "a row of the old life is not labelled with the epoch of the new one",
    breaks: "monotonic",
    caches: ["redis"],
    given: { replica: true, entry: false },
    play: async (stage) => {
      const [readers, lost] = [await stage.start(), await stage.start()];
      const early = readers.read();
      await readers.pass("look", "lease");
      lost.write();
      await lost.pass("lease", "load", "commit");
      const life = await stage.promote();
      await (await stage.start(undefined, life)).write().finish();
      const joining = readers.read([await stage.tokenOf(2)]);
      await readers.pass("look");
      await stage.learn();
      await early.finish().catch(() => "the old primary is not asked any more");
      return ofThisLife(stage, joining);
    },
  },
  {
    rule: "epoch-gate",
    title: "a fill of the old life is refused once the partition is of the new one",
    breaks: "converged",
    caches: ["redis"],
    given: { replica: true },
    play: async (stage) => {
      const [reader, lost] = [await stage.start(), await stage.start()];
      lost.write();
      await lost.pass("lease", "load", "commit");
      const life = await stage.promote();
      const relay = await stage.start(undefined, life);
      await stage.converged(relay);
      await reader.read().finish();
      return stage.converged(relay);
    },
  },
];
