export interface Performance {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function summarizeLatency(took: readonly number[], seconds: number): Performance {
  const sorted = took.toSorted((a, b) => a - b);
  return {
    requests: took.length,
    perSecond: seconds > 0 ? Math.round(took.length / seconds) : 0,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
  };
}

/** Nearest rank: always a value that was measured. 0 of nothing. */
export function percentile(sorted: readonly number[], percent: number): number {
  const rank = Math.max(Math.ceil((percent / 100) * sorted.length), 1);
  return Math.round((sorted[rank - 1] ?? 0) * 100) / 100;
}
