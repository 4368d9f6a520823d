import { setTimeout as delay } from "node:timers/promises";

/**
 * Asks again and again until the check neither throws nor answers false, and hands on its answer. The only place where a test waits.
 * Throws the check's last error when `within` milliseconds are over.
 */
export const eventually = async <A>(check: () => A | Promise<A>, { within = 5_000 }: { within?: number } = {}): Promise<A> => {
  const end = performance.now() + within;
  for (;;) {
    try {
      const answer = await check();
      if (answer === false) throw new Error(`Still not so: ${String(check)}`);
      return answer;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await delay(10);
  }
};
