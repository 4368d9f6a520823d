import { Effect } from "effect"
import { payloadOf } from "../../domain/cache/Entry.ts"
import { check } from "../../domain/check.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import { SEALED } from "../../domain/Kind.ts"
import type { Kind, State } from "../../domain/Kind.ts"
import { checkTokens } from "../../domain/ledger/checkTokens.ts"
import { pastOf } from "../../domain/ledger/History.ts"
import { Ledger } from "../../domain/ledger/Ledger.ts"
import { Outbox } from "../../domain/ledger/Outbox.ts"
import { formatPosition } from "../../domain/ledger/Position.ts"
import { LISTED, oldestOf, Replica } from "../../domain/ledger/Replica.ts"
import type { Readings } from "../../domain/ledger/Replica.ts"
import type { Token } from "../../domain/ledger/Token.ts"
import { Queries } from "../../domain/Queries.ts"
import type { Freshness } from "../../domain/Freshness.ts"
import { PersonalData } from "../../domain/secrets/PersonalData.ts"
import { conditionOf, entityReply, freshnessOf, idOf, matches, notFound, readToken } from "../entities.ts"
import type { Exchange } from "../Exchange.ts"
import { historyOperation, listOperation, oneOperation } from "../openapi/kinds.ts"
import { Schemas } from "../openapi/Schemas.ts"
import { HttpProblem } from "../problems.ts"
import { cursor, formatCursor, limit, nextLink, optional, queryOf, uuid, version, view } from "../query.ts"
import type { Parameter } from "../query.ts"
import type { Condition } from "../request/headers.ts"
import { cachingOf, etag, historyStatus, json, jsonBytes, listBody, listStatus, noContent, problem } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { fullView, wantsFullView } from "./fullView.ts"

/** What a `GET` of one entity takes. */
const selecting = (kind: Kind) => kind.personal === null ? { version } : { version, view }

/** The data of an event as its history tells it: of what is personal the reference. */
const toldOf = ({ personal }: Kind, data: State): State => personal === null ? data : Object.fromEntries(Object.entries(data).filter(([name]) => name !== SEALED))

/** `GET` of one entity, of its history, of a version, and of lists: for every kind. */
export const readRoutes = (kinds: readonly Kind[]) =>
  Effect.gen(function*() {
    const queries = yield* Queries, outbox = yield* Outbox, ledger = yield* Ledger, { authenticate } = yield* Identifiers
    const replica = yield* Replica, personal = yield* PersonalData, full = yield* fullView, checkKnown = checkTokens(ledger, authenticate)
    const run = Effect.runPromiseWith(yield* Effect.context<never>())

    /** What is read of the log is as new as it gets; a write that was lost is not in it. */
    const honour = async (kind: Kind, id: string, tokens: readonly Token[]): Promise<void> => {
      if (tokens.length > 0) await run(checkKnown(kind, id, (await run(ledger.rows(kind, [id]))).epoch, tokens))
    }

    const one = (kind: Kind, parameters: ReturnType<typeof selecting>) => async (exchange: Exchange): Promise<Reply> => {
      const isFull = kind.personal !== null && wantsFullView(exchange)
      const freshness = freshnessOf(exchange, authenticate), condition = conditionOf(exchange)
      const { version: wanted } = queryOf(exchange, parameters)
      if (isFull) return full(kind, exchange, { version: wanted, tokens: freshness.tokens, condition })
      if (wanted !== null) return past(kind, exchange, wanted, freshness, condition)
      const id = idOf(exchange)
      return entityReply(kind, id, await queries.read(kind, id, freshness), condition, exchange.requestId, authenticate)
    }

    const past = async (kind: Kind, exchange: Exchange, version: number, freshness: Freshness, condition: Condition | null): Promise<Reply> => {
      const id = idOf(exchange)
      await honour(kind, id, freshness.tokens)
      // A version does not change. That there is none, or that it is gone, only the primary says.
      const was = (await run(replica.ask(oldestOf(kind, freshness, LISTED), (of) => Effect.catchTag(pastOf(of, kind, id, version), "HistoryPruned", () => Effect.succeed(null))))) ?? (await run(pastOf({ ledger, outbox }, kind, id, version)))
      if (was === null) throw new HttpProblem("not-found", "The entity has no such version.")
      const headers = {
        "ETag": etag(version),
        "Consistency-Token": readToken(kind, id, was.position, authenticate),
        "Cache-Status": historyStatus,
        "Cache-Control": cachingOf(kind)
      }
      // Of a person who was erased no version is left.
      const state = was.state === null ? null : await run(Effect.catchTag(personal.digested(kind, id, was.state), "Deleted", () => Effect.succeed(null)))
      if (state === null) return problem(new HttpProblem("deleted", "The entity was deleted."), exchange.requestId, headers)
      return matches(condition, version) ? noContent(304, headers) : jsonBytes(200, payloadOf(kind, was, state), headers)
    }

    const events = { limit, cursor: cursor((text) => /^\d{1,15}$/.test(text) ? Number(text) : null) }
    const history = (kind: Kind) => async (exchange: Exchange): Promise<Reply> => {
      const freshness = freshnessOf(exchange, authenticate), asked = queryOf(exchange, events)
      const id = idOf(exchange)
      await honour(kind, id, freshness.tokens)
      const recorded = ({ outbox: of }: Pick<Readings, "outbox">) => of.history(kind, id, asked.cursor ?? 0, Number.MAX_SAFE_INTEGER, asked.limit + 1)
      const replicated = await run(replica.ask(oldestOf(kind, freshness, LISTED), recorded))
      // A replica that knows of nothing may just not have heard of it.
      const records = replicated === null || replicated.length === 0 ? await run(recorded({ outbox })) : replicated
      if (records.length === 0 && (await run(ledger.rows(kind, [id]))).rows.size === 0) throw notFound()
      const items = records.slice(0, asked.limit).map(({ position, version, event, recordedAt }) =>
        ({ position: formatPosition(position), versionId: version, type: event.type, recordedAt, data: toldOf(kind, event.data) }))
      const nextCursor = records.length > asked.limit ? formatCursor(String(items.at(-1)!.versionId)) : null
      return json(200, { items, nextCursor }, {
        "Cache-Control": cachingOf(kind), "Cache-Status": historyStatus, ...nextLink(exchange, { limit: String(asked.limit), cursor: nextCursor })
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
      const page = await run(queries.list(kind, { after, limit: size, where }, freshnessOf(exchange, authenticate)))
      const nextCursor = page.next === null ? null : formatCursor(page.next)
      return jsonBytes(200, listBody(page.entries, nextCursor), {
        "Cache-Control": cachingOf(kind),
        "Cache-Status": listStatus(page),
        ...nextLink(exchange, { ...where, limit: String(size), cursor: nextCursor })
      })
    }

    return kinds.flatMap((kind): readonly Route[] => {
      const scopes = [`${kind.scope}:read`], parameters = asking(kind), selection = selecting(kind)
      return [
        { method: "GET", path: `/v1/${kind.plural}`, scopes, about: listOperation(kind, parameters), handle: list(kind, parameters) },
        { method: "GET", path: `/v1/${kind.plural}/:id`, scopes, about: oneOperation(kind, selection), handle: one(kind, selection) },
        { method: "GET", path: `/v1/${kind.plural}/:id/events`, scopes, about: historyOperation(kind, events), handle: history(kind) }
      ]
    })
  })
