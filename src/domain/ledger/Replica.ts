import { Context, Effect } from "effect"
import type { Kind } from "../Kind.ts"
import type { DatabaseUnavailable, Ledger } from "./Ledger.ts"
import type { Outbox } from "./Outbox.ts"
import type { Token } from "./Token.ts"

/** What a replica may be asked. */
export interface Readings {
  readonly ledger: Pick<Ledger["Service"], "rows" | "list">
  readonly outbox: Pick<Outbox["Service"], "history" | "pruned">
}

/**
 * A server that follows the database some way behind. It is asked only where what it shows is proved to be young enough;
 * otherwise, and if it does not answer at once, the primary is.
 */
export class Replica extends Context.Service<Replica, {
  /** Null where everything that was committed so many milliseconds ago is not known to be there, where any part of the question failed, or `oldest` is null. */
  readonly ask: <A>(oldest: number | null, question: (of: Readings) => Effect.Effect<A, DatabaseUnavailable>) => Effect.Effect<A | null>
  /** By how many milliseconds at most it is behind; infinite where it is not used. Null: there is none. */
  readonly lag: () => number | null
}>()("holdfast/ledger/Replica") {}

export const noReplica = Replica.of({ ask: () => Effect.succeed(null), lag: () => null })

/** How old lists and histories may be, in milliseconds, where the request does not say: about what a cached body may be after a store that was missed. */
export const LISTED = 1_000

interface Wanted { readonly noCache: boolean; readonly maxAgeSeconds: number | null; readonly tokens: readonly Token[] }

/**
 * How old an answer may be, in milliseconds; null where only the primary will do. It alone shows the change that a token
 * speaks of for certain, and it alone is asked about persons: who was erased a moment ago is not to be shown again.
 */
export const oldestOf = (kind: Kind, { noCache, maxAgeSeconds, tokens }: Wanted, otherwise: number | null): number | null => {
  if (noCache || tokens.length > 0 || kind.personal?.subject === "id") return null
  return maxAgeSeconds === null ? otherwise : maxAgeSeconds * 1_000
}
