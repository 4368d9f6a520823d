import type { Exchange } from "./Exchange.ts"
import type { Operation } from "./openapi/Operation.ts"
import type { Reply } from "./respond.ts"

/** `null`: no key is needed. `[]`: any key. */
export type Scopes = readonly string[] | null

/** One route. The path is Hono's pattern, and the only name of it that logs and metrics ever see. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  readonly scopes: Scopes
  /** Served at `OPS_PORT`, if that is set, and only there. */
  readonly ops?: boolean
  /** With `OPS_PORT` set, answered there without a key. */
  readonly openOnOpsPort?: boolean
  /** What its problems say of the cache; nothing where they say it themselves, or where the cache has no part in it. */
  readonly refusedStatus?: string
  /** What the document says of it. */
  readonly about: Operation
  readonly handle: (exchange: Exchange) => Promise<Reply> | Reply
}
