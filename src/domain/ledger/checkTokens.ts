import { Effect } from "effect"
import type { Identifiers } from "../Identifiers.ts"
import type { Kind } from "../Kind.ts"
import { TokenUnknown } from "../Refusal.ts"
import type { DatabaseUnavailable, Ledger } from "./Ledger.ts"
import { entityDigest } from "./Token.ts"
import type { Token } from "./Token.ts"

type Authenticate = Identifiers["Service"]["authenticate"]

/**
 * The tokens that speak for an entity; those that name another one without that name. Its digest is made once: a page under
 * hundreds of tokens would else hold everybody up.
 */
export const speakingFor = (kind: Kind, id: string, tokens: readonly Token[], authenticate: Authenticate): readonly Token[] => {
  const digest = tokens.some(({ entity }) => entity !== null) ? entityDigest(kind.name, id, authenticate) : null
  return tokens.flatMap((token) => token.entity === null || token.entity === digest ? [token] : token.transaction === null ? [] : [{ ...token, entity: null }])
}

/** Refuses what a database of this epoch cannot satisfy: tokens of a newer one, and of an older one that it does not remember. */
export const checkTokens = (ledger: Ledger["Service"], authenticate: Authenticate) =>
  Effect.fnUntraced(function*(kind: Kind, id: string, epoch: number, tokens: readonly Token[]): Effect.fn.Return<void, TokenUnknown | DatabaseUnavailable> {
    if (tokens.some((token) => token.epoch > epoch)) return yield* new TokenUnknown()
    for (const { epoch: of, sequence, transaction } of speakingFor(kind, id, tokens, authenticate)) {
      if (of === epoch) continue
      const place = transaction === null ? { epoch: of, sequence } : { epoch: of, sequence, transaction }
      if (!(yield* ledger.remembers(kind, id, place))) return yield* new TokenUnknown()
    }
  })
