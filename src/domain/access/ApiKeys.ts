import { Context } from "effect"
import type { Effect } from "effect"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"

export const SCOPES = [
  "catalog:read", "catalog:write", "orders:read", "orders:write", "orders:import", "customers:read", "customers:write", "customers:pii",
  "sessions", "changes:read", "ops:read", "ops:write"
] as const
export type Scope = typeof SCOPES[number]

/** Who sent a request, and what that one may do. */
export interface Principal { readonly id: string; readonly scopes: ReadonlySet<string> }

export interface ApiKey {
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  /** RFC 3339, UTC. */
  readonly createdAt: string
  readonly revokedAt: string | null
}

type Read<A> = Effect.Effect<A, DatabaseUnavailable>

/** The keys of those who may come in. Kept hashed; the text of a key is seen once, when it is made. */
export class ApiKeys extends Context.Service<ApiKeys, {
  /** Makes a key `hf_<id>_<secret>`. */
  readonly create: (name: string, scopes: readonly Scope[]) => Read<{ readonly id: string; readonly text: string }>
  readonly list: Read<readonly ApiKey[]>
  /** False where there is no such key that is not revoked already. */
  readonly revoke: (id: string) => Read<boolean>
  /** Whose key a text is, from memory (refreshed every 5 s, and once a second at most for a key that is not known); null where nobody's. */
  readonly authenticate: (text: string) => Promise<Principal | null>
}>()("holdfast/access/ApiKeys") {}
