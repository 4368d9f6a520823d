import { Clock, Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import type { CacheUnavailable } from "../cache/CacheAccess.ts"
import { Latest } from "../cache/Latest.ts"
import { Keyring } from "../secrets/Keyring.ts"
import { SubjectKeys } from "../secrets/SubjectKeys.ts"
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

/** No session is longer. */
export const LONGEST_SECONDS = 2_592_000

/** So many persons are known to be living, each for so many milliseconds: as long as their keys are kept. */
const MOST_LIVING = 10_000, LIVING = 60_000

/**
 * Sessions, tier 2: their ids are secrets, so the cache sees only a keyed digest of them, and their content sealed. Bound to
 * its key, a value moved to another session opens nothing.
 */
export class Sessions extends Context.Service<Sessions, {
  /** One of a person who was erased is not kept, and nothing says so: whoever asks for it finds none. */
  readonly set: (id: string, session: NewSession) => Effect.Effect<void, CacheUnavailable>
  /** Null where there is none, or no longer. */
  readonly get: (id: string) => Effect.Effect<Session | null, CacheUnavailable>
  /** False where there was none. */
  readonly delete: (id: string) => Effect.Effect<boolean, CacheUnavailable>
  /** Ends the sessions of a person who was erased, and answers how many there were. */
  readonly end: (customerId: string) => Effect.Effect<number, CacheUnavailable>
}>()("holdfast/sessions/Sessions") {
  static readonly layer = Layer.effect(Sessions, Effect.gen(function*() {
    const access = yield* CacheAccess, store = yield* SessionStore, keyring = yield* Keyring, keys = yield* SubjectKeys
    const keyOf = (id: string) => `hf-session:${keyring.digest("session id", id)}`
    const ownerOf = (customerId: string) => keyring.digest("session owner", customerId.toLowerCase())

    // The store itself refuses who was erased in the last 30 days, and whoever is erased at this moment; this is for those
    // before. A session does not wait for a database that is away.
    const isErased = (customerId: string) => keys.isErased(customerId).pipe(Effect.timeout("1 second"), Effect.orElseSucceed(() => false))

    const living = new Latest<number>(MOST_LIVING)
    const end = (customerId: string) => {
      living.set(ownerOf(customerId), 0)
      return access.call(() => store.end(ownerOf(customerId), LONGEST_SECONDS * 1_000))
    }

    /** What the store says of it is lost with a restore, or a fail-over, to a moment before the erasure; then it is told again. */
    const isEnded = Effect.fnUntraced(function*(customerId: string): Effect.fn.Return<boolean, CacheUnavailable> {
      const owner = ownerOf(customerId), now = yield* Clock.currentTimeMillis
      if ((living.get(owner) ?? 0) > now) return false
      const erased = yield* isErased(customerId)
      if (erased) yield* end(customerId)
      else living.set(owner, now + LIVING)
      return erased
    })

    return Sessions.of({
      set: Effect.fnUntraced(function*(id, { data, ttlSeconds, customerId }) {
        const key = keyOf(id), ttl = ttlSeconds * 1_000
        if (customerId !== null && (yield* isErased(customerId))) return yield* Effect.asVoid(access.call(() => store.delete(key)))
        const session: Kept = { data, customerId, expiresAt: (yield* Clock.currentTimeMillis) + ttl }
        const sealed = keyring.seal("session", Buffer.from(JSON.stringify(session)), key)
        yield* access.call(() => store.set(key, sealed, ttl, customerId === null ? null : ownerOf(customerId)))
      }),
      get: Effect.fnUntraced(function*(id) {
        const key = keyOf(id)
        const sealed = yield* access.call(() => store.get(key))
        const plain = sealed === null ? null : keyring.open("session", sealed, key)
        if (plain === null) return null
        const session: Kept = JSON.parse(Buffer.from(plain).toString())
        // The store's clock may be behind: what has expired is not there any more.
        if (session.expiresAt <= (yield* Clock.currentTimeMillis)) return null
        return session.customerId !== null && (yield* isEnded(session.customerId)) ? null : session
      }),
      delete: (id) => access.call(() => store.delete(keyOf(id))),
      end
    })
  }))
}
