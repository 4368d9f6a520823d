import type { Identifiers } from "../domain/Identifiers.ts"
import type { Kind } from "../domain/Kind.ts"
import { entityDigest, formatToken, parseToken } from "../domain/ledger/Token.ts"
import type { Token } from "../domain/ledger/Token.ts"
import type { Freshness } from "../domain/Freshness.ts"
import type { Found } from "../domain/Queries.ts"
import { readable } from "./Exchange.ts"
import type { Exchange } from "./Exchange.ts"
import { HttpProblem } from "./problems.ts"
import { uuid } from "./query.ts"
import { cacheControl, ifNoneMatch } from "./request/headers.ts"
import type { Condition } from "./request/headers.ts"
import { cachingOf, etag, jsonBytes, noContent, problem, readStatus } from "./respond.ts"
import type { Reply } from "./respond.ts"

type Authenticate = Identifiers["Service"]["authenticate"]

const LONGEST_TOKEN = 1_024

export const notFound = () => new HttpProblem("not-found", "There is no such entity.")

/** The id in the path; what is no id is of nothing that exists. */
export const idOf = ({ c }: Exchange): string => {
  const id = uuid(c.req.param("id")!)
  if (id === null) throw notFound()
  return id
}

export const freshnessOf = ({ c }: Exchange, authenticate: Authenticate): Freshness => {
  const { noCache, maxAgeSeconds } = readable(cacheControl(c.req.header("cache-control")))
  const header = c.req.header("consistency-token")
  if (header === undefined) return { noCache, maxAgeSeconds, tokens: [] }
  const tokens = header.split(",").map((text) => text.trim().length > LONGEST_TOKEN ? null : parseToken(text.trim(), authenticate))
  if (tokens.includes(null)) throw new HttpProblem("malformed", "A Consistency-Token is not one of this installation.")
  return { noCache, maxAgeSeconds, tokens: tokens as Token[] }
}

export const conditionOf = ({ c }: Exchange): Condition | null => readable(ifNoneMatch(c.req.header("if-none-match")))

export const matches = (condition: Condition | null, version: number): boolean => condition !== null && (condition.any || condition.versions.includes(version))

/** The token of a read: it speaks for that entity alone. */
export const readToken = (kind: Kind, id: string, { epoch, sequence }: { readonly epoch: number; readonly sequence: number }, authenticate: Authenticate): string =>
  formatToken({ epoch, sequence, transaction: null, entity: entityDigest(kind.name, id, authenticate) }, authenticate)

/** What was read of an entity, as an answer. */
export const entityReply = (kind: Kind, id: string, { entry, source }: Found, condition: Condition | null, requestId: string, authenticate: Authenticate): Reply => {
  const status = readStatus(source)
  if (entry.what === "unknown") return problem(notFound(), requestId, { "Cache-Status": status })
  const token = readToken(kind, id, entry, authenticate)
  if (entry.what === "deleted") {
    return problem(new HttpProblem("deleted", "The entity was deleted."), requestId, { "Cache-Status": status, "Consistency-Token": token })
  }
  const headers = { "ETag": etag(entry.version), "Consistency-Token": token, "Cache-Status": status, "Cache-Control": cachingOf(kind) }
  return matches(condition, entry.version) ? noContent(304, headers) : jsonBytes(200, entry.payload, headers)
}
