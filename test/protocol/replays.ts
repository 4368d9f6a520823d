import type { Rule } from "../chaos/sabotage/patches.ts";
import { epochReplays } from "./replays.epochs.ts";
import { leaseReplays } from "./replays.leases.ts";
import { relayReplays } from "./replays.relay.ts";
import { tokenReplays } from "./replays.tokens.ts";
import type { Stage, StageOptions, Violation } from "./stage.ts";

/** A counter-example of the model, step by step over the real ports. */
export type Replay = {
  readonly rule: Rule;
  /** What holds with the rule. */
  readonly title: string;
  /** What goes wrong without it. */
  readonly breaks: Violation["property"];
  /** The memory cache loses no checkpoint and has no replica. */
  readonly caches: readonly StageOptions["cache"][];
  /** Whether it goes wrong in memory too without the rule; not where a lease has to stand, which ends there by the clock. */
  readonly inMemory?: true;
  readonly given?: Omit<StageOptions, "cache">;
  readonly play: (stage: Stage) => Promise<Violation | null>;
};

export const replays: readonly Replay[] = [...leaseReplays, ...relayReplays, ...tokenReplays, ...epochReplays];
