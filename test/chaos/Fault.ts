import type { Caches } from "./caches.ts";
import type { GoneBack } from "./goneBack.ts";
import type { Entity, History } from "./History.ts";
import type { Member } from "./Member.ts";
import type { Seeded } from "./seeded.ts";
import type { Truth } from "./truth.ts";

export type Stand = {
  readonly truth: Truth;
  readonly caches: Caches;
  readonly apis: readonly Member[];
  readonly relays: readonly Member[];
  /** Two api processes that only scenes ask; the first one waits long for its stores. */
  readonly actors: readonly [Member, Member];
  readonly history: History;
  /** Who is not led to a Postgres that was promoted. */
  readonly spared: Set<Member>;
  /** Changes of scenes whose outcome nobody has told yet, to be asked for again: whether it is known now. */
  readonly open: { readonly what: string; readonly again: (member: Member) => Promise<boolean> }[];
  /** Products that no client changes. */
  readonly quiet: Entity[];
  /** So many milliseconds, or until the round is over. */
  readonly pause: (ms: number) => Promise<void>;
};

/** What of the stand a fault works on. Of each there is one fault at a time. */
export type Track = "redis" | "postgres" | "transaction" | "api" | "relay" | "scene";

/** All that is random is drawn when the schedule is made; `run` is over when the fault is. */
export type Fault = { readonly name: string; readonly what: string; readonly track: Track; readonly run: (stand: Stand, goneBack: GoneBack) => Promise<void> };
export type Maker = { readonly track: Track; readonly weight: number; readonly draw: (random: Seeded, counts: { readonly apis: number; readonly relays: number }) => Omit<Fault, "name" | "track"> };

export const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
