/** Why a run was halted; null if it was not. */
export const brokenOff = ({ signal }: AbortController): string | null =>
  (signal.aborted ? String(signal.reason?.message ?? signal.reason) : null);
