/**
 * The same database, for connections that wait for a lock as long as for anything else: 30 s. The service's own give up after 2 s, and a machine that stalls takes
 * as long: a test that holds a lock, sees who waits for it and then lets go is about what follows, not about that. What stands in a URL wins over a pool's options.
 */
export const patient = (url: string): string => {
  const target = new URL(url);
  target.searchParams.set("options", "-c synchronous_commit=on -c lock_timeout=0 -c statement_timeout=30000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC");
  return target.href;
};

/** What a machine may stall for, in milliseconds: a cache that does not answer for so long is away. */
export const PATIENCE = 20_000;

/** The same Redis, for connections that wait so many milliseconds: what stands in the URL wins over the client's own second. */
export const patientRedis = (url: string, patience = PATIENCE): string => {
  const target = new URL(url);
  for (const deadline of ["connectTimeout", "socketTimeout", "commandTimeout"]) target.searchParams.set(deadline, String(patience));
  return target.href;
};
