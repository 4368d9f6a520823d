import { Effect, Result } from "effect"
import { Disclosures } from "../../domain/Disclosures.ts"
import type { DisclosureRequest } from "../../domain/Disclosures.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import type { Kind } from "../../domain/Kind.ts"
import { idOf, matches, readToken } from "../entities.ts"
import { causeOf } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { HttpProblem, refusalOf } from "../problems.ts"
import type { Condition } from "../request/headers.ts"
import { etag, fullViewStatus, jsonBytes, NO_STORE, noContent, problem } from "../respond.ts"
import type { Reply } from "../respond.ts"

/** Whoever sees personal data needs this scope beside the kind's own. */
export const PERSONAL = "customers:pii"

/** Whether the full view is asked for; 403 before anything else is looked at where it may not be. */
export const wantsFullView = ({ c, principal }: Exchange): boolean => {
  if (c.req.query("view") !== "full") return false
  if (!principal.scopes.has(PERSONAL)) throw new HttpProblem("forbidden", `The key has not the scope ${PERSONAL}.`)
  return true
}

/** `GET` of one entity with its personal fields. */
export const fullView = Effect.gen(function*() {
  const disclosures = yield* Disclosures, { authenticate } = yield* Identifiers
  const run = Effect.runPromiseWith(yield* Effect.context<never>())

  return async (kind: Kind, exchange: Exchange, { version, tokens, condition }: Pick<DisclosureRequest, "version" | "tokens"> & { readonly condition: Condition | null }): Promise<Reply> => {
    const id = idOf(exchange)
    const looked = await run(Effect.result(disclosures.full({ kind, id, version, tokens, cause: causeOf(exchange) })))
    if (Result.isFailure(looked)) return problem(refusalOf(looked.failure), exchange.requestId, { "Cache-Status": fullViewStatus })
    const disclosed = looked.success
    const headers = {
      "ETag": etag(disclosed.version),
      "Consistency-Token": readToken(kind, id, disclosed, authenticate),
      "Cache-Status": fullViewStatus,
      "Cache-Control": NO_STORE
    }
    return matches(condition, disclosed.version) ? noContent(304, headers) : jsonBytes(200, disclosed.body, headers)
  }
})
