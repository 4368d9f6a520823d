/** How many requests are under way at once. */
const CONCURRENCY = 16;

/**
 * Does `work` for each item, in order of beginning, sixteen at a time. What throws halts the rest: the service is gone
 * then, and seven thousand lines that each wait for it in turn would take hours. Returns when nothing is under way.
 */
export async function concurrently<T>(
  items: Iterable<T>,
  halt: AbortController,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    while (!halt.signal.aborted) {
      const next = queue.next();
      if (next.done === true) return;
      try {
        await work(next.value);
      } catch (error) {
        halt.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}
