import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { keptLog } from "../../../test/support/services.ts"
import { layerFileKeyring } from "../../infrastructure/crypto/FileKeyring.ts"
import { layerMemoryCache } from "../../infrastructure/memory/MemoryCache.ts"
import { layerPrometheusMetrics } from "../../infrastructure/metrics/PrometheusMetrics.ts"
import { kinds } from "../kinds/kinds.ts"
import { Log } from "../observe/Log.ts"
import { Cache } from "./Cache.ts"
import { CacheAccess } from "./CacheAccess.ts"
import { Keyspace } from "./Keyspace.ts"
import { Transitions } from "./Transitions.ts"

// Asked for again under one token, a request that was given up could arrive after all, and put back a lease that was broken
// meanwhile: under it a fill would create what was read before the change that broke it.
test("no lease is asked for twice under one token: one whose answer was lost is not used", async () => {
  const key = { text: "hf:{ru}:product:1", partition: 0 }
  const program = Effect.gen(function*() {
    const cache = yield* Cache
    const asked: string[] = []
    // The answer to the first request is lost on its way.
    const lossy = Cache.of({
      ...cache,
      lease: async (keys, token) => {
        asked.push(token)
        const given = await cache.lease(keys, token)
        if (asked.length === 1) throw new Error("connection lost")
        return given
      }
    })
    const keyring = layerFileKeyring({ primary: 1, keys: new Map([[1, Buffer.alloc(32, 1)]]), index: Buffer.alloc(32, 2) })
    const keyspace = Layer.provide(Keyspace.layer(64, kinds), keyring)
    const layer = CacheAccess.layer({ attempts: 3, syncBudgetMilliseconds: 25 }).pipe(
      Layer.provide(Layer.mergeAll(Layer.succeed(Cache, lossy), Layer.succeed(Log, keptLog().log), layerPrometheusMetrics(), Transitions.layer({ process: "test" }), keyspace))
    )
    const fault = yield* Effect.flip(Effect.provide(Effect.flatMap(CacheAccess, (access) => access.lease([key], "a".repeat(32))), layer))
    expect(fault).toMatchObject({ _tag: "CacheUnavailable" })
    expect(asked).toEqual(["a".repeat(32)])
  })
  await Effect.runPromise(Effect.provide(program, layerMemoryCache()))
})
