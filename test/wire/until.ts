/** Asks again until the answer is there, and fails with what was waited for when it does not come. */
export const until = async <A>(waitedFor: string, ask: () => Promise<A | undefined>, withinMs = 30_000): Promise<A> => {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`after ${withinMs} ms still not: ${waitedFor}`);
    await new Promise((resume) => setTimeout(resume, 25));
  }
};
