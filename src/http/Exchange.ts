import type { Context as HonoContext } from "hono"
import type { Principal } from "../domain/access/ApiKeys.ts"
import type { Cause } from "../domain/ledger/Ledger.ts"
import { idempotencyKey, mediaType } from "./request/headers.ts"
import type { Fault, TraceContext } from "./request/headers.ts"
import { parseJson } from "./request/parseJson.ts"
import { readBody } from "./request/readBody.ts"
import { HttpProblem } from "./problems.ts"

/** One request, as its route sees it. */
export interface Exchange {
  readonly c: HonoContext
  readonly principal: Principal
  readonly requestId: string
  /** The caller's trace with a span of this request; the same with every call. */
  readonly trace: () => TraceContext
}

export const causeOf = ({ principal, requestId, trace }: Exchange): Cause => ({ actor: principal.id, trace: trace().header, request: requestId })

/** The value of a header that was read, or 400. */
export const readable = <A>(value: A | Fault): A => {
  if (typeof value === "object" && value !== null && "fault" in value) throw new HttpProblem("malformed", `${value.fault}.`)
  return value
}

export interface Body { readonly bytes: Uint8Array; readonly json: unknown }

/** Reads a body in the order of the checks: its size, its type, its JSON. `absent` is what no body at all says; undefined where there has to be one. */
export const bodyOf = async ({ c }: Exchange, types: readonly string[], absent?: unknown): Promise<Body> => {
  const bytes = await readBody(c.req.raw).catch(() => {
    // A client that hung up is no fault of the service, and hears no more of it.
    throw new HttpProblem("malformed", "The body did not come to its end.")
  })
  if (bytes === "too-large") throw new HttpProblem("too-large", "The body has more than 1 MiB.")
  if (bytes.length === 0 && absent !== undefined) return { bytes, json: absent }
  const type = c.req.header("content-type")
  if (bytes.length === 0 && type === undefined) throw new HttpProblem("malformed", "The request needs a body.")
  const coding = c.req.header("content-encoding") ?? "identity"
  if (coding !== "identity") throw new HttpProblem("unsupported-media-type", "The body must not have a content coding.")
  if (!types.includes(mediaType(type))) {
    throw new HttpProblem("unsupported-media-type", `The body has to be ${types.join(" or ")}.`)
  }
  const parsed = parseJson(bytes)
  if (!parsed.ok) throw new HttpProblem("malformed", parsed.detail)
  return { bytes, json: parsed.value }
}

/** The key of a repeatable request as its sender wrote it, null without one. */
export const keyOf = ({ c }: Exchange): string | null => readable(idempotencyKey(c.req.header("idempotency-key")))
