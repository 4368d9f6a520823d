import { parseCheckpoint } from "./cache/Checkpoint.ts"
import type { Entry } from "./cache/Entry.ts"
import type { Identifiers } from "./Identifiers.ts"
import type { Kind } from "./Kind.ts"
import { speakingFor } from "./ledger/checkTokens.ts"
import type { Ledger } from "./ledger/Ledger.ts"
import { shows } from "./ledger/Snapshot.ts"
import type { Token } from "./ledger/Token.ts"

/** How fresh an answer has to be. */
export interface Freshness {
  /** From Postgres, whatever the cache holds. */
  readonly noCache: boolean
  /** An entry may be served if its partition was settled so many seconds ago at most. */
  readonly maxAgeSeconds: number | null
  readonly tokens: readonly Token[]
}

export const ANY: Freshness = { noCache: false, maxAgeSeconds: null, tokens: [] }

/** Holds what the cache says against what was asked for. */
export const judge = (ledger: Ledger["Service"], identifiers: Identifiers["Service"]) => {
  /** Whether a value is as new as every token that speaks for it; a checkpoint can vouch for it too. */
  const satisfies = (kind: Kind, id: string, entry: Entry, tokens: readonly Token[], checkpoint: string | null): boolean =>
    speakingFor(kind, id, tokens, identifiers.authenticate).every((token) => {
      if (entry.epoch !== token.epoch) return false
      if (entry.sequence >= token.sequence) return true
      // Of the entity that it names the entry itself has to be as new: one that somebody put back stands under the same checkpoint.
      if (token.entity !== null) return false
      const settled = parseCheckpoint(checkpoint)
      return settled?.is === "settled" && settled.epoch === token.epoch && shows(settled.snapshot, token.transaction!)
    })

  const youngEnough = (checkpoint: string | null, maxAgeSeconds: number | null): boolean => {
    if (maxAgeSeconds === null) return true
    const settled = parseCheckpoint(checkpoint)
    return settled?.is === "settled" && ledger.clock() - settled.time <= maxAgeSeconds * 1_000
  }
  return { satisfies, youngEnough }
}
