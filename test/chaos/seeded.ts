/** Numbers that look random and are the same for the same seed. */
export type Seeded = {
  /** At least `from`, less than `to`. */
  readonly between: (from: number, to: number) => number;
  /** A whole number from 0, less than `end`. */
  readonly below: (end: number) => number;
  readonly chance: (share: number) => boolean;
  readonly pick: <A>(choices: readonly A[]) => A;
  /** Numbers of their own: what one draws does not move what another one draws. */
  readonly fork: (name: string) => Seeded;
};

// mulberry32: 32 bits of state are plenty for a schedule, and it is ten lines that nobody changes.
export const seeded = (seed: number): Seeded => {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end: number) => Math.floor(next() * end);
  return {
    between: (from, to) => from + next() * (to - from),
    below,
    chance: (share) => next() < share,
    pick: (choices) => choices[below(choices.length)]!,
    fork: (name) => seeded([...name].reduce((hash, letter) => Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193), seed ^ 0x811c9dc5)),
  };
};
