import { hostname } from "node:os"
import { Effect, Layer } from "effect"
import { IssuedTokens } from "../domain/access/IssuedTokens.ts"
import { RateLimiter } from "../domain/access/RateLimiter.ts"
import { Cache } from "../domain/cache/Cache.ts"
import { CacheAccess } from "../domain/cache/CacheAccess.ts"
import { layerCacheReturn } from "../domain/cache/CacheReturn.ts"
import { Entries } from "../domain/cache/Entries.ts"
import { Keyspace } from "../domain/cache/Keyspace.ts"
import { Transitions } from "../domain/cache/Transitions.ts"
import { newestEpoch } from "../domain/cache/newestEpoch.ts"
import { Commands } from "../domain/Commands.ts"
import { Disclosures } from "../domain/Disclosures.ts"
import { Erasure } from "../domain/erasure/Erasure.ts"
import type { Kind } from "../domain/Kind.ts"
import { kinds as allKinds } from "../domain/kinds/kinds.ts"
import { layerNewLife } from "../domain/layerNewLife.ts"
import { Epochs } from "../domain/ledger/Epochs.ts"
import { Queries } from "../domain/Queries.ts"
import { PersonalData } from "../domain/secrets/PersonalData.ts"
import { Sessions } from "../domain/sessions/Sessions.ts"
import { ShadowReads } from "../domain/shadow/ShadowReads.ts"
import { Purge } from "../domain/sync/Purge.ts"
import { Relay } from "../domain/sync/Relay.ts"
import { RelayLag } from "../domain/sync/RelayLag.ts"
import { Replay } from "../domain/sync/Replay.ts"
import { RowsCheck } from "../domain/sync/RowsCheck.ts"
import { Verification } from "../domain/sync/Verification.ts"
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
import { layerPostgresErasures } from "./postgres/PostgresErasures.ts"
import { layerPostgresLedger } from "./postgres/PostgresLedger.ts"
import { layerPostgresOutbox } from "./postgres/PostgresOutbox.ts"
import { layerNoReplica, layerWatchedReplica } from "./postgres/PostgresReplica.ts"
import { layerPostgresRetryQueue } from "./postgres/PostgresRetryQueue.ts"
import { layerPostgresSubjectKeys } from "./postgres/PostgresSubjectKeys.ts"
import { layerPostgresUpkeep } from "./postgres/PostgresUpkeep.ts"
import { layerPostgresVerificationRuns } from "./postgres/PostgresVerificationRuns.ts"
import { layerRedisCache } from "./redis/RedisCache.ts"
import { layerRedisSessionStore } from "./redis/RedisSessionStore.ts"

/** A configuration whose database is known: the one named, or the embedded one that was started. */
export interface Located extends Configuration { readonly DATABASE_URL: string; readonly embedded: boolean }
/** With the keyring that every process has. */
export interface Running extends Located {
  readonly KEYRING_FILE: string
  /** For an installation without load on a machine that stalls, whose cache is never to be passed over; no variable sets it. */
  readonly shortestDeadlineMilliseconds?: number | undefined
}

/** The registry of providers: which port is kept by what. */
const layerCache = ({ REDIS_URL }: Located) => REDIS_URL === null ? layerMemoryCache() : layerRedisCache({ url: REDIS_URL })
const layerPostgres = ({ DATABASE_URL, DATABASE_POOL_MAX }: Located) => Postgres.layer({ url: DATABASE_URL, poolMax: DATABASE_POOL_MAX })

/** Whose connections are compared before they are used, and who gives a new life its number: more than the cache knows of. Needs the cache. */
const layerLivingPostgres = ({ DATABASE_URL, DATABASE_POOL_MAX, CACHE_PARTITIONS }: Located) =>
  Layer.effect(Epochs, Effect.map(Postgres, ({ epochs }) => epochs)).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(Cache, (cache) =>
      Postgres.layer({ url: DATABASE_URL, poolMax: DATABASE_POOL_MAX, newestCached: () => Effect.runPromise(newestEpoch(cache, CACHE_PARTITIONS)) }))))
  )

// The key of a development machine is one only where nobody else can knock.
const LOOPBACK = ["127.0.0.1", "::1", "localhost"]
const layerKeys = ({ BOOTSTRAP_API_KEY, HOST, embedded }: Located) =>
  layerPostgresApiKeys({ bootstrapKey: BOOTSTRAP_API_KEY, devKey: embedded && LOOPBACK.includes(HOST) })

const layerTokens = ({ JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_JWKS_URL: url }: Running) =>
  issuer === null ? IssuedTokens.none : layerJwtTokens({ issuer, audience: audience!, url: url! })

const layerReplica = ({ DB_REPLICA_URL: url, DATABASE_POOL_MAX: poolMax }: Running) => url === null ? layerNoReplica : layerWatchedReplica({ url, poolMax })

const layerKeyring = ({ KEYRING_FILE }: Running) => layerFileKeyring(readKeyring(KEYRING_FILE))

const layerSubjectKeys = ({ SUBJECT_KEYS_URL, DATABASE_URL }: Running) =>
  layerPostgresSubjectKeys({ url: SUBJECT_KEYS_URL ?? DATABASE_URL, apart: SUBJECT_KEYS_URL !== null })

// Before the keys are asked for: where they are not, nobody is to be asked for one.
const checkInstallation = ({ CACHE_PARTITIONS, SUBJECT_KEYS_URL }: Running) =>
  checkSchema({ partitions: CACHE_PARTITIONS, subjectKeysApart: SUBJECT_KEYS_URL !== null })

const layerSessions = ({ REDIS_URL }: Running) =>
  Sessions.layer.pipe(Layer.provide(REDIS_URL === null ? layerMemorySessionStore : layerRedisSessionStore({ url: REDIS_URL })))

/** What the command line needs: keys and the queue. Needs `Log`. */
export const layerTools = (running: Located) => Layer.mergeAll(layerKeys(running), layerPostgresRetryQueue).pipe(Layer.provideMerge(layerPostgres(running)))

/** What begins a life by hand: the database and the cache. Needs `Log`. */
export const layerEpochs = (running: Located) => Layer.mergeAll(layerCache(running), layerPostgres(running))

/** The runs over all entities, to ask for one and to follow it. Needs `Log`. Refuses a database whose schema is not this version's. */
export const layerRuns = (located: Located) =>
  layerPostgresVerificationRuns.pipe(
    Layer.provide(Layer.unwrap(Effect.map(checkSchema({ partitions: located.CACHE_PARTITIONS }), ({ tokenSecret }) => layerNodeIdentifiers({ secret: tokenSecret })))),
    Layer.provide(layerPostgres(located))
  )

/** What holds rows against events: the database and the keys, and no cache. Needs `Log`. Refuses a database whose schema is not this version's. */
export const layerRowsCheck = (running: Running) =>
  RowsCheck.layer.pipe(
    Layer.provide(Layer.mergeAll(layerPostgresLedger, layerPostgresOutbox, PersonalData.layer)),
    Layer.provide(Layer.mergeAll(Keyspace.layer(running.CACHE_PARTITIONS, allKinds), layerSubjectKeys(running))),
    Layer.provide(layerKeyring(running)),
    Layer.provide(Layer.effectDiscard(checkInstallation(running))),
    Layer.provide(layerPostgres(running))
  )

/** Every service of a process that serves or relays. Needs `Log`. Refuses a database whose schema is not this version's. */
export const layerServices = (running: Running, kinds: readonly Kind[] = allKinds) => {
  const ttl = { ttlMilliseconds: running.CACHE_TTL_SECONDS * 1_000 }
  // Fewer than the pool has: reads that wait for Postgres must not keep writes from a connection.
  const lane = Math.max(2, Math.floor(running.DATABASE_POOL_MAX / 2))
  const identified = Layer.unwrap(Effect.map(checkInstallation(running), ({ tokenSecret }) => layerNodeIdentifiers({ secret: tokenSecret })))
  const ports = Layer.mergeAll(
    layerPostgresLedger, layerPostgresOutbox, layerReplica(running), layerKeys(running), layerPostgresRetryQueue, layerPostgresAudit, layerPostgresUpkeep({ retentionMonths: running.OUTBOX_RETENTION_MONTHS }), layerPostgresErasures, layerPostgresVerificationRuns
  ).pipe(
    Layer.provideMerge(PersonalData.layer),
    Layer.provideMerge(layerSubjectKeys(running)),
    Layer.provideMerge(Layer.mergeAll(identified, Entries.layer, layerPrometheusMetrics(), Transitions.layer({ process: `${process.pid}@${hostname()}` }))),
    Layer.provideMerge(Keyspace.layer(running.CACHE_PARTITIONS, kinds)),
    Layer.provideMerge(layerKeyring(running)),
    Layer.provideMerge(layerLivingPostgres(running)),
    Layer.provideMerge(layerCache(running))
  )
  const entrance = Layer.mergeAll(RateLimiter.layer(running.RATE_LIMIT_PER_SECOND), layerTokens(running))
  return Layer.mergeAll(entrance, Erasure.layer({ kinds }).pipe(Layer.provideMerge(Commands.layer)), Disclosures.layer, layerNewLife.pipe(Layer.provideMerge(Queries.layer({ ...ttl, lane, fallback: running.POSTGRES_FALLBACK_ENABLED }))), RelayLag.layer, Replay.layer({ kinds, ...ttl }), Verification.layer({ kinds, ...ttl }).pipe(Layer.provide(RowsCheck.layer)), layerCacheReturn).pipe(
    Layer.provideMerge(layerSessions(running)),
    Layer.provideMerge(WriteThrough.layer(ttl)),
    Layer.provideMerge(ShadowReads.layer(running.CACHE_READS)),
    Layer.provideMerge(CacheAccess.layer({
      attempts: running.FALLBACK_RETRY_ATTEMPTS, syncBudgetMilliseconds: running.SYNC_BUDGET_MS, shortestDeadlineMilliseconds: running.shortestDeadlineMilliseconds
    })),
    Layer.provideMerge(ports)
  )
}

/** What a process that relays needs beside the services. */
export const layerRelaying = (running: Running) =>
  Relay.layer({ kinds: allKinds, ttlMilliseconds: running.CACHE_TTL_SECONDS * 1_000 }).pipe(
    Layer.provideMerge(Purge.layer),
    Layer.merge(layerPgBossLeases({ url: running.DATABASE_URL }))
  )
