/**
 * Asks a Postgres to end: SIGINT breaks off its sessions and writes a checkpoint. A server that has not ended when the patience is over gets SIGQUIT; it leaves at
 * once, and its next start recovers from the log.
 */
export const shutDown = async (send: (signal: "SIGINT" | "SIGQUIT") => unknown, ended: Promise<unknown>, patienceMs = 10_000): Promise<void> => {
  send("SIGINT");
  const timer = setTimeout(() => send("SIGQUIT"), patienceMs);
  await ended;
  clearTimeout(timer);
};
