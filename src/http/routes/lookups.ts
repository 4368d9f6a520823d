import { Effect, Redacted, Schema } from "effect"
import { limitedTo } from "../../domain/access/RateLimiter.ts"
import { Disclosures } from "../../domain/Disclosures.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import type { Kind } from "../../domain/Kind.ts"
import { Queries } from "../../domain/Queries.ts"
import { entityReply, freshnessOf, notFound } from "../entities.ts"
import { bodyOf, causeOf } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { lookupOperation } from "../openapi/kinds.ts"
import { rateLimited } from "../problems.ts"
import { lookupStatus, problem } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { valid } from "../validate.ts"
import { PERSONAL } from "./fullView.ts"

/** So many a second and key: enough for an import, too few to try out who is a customer. */
const MOST_LOOKUPS = 50
const JSON_ONLY = ["application/json"]

/** One of the fields that a person can be found by. */
const wantedBy = (fields: Kind["fields"], names: readonly string[]) =>
  Schema.Union(names.map((name) => Schema.Struct({ [name]: fields[name]!.schema }))) as unknown as Schema.Codec<Readonly<Record<string, string>>>

/** `POST …/lookup`: personal data never stands in a URL. */
export const lookupRoutes = (kinds: readonly Kind[]) =>
  Effect.gen(function*() {
    const disclosures = yield* Disclosures, queries = yield* Queries, { authenticate } = yield* Identifiers
    const take = yield* limitedTo("lookup", MOST_LOOKUPS)
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    const lookup = (kind: Kind, wanted: ReturnType<typeof wantedBy>) => async (exchange: Exchange): Promise<Reply> => {
      const { allowed, limit } = await take(exchange.principal.id)
      if (!allowed) throw rateLimited(`The key may look up ${limit} times in a second.`)
      const { json } = await bodyOf(exchange, JSON_ONLY)
      const { tokens } = freshnessOf(exchange, authenticate)
      const [field, value] = Object.entries(valid(wanted, json))[0]!
      const id = await run(disclosures.lookup(kind, field, Redacted.make(value, { label: field }), causeOf(exchange)))
      if (id === null) return problem(notFound(), exchange.requestId, { "Cache-Status": lookupStatus })
      const found = await queries.read(kind, id, { noCache: true, maxAgeSeconds: null, tokens })
      return entityReply(kind, id, found, null, exchange.requestId, authenticate)
    }

    return kinds.flatMap((kind): readonly Route[] => {
      if (kind.personal === null || kind.personal.lookups.length === 0) return []
      const wanted = wantedBy(kind.fields, kind.personal.lookups)
      return [{ method: "POST", path: `/v1/${kind.plural}/lookup`, scopes: [PERSONAL], about: lookupOperation(kind, wanted, JSON_ONLY), handle: lookup(kind, wanted) }]
    })
  })
