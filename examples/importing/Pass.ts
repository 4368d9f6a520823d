import { sortByName } from "./countBy.ts";
import type { Difference } from "./Difference.ts";
import { summarizeLatency, type Performance } from "./latency.ts";
import type { ReadBack } from "./readBack.ts";

/** One reading of all entities of a kind, and what was other than the files say. */
export interface Pass {
  readonly read: number;
  readonly cacheStatuses: Readonly<Record<string, number>>;
  readonly differences: readonly Difference[];
  readonly performance: Performance;
}

export const asPass = (readBack: ReadBack<unknown>, differences: readonly Difference[]): Pass => ({
  read: readBack.entities.size,
  cacheStatuses: sortByName(readBack.cacheStatuses),
  differences,
  performance: summarizeLatency(readBack.took, readBack.seconds),
});
