import { Effect, Layer } from "effect"
import { IssuedTokens } from "../domain/access/IssuedTokens.ts"
import { RateLimiter } from "../domain/access/RateLimiter.ts"
import { CacheAccess } from "../domain/cache/CacheAccess.ts"
import { layerCacheReturn } from "../domain/cache/CacheReturn.ts"
import { Keyspace } from "../domain/cache/Keyspace.ts"
import { Commands } from "../domain/Commands.ts"
import { kinds } from "../domain/kinds/kinds.ts"
import { Queries } from "../domain/Queries.ts"
import { Purge } from "../domain/sync/Purge.ts"
import { Relay } from "../domain/sync/Relay.ts"
import { Sessions } from "../domain/sessions/Sessions.ts"
import { RelayLag } from "../domain/sync/RelayLag.ts"
import { Replay } from "../domain/sync/Replay.ts"
import { WriteThrough } from "../domain/sync/WriteThrough.ts"
import type { Configuration } from "./configuration/readConfiguration.ts"
import { layerFileKeyring } from "./crypto/FileKeyring.ts"
import { readKeyring } from "./crypto/keyringFile.ts"
import { layerNodeIdentifiers } from "./crypto/NodeIdentifiers.ts"
import { layerJwtTokens } from "./jwt/JwtTokens.ts"
import { layerMemoryCache } from "./memory/MemoryCache.ts"
import { layerMemorySessionStore } from "./memory/MemorySessionStore.ts"
import { layerPrometheusMetrics } from "./metrics/PrometheusMetrics.ts"
import { layerPgBossLeases } from "./pgboss/PgBossLeases.ts"
import { checkSchema } from "./postgres/migrate.ts"
import { Postgres } from "./postgres/Postgres.ts"
import { layerPostgresApiKeys } from "./postgres/PostgresApiKeys.ts"
import { layerPostgresAudit } from "./postgres/PostgresAudit.ts"
import { layerPostgresLedger } from "./postgres/PostgresLedger.ts"
import { layerPostgresOutbox } from "./postgres/PostgresOutbox.ts"
import { layerPostgresRetryQueue } from "./postgres/PostgresRetryQueue.ts"
import { layerPostgresUpkeep } from "./postgres/PostgresUpkeep.ts"
import { layerRedisCache } from "./redis/RedisCache.ts"
import { layerRedisSessionStore } from "./redis/RedisSessionStore.ts"

/** A configuration whose database is known: the one named, or the embedded one that was started. */
export interface Running extends Configuration {
  readonly DATABASE_URL: string
  readonly embedded: boolean
  /** For an installation without load on a machine that stalls, whose cache is never to be passed over; no variable sets it. */
  readonly shortestDeadlineMilliseconds?: number | undefined
}

/** The registry of providers: which port is kept by what. */
const layerCache = ({ REDIS_URL }: Running) => REDIS_URL === null ? layerMemoryCache() : layerRedisCache({ url: REDIS_URL })
const layerPostgres = ({ DATABASE_URL, DATABASE_POOL_MAX }: Running) => Postgres.layer({ url: DATABASE_URL, poolMax: DATABASE_POOL_MAX })

// The key of a development machine is one only where nobody else can knock.
const LOOPBACK = ["127.0.0.1", "::1", "localhost"]
const layerKeys = ({ BOOTSTRAP_API_KEY, HOST, embedded }: Running) =>
  layerPostgresApiKeys({ bootstrapKey: BOOTSTRAP_API_KEY, devKey: embedded && LOOPBACK.includes(HOST) })

const layerTokens = ({ JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_JWKS_URL: url }: Running) =>
  issuer === null ? IssuedTokens.none : layerJwtTokens({ issuer, audience: audience!, url: url! })

/** Sessions are sealed, so without a keyring there are none. */
const layerSessions = ({ KEYRING_FILE, REDIS_URL }: Running) =>
  KEYRING_FILE === null ? Layer.empty : Sessions.layer.pipe(
    Layer.provide(layerFileKeyring(readKeyring(KEYRING_FILE))),
    Layer.provide(REDIS_URL === null ? layerMemorySessionStore : layerRedisSessionStore({ url: REDIS_URL }))
  )

/** What the command line needs: keys and the queue. Needs `Log`. */
export const layerTools = (running: Running) => Layer.mergeAll(layerKeys(running), layerPostgresRetryQueue).pipe(Layer.provideMerge(layerPostgres(running)))

/** Every service of a process that serves or relays. Needs `Log`. Refuses a database whose schema is not this version's. */
export const layerServices = (running: Running) => {
  const ttl = { ttlMilliseconds: running.CACHE_TTL_SECONDS * 1_000 }
  // Fewer than the pool has: reads that wait for Postgres must not keep writes from a connection.
  const lane = Math.max(2, Math.floor(running.DATABASE_POOL_MAX / 2))
  const identified = Layer.unwrap(Effect.map(checkSchema({ partitions: running.CACHE_PARTITIONS }), ({ tokenSecret }) => layerNodeIdentifiers({ secret: tokenSecret })))
  const ports = Layer.mergeAll(
    layerCache(running), layerPostgresLedger, layerPostgresOutbox, layerKeys(running), layerPostgresRetryQueue, layerPostgresAudit, layerPostgresUpkeep
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(identified, Keyspace.layer(running.CACHE_PARTITIONS), layerPrometheusMetrics())),
    Layer.provideMerge(layerPostgres(running))
  )
  const entrance = Layer.mergeAll(RateLimiter.layer(running.RATE_LIMIT_PER_SECOND), layerTokens(running), layerSessions(running))
  return Layer.mergeAll(entrance, Commands.layer, Queries.layer({ ...ttl, lane, fallback: running.POSTGRES_FALLBACK_ENABLED }), RelayLag.layer, Replay.layer({ kinds, ...ttl }), layerCacheReturn).pipe(
    Layer.provideMerge(WriteThrough.layer(ttl)),
    Layer.provideMerge(CacheAccess.layer({
      attempts: running.FALLBACK_RETRY_ATTEMPTS, syncBudgetMilliseconds: running.SYNC_BUDGET_MS, shortestDeadlineMilliseconds: running.shortestDeadlineMilliseconds
    })),
    Layer.provideMerge(ports)
  )
}

/** What a process that relays needs beside the services. */
export const layerRelaying = (running: Running) =>
  Relay.layer({ kinds, ttlMilliseconds: running.CACHE_TTL_SECONDS * 1_000 }).pipe(
    Layer.provideMerge(Purge.layer),
    Layer.merge(layerPgBossLeases({ url: running.DATABASE_URL }))
  )
