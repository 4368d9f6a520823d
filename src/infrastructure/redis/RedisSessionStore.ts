import { Effect, Layer } from "effect"
import { Redis } from "ioredis"
import { SessionStore } from "../../domain/sessions/SessionStore.ts"
import { SETTINGS } from "./RedisCache.ts"

/** Sessions in Redis, on a connection of their own. What becomes of that connection the cache's own tells. */
export const layerRedisSessionStore = ({ url }: { readonly url: string }) =>
  Layer.effect(SessionStore, Effect.gen(function*() {
    const redis = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const client = new Redis(url, SETTINGS)
        // The cache's connection tells of it, and both are tried again.
        client.on("error", String)
        client.connect().catch(String)
        return client
      }),
      (client) => Effect.sync(() => client.disconnect())
    )
    return SessionStore.of({
      set: async (key, value, ttlMilliseconds) => { await redis.set(key, Buffer.from(value), "PX", ttlMilliseconds) },
      get: (key) => redis.getBuffer(key),
      delete: async (key) => await redis.del(key) === 1
    })
  }))
