import { Clock, Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import type { CacheUnavailable } from "../cache/CacheAccess.ts"
import { Keyring } from "../secrets/Keyring.ts"
import { SessionStore } from "./SessionStore.ts"

export interface NewSession {
  readonly data: Readonly<Record<string, unknown>>
  readonly ttlSeconds: number
  /** Whose session it is; null where nobody said. */
  readonly customerId: string | null
}

export interface Session extends Pick<NewSession, "data"> {
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

interface Kept extends Session, Pick<NewSession, "customerId"> {}

/**
 * Sessions, tier 2: their ids are secrets, so the cache sees only a keyed digest of them, and their content sealed. Bound to
 * its key, a value moved to another session opens nothing.
 */
export class Sessions extends Context.Service<Sessions, {
  readonly set: (id: string, session: NewSession) => Effect.Effect<void, CacheUnavailable>
  /** Null where there is none, or no longer. */
  readonly get: (id: string) => Effect.Effect<Session | null, CacheUnavailable>
  /** False where there was none. */
  readonly delete: (id: string) => Effect.Effect<boolean, CacheUnavailable>
}>()("holdfast/sessions/Sessions") {
  static readonly layer = Layer.effect(Sessions, Effect.gen(function*() {
    const access = yield* CacheAccess, store = yield* SessionStore, keyring = yield* Keyring
    const keyOf = (id: string) => `hf-session:${keyring.digest("session id", id)}`

    return Sessions.of({
      set: Effect.fnUntraced(function*(id, { data, ttlSeconds, customerId }) {
        const key = keyOf(id), ttl = ttlSeconds * 1_000
        const session: Kept = { data, customerId, expiresAt: (yield* Clock.currentTimeMillis) + ttl }
        const sealed = keyring.seal("session", Buffer.from(JSON.stringify(session)), key)
        yield* access.call(() => store.set(key, sealed, ttl))
      }),
      get: Effect.fnUntraced(function*(id) {
        const key = keyOf(id)
        const sealed = yield* access.call(() => store.get(key))
        const plain = sealed === null ? null : keyring.open("session", sealed, key)
        if (plain === null) return null
        const session: Kept = JSON.parse(Buffer.from(plain).toString())
        // The store's clock may be behind: what has expired is not there any more.
        return session.expiresAt > (yield* Clock.currentTimeMillis) ? session : null
      }),
      delete: (id) => access.call(() => store.delete(keyOf(id)))
    })
  }))
}
