import { Effect } from "effect"
import { payloadOf } from "../../domain/cache/Entry.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import type { Kind } from "../../domain/Kind.ts"
import { pastOf } from "../../domain/ledger/History.ts"
import { Ledger } from "../../domain/ledger/Ledger.ts"
import { Outbox } from "../../domain/ledger/Outbox.ts"
import { formatPosition } from "../../domain/ledger/Position.ts"
import { entityDigest, formatToken, parseToken } from "../../domain/ledger/Token.ts"
import type { Token } from "../../domain/ledger/Token.ts"
import { Queries } from "../../domain/Queries.ts"
import type { Freshness } from "../../domain/Queries.ts"
import { readable } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { historyOperation, listOperation, oneOperation } from "../openapi/kinds.ts"
import { Schemas } from "../openapi/Schemas.ts"
import { HttpProblem } from "../problems.ts"
import { cursor, formatCursor, limit, nextLink, optional, queryOf, uuid, version } from "../query.ts"
import type { Parameter } from "../query.ts"
import { cacheControl, ifNoneMatch } from "../request/headers.ts"
import { etag, historyStatus, json, jsonBytes, listBody, listStatus, noContent, PRIVATE, problem, readStatus } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { check } from "../validate.ts"

const LONGEST_TOKEN = 1_024

export const notFound = () => new HttpProblem("not-found", "There is no such entity.")

/** The id in the path; what is no id is of nothing that exists. */
export const idOf = ({ c }: Exchange): string => {
  const id = uuid(c.req.param("id")!)
  if (id === null) throw notFound()
  return id
}

const matches = (condition: ReturnType<typeof ifNoneMatch>, version: number): boolean => {
  const wanted = readable(condition)
  return wanted !== null && (wanted.any || wanted.versions.includes(version))
}

/** `GET` of one entity, of its history, of a version, and of lists: for every kind. */
export const readRoutes = (kinds: readonly Kind[]) =>
  Effect.gen(function*() {
    const queries = yield* Queries, outbox = yield* Outbox, ledger = yield* Ledger, { authenticate } = yield* Identifiers
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    const freshnessOf = ({ c }: Exchange): Freshness => {
      const { noCache, maxAgeSeconds } = readable(cacheControl(c.req.header("cache-control")))
      const header = c.req.header("consistency-token")
      if (header === undefined) return { noCache, maxAgeSeconds, tokens: [] }
      const tokens = header.split(",").map((text) => text.trim().length > LONGEST_TOKEN ? null : parseToken(text.trim(), authenticate))
      if (tokens.includes(null)) throw new HttpProblem("malformed", "A Consistency-Token is not one of this installation.")
      return { noCache, maxAgeSeconds, tokens: tokens as Token[] }
    }

    const readToken = (kind: Kind, id: string, epoch: number, sequence: number) =>
      formatToken({ epoch, sequence, transaction: null, entity: entityDigest(kind.name, id, authenticate) }, authenticate)

    const one = (kind: Kind) => async (exchange: Exchange): Promise<Reply> => {
      const { c, requestId } = exchange
      const freshness = freshnessOf(exchange), condition = readable(ifNoneMatch(c.req.header("if-none-match")))
      const wanted = queryOf(exchange, { version }).version
      if (wanted !== null) return past(kind, exchange, wanted)
      const id = idOf(exchange)
      const { entry, source } = await queries.read(kind, id, freshness)
      const status = readStatus(source)
      if (entry.what === "unknown") return problem(notFound(), requestId, { "Cache-Status": status })
      const token = readToken(kind, id, entry.epoch, entry.sequence)
      if (entry.what === "deleted") {
        return problem(new HttpProblem("deleted", "The entity was deleted."), requestId, { "Cache-Status": status, "Consistency-Token": token })
      }
      const headers = { "ETag": etag(entry.version), "Consistency-Token": token, "Cache-Status": status, "Cache-Control": PRIVATE }
      return matches(condition, entry.version) ? noContent(304, headers) : jsonBytes(200, entry.payload, headers)
    }

    const past = async (kind: Kind, exchange: Exchange, version: number): Promise<Reply> => {
      const id = idOf(exchange)
      const was = await run(pastOf(outbox, kind, id, version))
      if (was === null) throw new HttpProblem("not-found", "The entity has no such version.")
      const headers = {
        "ETag": etag(version),
        "Consistency-Token": readToken(kind, id, was.position.epoch, was.position.sequence),
        "Cache-Status": historyStatus,
        "Cache-Control": PRIVATE
      }
      if (was.state === null) return problem(new HttpProblem("deleted", "The entity was deleted at that version."), exchange.requestId, headers)
      return matches(ifNoneMatch(exchange.c.req.header("if-none-match")), version) ? noContent(304, headers) : jsonBytes(200, payloadOf(kind, was, was.state), headers)
    }

    const events = { limit, cursor: cursor((text) => /^\d{1,15}$/.test(text) ? Number(text) : null) }
    const history = (kind: Kind) => async (exchange: Exchange): Promise<Reply> => {
      const asked = queryOf(exchange, events)
      const id = idOf(exchange)
      const records = await run(outbox.history(kind, id, asked.cursor ?? 0, Number.MAX_SAFE_INTEGER, asked.limit + 1))
      if (records.length === 0 && (await run(ledger.rows(kind, [id]))).rows.size === 0) throw notFound()
      const items = records.slice(0, asked.limit).map(({ position, version, event, recordedAt }) =>
        ({ position: formatPosition(position), versionId: version, type: event.type, recordedAt, data: event.data }))
      const nextCursor = records.length > asked.limit ? formatCursor(String(items.at(-1)!.versionId)) : null
      return json(200, { items, nextCursor }, {
        "Cache-Control": PRIVATE, "Cache-Status": historyStatus, ...nextLink(exchange, { limit: String(asked.limit), cursor: nextCursor })
      })
    }

    const filtersOf = (kind: Kind): Readonly<Record<string, Parameter<string | null>>> =>
      Object.fromEntries(kind.filters.map((field) => {
        const { schema } = kind.fields[field]!
        const known = (text: string) => "faults" in check(schema, text) ? null : text
        return [field, optional(known, "is no value of this field", { description: `Only those whose ${field} is this.`, ...new Schemas().of(schema) })]
      }))

    const asking = (kind: Kind) => ({ limit, cursor: cursor(uuid), ...filtersOf(kind) })
    const list = (kind: Kind, parameters: ReturnType<typeof asking>) => async (exchange: Exchange): Promise<Reply> => {
      const { limit: size, cursor: after, ...narrowed } = queryOf(exchange, parameters)
      const where = Object.fromEntries(Object.entries<string | null>(narrowed).filter((entry): entry is [string, string] => entry[1] !== null))
      const page = await run(queries.list(kind, { after, limit: size, where }, freshnessOf(exchange)))
      const nextCursor = page.next === null ? null : formatCursor(page.next)
      return jsonBytes(200, listBody(page.entries, nextCursor), {
        "Cache-Control": PRIVATE,
        "Cache-Status": listStatus(page.hits, page.size),
        ...nextLink(exchange, { ...where, limit: String(size), cursor: nextCursor })
      })
    }

    return kinds.flatMap((kind): readonly Route[] => {
      const scopes = [`${kind.scope}:read`], parameters = asking(kind)
      return [
        { method: "GET", path: `/v1/${kind.plural}`, scopes, about: listOperation(kind, parameters), handle: list(kind, parameters) },
        { method: "GET", path: `/v1/${kind.plural}/:id`, scopes, about: oneOperation(kind), handle: one(kind) },
        { method: "GET", path: `/v1/${kind.plural}/:id/events`, scopes, about: historyOperation(kind, events), handle: history(kind) }
      ]
    })
  })
