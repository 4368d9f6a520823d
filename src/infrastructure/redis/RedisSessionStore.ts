import { Effect, Layer } from "effect"
import { SessionStore } from "../../domain/sessions/SessionStore.ts"
import { clientOf, script } from "./RedisCache.ts"

const runSet = script("setSession.lua"), runEnd = script("endSessions.lua")

const ownersKey = (owner: string) => `hf-sessions-of:${owner}`
/** A value begins with its owner, so that it is ended with the right one. */
const prefixOf = (owner: string) => `${owner}\n`
const NEWLINE = 0x0a

/** Sessions in Redis, on a connection of their own. What becomes of that connection the cache's own tells. */
export const layerRedisSessionStore = ({ url }: { readonly url: string }) =>
  Layer.effect(SessionStore, Effect.gen(function*() {
    const redis = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const client = clientOf(url)
        // The cache's connection tells of it, and both are tried again.
        client.on("error", String)
        client.connect().catch(String)
        return client
      }),
      (client) => Effect.sync(() => client.disconnect())
    )
    return SessionStore.of({
      set: async (key, value, ttlMilliseconds, owner) => {
        const kept = Buffer.concat([Buffer.from(prefixOf(owner ?? "")), value])
        if (owner === null) await redis.set(key, kept, "PX", ttlMilliseconds)
        else await runSet(redis, [key, ownersKey(owner)], [kept, ttlMilliseconds])
      },
      get: async (key) => {
        const kept = await redis.getBuffer(key)
        if (kept === null) return null
        const at = kept.indexOf(NEWLINE), owner = kept.toString("latin1", 0, at)
        // What leads from the owner to the session may have been evicted before the sessions were ended.
        const ended = owner !== "" && await redis.zscore(ownersKey(owner), "ended") !== null
        return ended ? null : kept.subarray(at + 1)
      },
      delete: async (key) => await redis.del(key) === 1,
      end: (owner, refusedMilliseconds) => runEnd(redis, [ownersKey(owner)], [prefixOf(owner), refusedMilliseconds]) as Promise<number>
    })
  }))
