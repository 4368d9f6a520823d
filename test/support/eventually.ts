import { setTimeout as delay } from "node:timers/promises";

/**
 * Asks again and again until the check neither throws nor answers false, and hands on its answer. The only place where a test waits.
 * Throws the error of a check that began when `within` milliseconds were over: one that began before says nothing where this process stood still meanwhile.
 */
export const eventually = async <A>(check: () => A | Promise<A>, { within = 20_000 }: { within?: number } = {}): Promise<A> => {
  const end = performance.now() + within;
  for (;;) {
    const began = performance.now();
    try {
      const answer = await check();
      if (answer === false) throw new Error(`Still not so: ${String(check)}`);
      return answer;
    } catch (error) {
      if (began > end) throw error;
    }
    await delay(10);
  }
};

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** How long, in milliseconds, some work took in the middle of five times. What a machine that stalls adds, it adds to the one or the other; a rule that is broken, to most. */
export const usually = async (work: () => Promise<unknown>): Promise<number> => {
  const took: number[] = [];
  while (took.length < 5) {
    const began = performance.now();
    await work();
    took.push(performance.now() - began);
  }
  return median(took);
};
