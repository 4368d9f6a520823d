import { Effect, Layer } from "effect"
import { beforeEach, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { behindProxy, creating, freshDatabase, freshRedis, openServices, run } from "../../../test/support/services.ts"
import type { ServiceOptions } from "../../../test/support/services.ts"
import { Cache } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { formatCheckpoint, parseCheckpoint } from "../cache/Checkpoint.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Commands } from "../Commands.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { covers } from "../ledger/Snapshot.ts"
import type { Snapshot } from "../ledger/Snapshot.ts"
import { Purge } from "./Purge.ts"

const PURGED = "Partitions without a usable checkpoint were purged"

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeEach(async () => { database = await freshDatabase() })

const open = async (options: Partial<ServiceOptions> = {}) => {
  const services = await openServices({ database: database.url, ...options }), cache = services.get(Cache)
  await eventually(() => cache.ping())
  const { epoch } = await run(services.get(Ledger).snapshot)
  return {
    services, cache, epoch,
    purge: services.get(Purge),
    marker: (mark: string, pieces = 0) => formatCheckpoint({ is: "purge", epoch, mark: mark.repeat(16), pieces }),
    checkpoint: async (partition: number) => (await cache.checkpoints([partition]))[0]!,
    /** A product whose entry stands in the cache, and its partition. */
    stand: async () => {
      const { id } = await run(services.get(Commands).create(creating()))
      const key = services.get(Keyspace).keyOf("product", id)
      return { partition: key.partition, stands: async () => (await cache.describe(key)).value !== null }
    }
  }
}

test("entries and leases of a partition without a checkpoint go, those of others stay, and the fence of before is its checkpoint", async () => {
  const one = await open(), b = await one.stand()
  // What stands beside `b` stays too, and of the other partition there is one entry alone.
  let a = await one.stand()
  while (a.partition === b.partition) a = await one.stand()
  const before = await run(one.services.get(Ledger).snapshot)
  await run(one.purge.run([{ partition: a.partition, text: null }]))
  const after = await run(one.services.get(Ledger).snapshot)
  expect([await a.stands(), await b.stands()]).toEqual([false, true])
  const checkpoint = parseCheckpoint(await one.checkpoint(a.partition)) as { readonly snapshot: Snapshot }
  expect(checkpoint).toMatchObject({ is: "settled", epoch: one.epoch })
  expect([covers(checkpoint.snapshot, before.snapshot), covers(after.snapshot, checkpoint.snapshot)]).toEqual([true, true])
  expect(await one.checkpoint(b.partition)).toBeNull()
  expect(one.services.lines).toContainEqual({ level: "info", message: PURGED, fields: { partitions: 1, removed: 1, epoch: one.epoch } })
})

describe("a marker of somebody else", () => {
  test("is left alone for as long as it moves, and taken over when it has stood still for two seconds", async () => {
    const one = await open(), { partition, stands } = await one.stand()
    let pieces = 0
    await one.cache.mark(partition, null, one.marker("a"))
    const attempt = async () => run(one.purge.run([{ partition, text: await one.checkpoint(partition) }]))
    const began = performance.now()
    await eventually(async () => {
      await attempt()
      expect(await stands()).toBe(true)
      await one.cache.mark(partition, one.marker("a", pieces), one.marker("a", ++pieces))
      return performance.now() - began > 2_200
    })
    const left = performance.now()
    await eventually(async () => {
      await attempt()
      return !(await stands())
    })
    expect(performance.now() - left).toBeGreaterThan(1_900)
    expect(parseCheckpoint(await one.checkpoint(partition))).toMatchObject({ is: "settled" })
  })

  test("means that this purge has lost, and it stops: it removes nothing more and does not vouch for the partition", async () => {
    const redis = await freshRedis(), one = await open({ redis: redis.url }), other = await open({ redis: redis.url })
    const { partition, stands } = await one.stand(), access = other.services.get(CacheAccess)
    let commands = 0
    // Between its marker, which is its first command, and its first piece.
    const overtaken = CacheAccess.of({
      ...access,
      work: (operation) => Effect.tap(access.work(operation), () => Effect.promise(async () => {
        if (++commands > 1) return
        const theirs = await one.checkpoint(partition)
        expect(parseCheckpoint(theirs)).toMatchObject({ is: "purge", pieces: 0 })
        expect(await one.cache.mark(partition, theirs, one.marker("b"))).toBe(true)
      }))
    })
    const purge = await run(Effect.service(Purge).pipe(Effect.provide(Purge.layer.pipe(
      Layer.provide(Layer.succeed(CacheAccess, overtaken)), Layer.provide(Layer.succeedContext(other.services.context))
    ))) as Effect.Effect<Purge["Service"]>)
    await run(purge.run([{ partition, text: null }]))
    expect(commands).toBeGreaterThan(1)
    expect(await stands()).toBe(true)
    expect(await one.checkpoint(partition)).toBe(one.marker("b"))
    expect(other.services.lines.map(({ message }) => message)).not.toContain(PURGED)
  })

  test("that stands there first means that this purge does not begin", async () => {
    const one = await open(), { partition, stands } = await one.stand()
    await one.cache.mark(partition, null, one.marker("b"))
    await run(one.purge.run([{ partition, text: null }]))
    expect(await stands()).toBe(true)
    expect(await one.checkpoint(partition)).toBe(one.marker("b"))
  })
})

test("a partition of which a long scan finds nothing is counted all the same, so that nobody takes its purge for abandoned", async () => {
  const redis = await freshRedis(), one = await open({ redis: redis.url })
  await redis.cli("EVAL", "for i = 1, 20000 do redis.call('set', 'hf:{zz}:product:' .. i, '1') end", 0)
  const proxy = await behindProxy(redis.url), slow = await open({ redis: proxy.to })
  proxy.delay(60)
  const purging = run(slow.purge.run([{ partition: 0, text: null }]))
  await eventually(async () => {
    const at = parseCheckpoint(await one.checkpoint(0))
    return at?.is === "purge" && at.pieces > 0
  })
  await purging
  expect(parseCheckpoint(await one.checkpoint(0))).toMatchObject({ is: "settled" })
})
