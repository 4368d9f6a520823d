import type { Fault, Track } from "./Fault.ts";
import { FAULTS } from "./faults.ts";
import type { Seeded } from "./seeded.ts";

export type Planned = { readonly at: number; readonly fault: Fault };

// Milliseconds between the end of one fault's planned place and the next one of the same track.
const GAPS: Readonly<Record<Track, readonly [number, number]>> = {
  redis: [2_500, 7_000],
  postgres: [12_000, 30_000],
  transaction: [2_000, 15_000],
  api: [1_000, 4_000],
  relay: [2_000, 6_000],
  scene: [300, 2_000],
};

/** What is done when, within so many milliseconds: the same for the same seed. Each track is worked one fault after the other, so one that takes longer moves those behind it. */
export const scheduleOf = (random: Seeded, lengthMs: number, names: readonly string[], counts: { readonly apis: number; readonly relays: number }): Record<Track, Planned[]> => {
  const plan = { redis: [], postgres: [], transaction: [], api: [], relay: [], scene: [] } as Record<Track, Planned[]>;
  for (const track of Object.keys(plan) as Track[]) {
    const own = random.fork(track);
    const choices = names.filter((name) => FAULTS[name]?.track === track).flatMap((name) => Array.from({ length: FAULTS[name]!.weight }, () => name));
    if (choices.length === 0) continue;
    for (let at = own.between(...GAPS[track]) / 2; at < lengthMs; at += own.between(...GAPS[track])) {
      const name = own.pick(choices);
      plan[track].push({ at, fault: { name, track, ...FAULTS[name]!.draw(own, counts) } });
    }
  }
  return plan;
};
