import type { CacheUnavailable } from "../domain/cache/CacheAccess.ts"
import type { Refusal, ReadRefusal } from "../domain/Refusal.ts"

type Fault = Refusal | ReadRefusal | CacheUnavailable

export interface ProblemType { readonly status: number; readonly title: string; readonly help: string }

const RETRY = "Nothing was changed. Try again after the seconds in Retry-After; with the same Idempotency-Key it cannot be done twice."

/** Every problem that the interface answers with, by name. Each has a page at `/problems/<name>`. */
export const PROBLEMS = {
  "malformed": { status: 400, title: "Malformed request", help: "The request cannot be read: its JSON, a header, the cursor, or a query parameter. Nothing was looked at beyond that. Correct it and send it again." },
  "unauthenticated": { status: 401, title: "No valid key", help: "Send `Authorization: Bearer <key>` with a key of this installation that was not revoked. An operator makes one with `npm run holdfast -- api-keys create`." },
  "forbidden": { status: 403, title: "The key lacks a scope", help: "The key is known but has not the scope that the detail names. An operator can make a key that has it." },
  "not-found": { status: 404, title: "Not found", help: "There is nothing at this path, or no such entity." },
  "deleted": { status: 410, title: "Deleted", help: "The entity existed and was deleted. Its history stays at `/events`." },
  "version-mismatch": { status: 412, title: "The version moved", help: "The entity is not at a version that If-Match names. Read it, decide again, and send the new version." },
  "method-not-allowed": { status: 405, title: "Method not allowed", help: "The path exists, but not for this method. `Allow` lists the methods that it takes." },
  "too-large": { status: 413, title: "Request too large", help: "A request body has at most 1 MiB. Send less at a time." },
  "unsupported-media-type": { status: 415, title: "Unsupported media type", help: "Bodies are `application/json`; a PATCH may also be `application/merge-patch+json`." },
  "invalid": { status: 422, title: "Invalid request", help: "The request was read, but is not valid. `errors` lists every fault, each with a pointer into the body." },
  "idempotency-key-reused": { status: 422, title: "Idempotency key reused", help: "The key was used for another request, with another method, path or body. Use a new key for a new request." },
  "idempotency-key-in-flight": { status: 409, title: "Idempotency key in flight", help: "The first request with this key has not ended yet. Try again after the seconds in Retry-After to get its answer." },
  "consistency-token-unknown": { status: 412, title: "Consistency token unknown", help: "The write that the token speaks of is not in the database: it was lost in a fail-over. Read without the token and decide again." },
  "rate-limited": { status: 429, title: "Too many requests", help: "Wait for the seconds in Retry-After." },
  "unavailable": { status: 503, title: "Unavailable", help: RETRY },
  "unknown-outcome": { status: 503, title: "Unknown outcome", help: "The connection was lost while the change was committed: it may have happened or not. Send the request again with the same Idempotency-Key to find out; without one, read the entity." },
  "sku-taken": { status: 409, title: "SKU taken", help: "Another product has this SKU. SKUs are case-sensitive, and a deleted product's is free again." },
  "email-taken": { status: 409, title: "E-mail taken", help: "Another customer has this e-mail address. Addresses are compared without regard to case, and an erased person's is free again." },
  "insufficient-stock": { status: 409, title: "Insufficient stock", help: "There is less stock than is asked for. Nothing was changed." },
  "price-changed": { status: 409, title: "Price changed", help: "The price that was sent is not the product's. Read the product and decide again." },
  "product-not-available": { status: 409, title: "Product not available", help: "The product was deleted or discontinued." },
  "customer-erased": { status: 409, title: "Customer erased", help: "The customer was erased and can place no orders." },
  "order-not-placed": { status: 409, title: "Order not placed", help: "Only a placed order can be paid." },
  "order-not-paid": { status: 409, title: "Order not paid", help: "Only a paid order can be shipped." },
  "order-not-shipped": { status: 409, title: "Order not shipped", help: "Only a shipped order can be delivered." },
  "order-not-cancellable": { status: 409, title: "Order not cancellable", help: "Only an order that is placed or paid can be cancelled." },
  "history-pruned": { status: 410, title: "History pruned", help: "Events as old as this takes are no longer kept. A listener begins at the oldest kept with `after=0`; of an entity the newest version can always be read. A repeated change is answered like this where it was done the first time, and its answer can no longer be made." }
} as const satisfies Readonly<Record<string, ProblemType>>

export type ProblemName = keyof typeof PROBLEMS
export interface FieldFault { readonly pointer?: string; readonly parameter?: string; readonly detail: string }

/** A problem on its way out. */
export class HttpProblem extends Error {
  readonly problem: ProblemName
  readonly errors: readonly FieldFault[]
  readonly headers: Readonly<Record<string, string>>

  constructor(problem: ProblemName, detail: string, options: { readonly errors?: readonly FieldFault[]; readonly headers?: Readonly<Record<string, string>> } = {}) {
    super(detail)
    this.problem = problem
    this.errors = options.errors ?? []
    this.headers = options.headers ?? {}
  }
}

const retryAfter = { headers: { "Retry-After": "1" } }

/** What is wrong with a body, all of it. */
export const invalid = (errors: readonly FieldFault[]): HttpProblem =>
  new HttpProblem("invalid", errors.length === 1 ? "One thing is not valid." : `${errors.length} things are not valid.`, { errors })

export const rateLimited = (detail: string): HttpProblem => new HttpProblem("rate-limited", detail, retryAfter)

/** What each refusal of the domain is on the wire. A new one without a line here does not compile. */
const OF_REFUSAL: { readonly [T in Fault["_tag"]]: (fault: Extract<Fault, { _tag: T }>) => HttpProblem } = {
  NotFound: () => new HttpProblem("not-found", "There is no such entity."),
  Deleted: () => new HttpProblem("deleted", "The entity was deleted."),
  VersionMismatch: () => new HttpProblem("version-mismatch", "The entity is at another version than If-Match names."),
  Refused: ({ problem, detail }) => new HttpProblem(problem, detail),
  Invalid: ({ faults }) => invalid(faults),
  KeyReused: () => new HttpProblem("idempotency-key-reused", "This Idempotency-Key belongs to a request with another method, path or body."),
  KeyInFlight: () => new HttpProblem("idempotency-key-in-flight", "The first request with this Idempotency-Key is still running.", retryAfter),
  TooContended: () => new HttpProblem("unavailable", "Too many others change the same entity at the moment.", retryAfter),
  TokenUnknown: () => new HttpProblem("consistency-token-unknown", "The database does not know the write that a Consistency-Token speaks of."),
  HistoryPruned: () => new HttpProblem("history-pruned", "Events that this takes are no longer kept."),
  CacheUnavailable: () => new HttpProblem("unavailable", "The cache cannot be reached at the moment.", retryAfter),
  DatabaseUnavailable: () => new HttpProblem("unavailable", "The database cannot be reached at the moment.", retryAfter),
  UnknownOutcome: () => new HttpProblem("unknown-outcome", "The connection was lost during the commit; whether the change happened is unknown.", retryAfter)
}

export const refusalOf = (fault: Fault): HttpProblem => OF_REFUSAL[fault._tag](fault as never)

/** Null where an error is nobody's refusal: a bug. */
export const problemOf = (error: unknown): HttpProblem | null => {
  if (error instanceof HttpProblem) return error
  const tag = (error as { readonly _tag?: string } | null)?._tag
  return tag !== undefined && tag in OF_REFUSAL ? refusalOf(error as Fault) : null
}
