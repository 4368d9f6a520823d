import { formatSnapshot, isSnapshot, parseSnapshot } from "../ledger/Snapshot.ts"
import type { Snapshot } from "../ledger/Snapshot.ts"

/**
 * How far a partition is settled. It lives in the cache, beside what it vouches for: a cache that forgot its newest
 * commands has forgotten the checkpoint with them.
 *
 *     C | epoch 12 | mark 16 | time 12 | snapshot        settled is what the snapshot shows
 *     P | epoch 12 | mark 16 | pieces                     a purge is under way
 *
 * The mark is fresh with every move, so that a comparison of the whole text sees every move in between.
 */
export type Checkpoint =
  | { readonly is: "settled"; readonly epoch: number; readonly mark: string; readonly time: number; readonly snapshot: Snapshot }
  | { readonly is: "purge"; readonly epoch: number; readonly mark: string; readonly pieces: number }

const hex12 = (value: number) => value.toString(16).padStart(12, "0")

export const formatCheckpoint = (c: Checkpoint): string =>
  c.is === "settled"
    ? `C${hex12(c.epoch)}${c.mark}${hex12(c.time)}${formatSnapshot(c.snapshot)}`
    : `P${hex12(c.epoch)}${c.mark}${c.pieces}`

/** Null where the text is missing or no checkpoint; what cannot be read is treated as lost. */
export const parseCheckpoint = (text: string | null): Checkpoint | null => {
  const settled = /^C([0-9a-f]{12})([0-9a-f]{16})([0-9a-f]{12})(\d+:\d+:[\d,]*)$/.exec(text ?? "")
  if (settled !== null) {
    const snapshot = parseSnapshot(settled[4]!)
    return isSnapshot(snapshot) ? { is: "settled", epoch: parseInt(settled[1]!, 16), mark: settled[2]!, time: parseInt(settled[3]!, 16), snapshot } : null
  }
  const purge = /^P([0-9a-f]{12})([0-9a-f]{16})(\d+)$/.exec(text ?? "")
  return purge === null ? null : { is: "purge", epoch: parseInt(purge[1]!, 16), mark: purge[2]!, pieces: Number(purge[3]) }
}
