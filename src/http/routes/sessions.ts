import { Effect, Schema } from "effect"
import { integer } from "../../domain/Field.ts"
import { LONGEST_SECONDS } from "../../domain/sessions/Sessions.ts"
import type { NewSession, Sessions } from "../../domain/sessions/Sessions.ts"
import { bodyOf } from "../Exchange.ts"
import type { Exchange } from "../Exchange.ts"
import { sessionOperations } from "../openapi/sessions.ts"
import { HttpProblem } from "../problems.ts"
import { Id } from "../query.ts"
import { cacheStatus } from "../request/cacheStatus.ts"
import { json, noContent, NO_STORE, problem } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"
import { valid } from "../validate.ts"

const ID = /^[A-Za-z0-9._~-]{1,128}$/
const refusedChange = cacheStatus({ is: "fwd", reason: "method" })
const readFrom = { "Cache-Control": NO_STORE, "Cache-Status": cacheStatus({ is: "hit" }) }
const changed = { "Cache-Control": NO_STORE, "Cache-Status": cacheStatus({ is: "fwd", reason: "method", stored: true }) }
const away = cacheStatus({ is: "fwd", reason: "bypass", detail: "cache-unavailable" })

const SessionBody = Schema.Struct({
  data: Schema.Record(Schema.String, Schema.Unknown),
  ttlSeconds: integer(1, LONGEST_SECONDS).schema,
  customerId: Schema.optionalKey(Schema.NullOr(Id))
}) as unknown as Schema.Codec<Omit<NewSession, "customerId"> & { readonly customerId?: string | null }>

/** Sessions. Their ids are secrets: they stand in no log, and in the cache only as a keyed digest. */
export const sessionRoutes = (sessions: Sessions["Service"]): readonly Route[] => {
  const run = Effect.runPromise
  const none = () => new HttpProblem("not-found", "There is no such session.")

  const idOf = ({ c }: Exchange): string => {
    const id = c.req.param("id")!
    if (!ID.test(id)) throw none()
    return id
  }

  const put = async (exchange: Exchange): Promise<Reply> => {
    const { data, ttlSeconds, customerId } = valid(SessionBody, (await bodyOf(exchange, ["application/json"])).json)
    await run(sessions.set(idOf(exchange), { data, ttlSeconds, customerId: customerId ?? null }))
    return noContent(204, changed)
  }

  const get = async (exchange: Exchange): Promise<Reply> => {
    const session = await run(sessions.get(idOf(exchange)))
    // There are none but in the cache, so it knows.
    if (session === null) return problem(none(), exchange.requestId, readFrom)
    return json(200, { data: session.data, expiresAt: new Date(session.expiresAt).toISOString() }, readFrom)
  }

  const remove = async (exchange: Exchange): Promise<Reply> => {
    if (!(await run(sessions.delete(idOf(exchange))))) throw none()
    return noContent(204, changed)
  }

  const path = "/v1/sessions/:id", scopes = ["sessions"], about = sessionOperations({ type: "string", pattern: ID.source }, SessionBody)
  return [
    { method: "PUT", path, scopes, about: about.put, refusedStatus: refusedChange, handle: put },
    { method: "GET", path, scopes, about: about.get, refusedStatus: away, handle: get },
    { method: "DELETE", path, scopes, about: about.delete, refusedStatus: refusedChange, handle: remove }
  ]
}
