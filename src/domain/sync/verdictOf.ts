import { isLease } from "../cache/Cache.ts"
import { entryOf, rankOf } from "../cache/Entry.ts"
import type { Entry } from "../cache/Entry.ts"
import type { Kind } from "../Kind.ts"
import type { Row } from "../ledger/Ledger.ts"

/** What is wrong with an entry, held against its row. */
export type Wrong = "behind" | "ahead" | "undecodable" | "different"
export const WRONGS: readonly Wrong[] = ["behind", "ahead", "undecodable", "different"]
export type Verdict = Wrong | "fine" | "absent"

/** A row as of the epoch of its statement; version 0 where there is none. */
export interface Truth { readonly row: Row | null; readonly epoch: number }
export const rankOfTruth = ({ row, epoch }: Truth) => rankOf({ epoch, version: row?.version ?? 0 })

/** Whether an entry of that rank is what would be made of the row now. What the cache does not keep should not be there. */
const isMadeOf = (kind: Kind, { row }: Truth, entry: Entry): boolean => {
  if (row === null) return entry.what === "unknown"
  try {
    const { what, sequence, payload } = entryOf(kind, row)
    return entry.what === what && entry.sequence === sequence && Buffer.from(entry.payload).equals(payload)
  } catch {
    return false
  }
}

/**
 * `before` was read, then the entry, then `after`. Older than what was committed before it was looked at: behind, whatever
 * happened since. Newer than what was committed after it was looked at: ahead, for a commit is there before its store. In
 * between the row moved, and the entry with it.
 */
export const verdictOf = (kind: Kind, before: Truth, value: Uint8Array | null, entry: Entry | null, after: Truth): Verdict => {
  if (value === null || isLease(value)) return "absent"
  if (entry === null) return "undecodable"
  const rank = rankOf(entry)
  if (rank < rankOfTruth(before)) return "behind"
  if (rank > rankOfTruth(after)) return "ahead"
  const same = [after, before].find((truth) => rankOfTruth(truth) === rank)
  return same === undefined || isMadeOf(kind, same, entry) ? "fine" : "different"
}
