/** The first wait and the longest, in milliseconds. */
const FIRST = 250, LONGEST = 60_000

/** So many tries at an entity that cannot be encoded; then an operator has to look. An unreachable cache never makes a row dead. */
export const MOST_TRIES = 20

/** Exponential, with full jitter over the upper half, so that what failed together does not come back together. `random` from 0 up to 1. */
export const delayAfter = (attempts: number, random: number): number => {
  const whole = Math.min(LONGEST, FIRST * 2 ** Math.min(attempts, 16))
  return Math.round(whole / 2 + (whole / 2) * random)
}
