import { Layer, ManagedRuntime } from "effect"
import { Redis } from "ioredis"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { eventually } from "../../../test/support/eventually.ts"
import { patientRedis } from "../../../test/support/patient.ts"
import { startProxy } from "../../../test/support/proxy.ts"
import { startRedis, type RedisOptions, type RedisServer } from "../../../test/support/redis.ts"
import { Cache } from "../../domain/cache/Cache.ts"
import { describeCache } from "../../domain/cache/Cache.contract.ts"
import { rankOf } from "../../domain/cache/Entry.ts"
import { checkpointKey } from "../../domain/cache/Keyspace.ts"
import { Log } from "../../domain/observe/Log.ts"
import { layerRedisCache, SETTINGS } from "./RedisCache.ts"

const undo: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

/** A machine that stalls for a second is no server that is silent: only where one is the product's own settings are needed. */
const PATIENT = 30_000, SILENT = SETTINGS.socketTimeout

const open = async (url: string, { poolMax = 2, patience = PATIENT }: { poolMax?: number; patience?: number | null } = {}) => {
  const lines: string[] = []
  const write = (level: string) => (message: string, fields = {}) => void lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  const log = Log.of({ debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") })
  const runtime = ManagedRuntime.make(Layer.provide(layerRedisCache({ url: patience === null ? url : patientRedis(url, patience), poolMax }), Layer.succeed(Log, log)))
  const cache = await runtime.runPromise(Cache)
  const close = () => runtime.dispose()
  return { cache, lines, close }
}
type Provider = Cache["Service"]

const serve = async (options: RedisOptions = {}): Promise<RedisServer> => {
  const server = await startRedis(options)
  undo.push(async () => {
    await server.thaw()
    await server.stop()
  })
  return server
}
const use = async (url: string, options: Parameters<typeof open>[1] = {}) => {
  const one = await open(url, options)
  undo.push(one.close)
  return one
}
const answers = (cache: Provider) => eventually(() => cache.ping().then(() => true), { within: 20_000 })
/** For tests that change the server's settings: one that others use refuses these options. */
const OWN: RedisOptions = { args: [] }
/** An own server, and a provider that has reached it. */
const ready = async (options: RedisOptions = {}, patience = PATIENT) => {
  const server = await serve(options), one = await use(server.url, { patience })
  await answers(one.cache)
  return { server, ...one }
}

const P = 5
const keyOf = (id: string) => ({ text: `${checkpointKey(P)}:product:${id}`, partition: P })
const k = keyOf("one")
const valueOf = (version: number, length = 60) => Buffer.from(`1${rankOf({ epoch: 1, version })}${"0".repeat(18)}e`.padEnd(length, "-"))
const putOf = (version: number, lease: string | null = null, length = 60, key = k) => ({ key, value: valueOf(version, length), lease, ttlMilliseconds: 60_000 })
const checkpoint = (mark: number) => `C${"0".repeat(11)}1${String(mark).padStart(16, "0")}${"0".repeat(12)}9:9:`
const settling = (version: number, mark: number, length = 60) => ({
  partition: P,
  entries: [{ key: k, rank: rankOf({ epoch: 1, version }), value: valueOf(version, length), ttlMilliseconds: 60_000 }],
  expected: checkpoint(mark), next: checkpoint(mark + 1), otherwise: checkpoint(mark + 2)
})
/** So many that no piece of a scan has them all. They stand for as long as it takes, as a lease does not. */
const fill = (server: RedisServer) =>
  server.cli("EVAL", "for n = 1, 5000 do redis.call('SET', KEYS[1] .. n, ARGV[1]) end", 1, keyOf("scanned-").text, String(valueOf(1)))
const versionOf = async (cache: Provider, key = k) => {
  const { value } = (await cache.look([{ key, checkpoint: false }]))[0]!
  return value === null ? null : parseInt(Buffer.from(value).toString("latin1").slice(13, 27), 16)
}
const given = async (cache: Provider, version: number, key = k) => {
  expect(await cache.lease([key], "mine")).toEqual([true])
  expect(await cache.fill([putOf(version, "mine", 60, key)])).toEqual(["stored"])
}

/** What must hold of every method: it works, or it rejects. */
const everyMethod = (cache: Provider): readonly (() => Promise<unknown>)[] => [
  () => cache.look([{ key: k, checkpoint: true }]),
  () => cache.lease([k], "mine"),
  () => cache.giveBack([k], "mine"),
  () => cache.store([putOf(1)]),
  () => cache.fill([putOf(1)]),
  () => cache.checkpoints([P]),
  () => cache.settle(settling(1, 1)),
  () => cache.mark(P, null, checkpoint(1)),
  () => cache.scan()[Symbol.asyncIterator]().next(),
  () => cache.purge(P, [k.text], checkpoint(1), checkpoint(2)),
  () => cache.evict(k),
  () => cache.describe(k),
  () => cache.ping()
]
const SCAN = 8
const rejected = async (cache: Provider) => (await Promise.allSettled(everyMethod(cache).map((method) => method()))).map(({ status }) => status === "rejected")
const expectAllRejected = async (cache: Provider) => expect(await rejected(cache)).not.toContain(false)

describe("against one server", () => {
  let server: RedisServer, cache: Provider, close: () => Promise<void>, direct: Redis
  beforeAll(async () => {
    server = await startRedis()
    direct = new Redis(server.url)
    const one = await open(server.url)
    cache = one.cache
    close = one.close
    await answers(cache)
  })
  afterAll(async () => {
    await close()
    direct.disconnect()
    await server.stop()
  })
  const empty = async () => {
    await direct.flushdb()
    return { cache }
  }

  describeCache("redis", empty)

  test("it promises all of the protocol", () => {
    expect([cache.name, cache.capabilities]).toEqual(["redis", []])
  })

  test("every script survives that the server forgot it", async () => {
    await empty()
    await cache.mark(P, null, checkpoint(1))
    const forgetful: readonly [() => Promise<unknown>, unknown][] = [
      [() => cache.lease([k], "mine"), [true]],
      [() => cache.fill([putOf(1, "mine")]), ["stored"]],
      [() => cache.store([putOf(2)]), ["stored"]],
      [() => cache.settle(settling(3, 1)), { behind: [0], broken: [], moved: true }],
      [() => cache.mark(P, checkpoint(2), checkpoint(3)), true],
      [() => cache.purge(P, [k.text], checkpoint(3), checkpoint(4)), true],
      [() => cache.lease([k], "mine"), [true]],
      [() => cache.giveBack([k], "mine"), undefined],
      [() => cache.lease([k], "other"), [true]]
    ]
    for (const [method, answer] of forgetful) {
      await direct.script("FLUSH")
      expect(await method()).toEqual(answer)
    }
  })

  test("scripts sent in one go are all answered when they are forgotten in the middle", async () => {
    await empty()
    await given(cache, 1)
    const outcomes: Promise<readonly string[]>[] = []
    for (let version = 2; version < 300; version++) {
      outcomes.push(cache.store([putOf(version)]))
      if (version % 50 === 0) await direct.script("FLUSH")
    }
    await Promise.all(outcomes)
    expect(await versionOf(cache)).toBe(299)
  })

  test("a look is one command, in which each checkpoint is asked for once", async () => {
    await empty()
    const before = await direct.info("commandstats")
    await cache.look(["a", "b", "c"].map((id) => ({ key: keyOf(id), checkpoint: true })))
    const after = await direct.info("commandstats")
    const calls = (stats: string) => Number(/cmdstat_mget:calls=(\d+)/.exec(stats)?.[1] ?? 0)
    expect(calls(after) - calls(before)).toBe(1)
    const slow = await direct.config("SET", "slowlog-log-slower-than", "0")
    expect(slow).toBe("OK")
    await cache.look(["a", "b", "c"].map((id) => ({ key: keyOf(id), checkpoint: true })))
    const log = await direct.slowlog("GET", 10) as [number, number, number, string[]][]
    await direct.config("SET", "slowlog-log-slower-than", "-1")
    expect(log.map(([, , , command]) => command).find(([name]) => name!.toLowerCase() === "mget"))
      .toEqual(["mget", keyOf("a").text, keyOf("b").text, keyOf("c").text, checkpointKey(P)])
  })

  test("puts of one partition go into scripts of at most 100 entries and 256 KB", async () => {
    const scriptsFor = async (count: number, length: number) => {
      await empty()
      await direct.config("RESETSTAT")
      await cache.store(Array.from({ length: count }, (_, i) => putOf(1, null, length, keyOf(String(i)))))
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await direct.info("commandstats"))![1])
    }
    expect(await scriptsFor(100, 60)).toBe(1)
    expect(await scriptsFor(201, 60)).toBe(3)
    expect(await scriptsFor(9, 64 * 1024)).toBe(3)
  })

  test("what somebody put there by hand is no entry: a fill leaves it, a store and settling remove it", async () => {
    const spoil = async (how: "type" | "text") => {
      await empty()
      await (how === "type" ? direct.hset(k.text, "a", "b") : direct.set(k.text, "1cut"))
      await given(cache, 1, keyOf("two"))
    }
    for (const how of ["type", "text"] as const) {
      await spoil(how)
      expect(await cache.lease([k], "mine")).toEqual([false])
      expect(await cache.fill([putOf(2, "mine"), putOf(2, null, 60, keyOf("two"))])).toEqual(["absent", "stored"])
      expect(await direct.exists(k.text)).toBe(1)
      expect(await cache.store([putOf(2)])).toEqual(["absent"])
      expect(await direct.exists(k.text)).toBe(0)
      await spoil(how)
      await cache.mark(P, null, checkpoint(1))
      expect(await cache.settle(settling(2, 1))).toEqual({ behind: [], broken: [], moved: true })
      expect(await direct.exists(k.text)).toBe(0)
    }
  })

  test("a header that is no number counts as older than any", async () => {
    await empty()
    await direct.set(k.text, valueOf(9).toString().replace(/^1.{26}/, `1${"z".repeat(26)}`))
    expect(await cache.store([putOf(1)])).toEqual(["stored"])
  })

  test("a checkpoint and what has no time to live are described so", async () => {
    await empty()
    await cache.mark(P, null, checkpoint(1))
    expect(await cache.describe({ text: checkpointKey(P), partition: P })).toEqual({ value: Buffer.from(checkpoint(1)), ttlMilliseconds: null })
  })

  test("one connection is enough", async () => {
    const { cache: other } = await use(server.url, { poolMax: 1 })
    await answers(other)
    await empty()
    await given(other, 1)
    expect(await other.mark(P, null, checkpoint(1))).toBe(true)
    expect(await versionOf(other)).toBe(1)
  })
})

describe("when the server dies", () => {
  test("killed and started again on its port, it is used again, and each change of state is logged once", async () => {
    const { server, cache, lines } = await ready()
    await given(cache, 1)
    await server.kill()
    await eventually(() => cache.ping().then(() => false, () => true))
    await expectAllRejected(cache)
    await server.start()
    await answers(cache)
    expect(await versionOf(cache)).toBe(null)
    await given(cache, 2)
    expect(lines).toEqual(["info Redis is connected {}", expect.stringMatching(/^warn Redis cannot be reached \{"reason":/), "info Redis is connected {}"])
  })

  test("frozen, its silent sockets are given up, after which nothing waits; thawed, it is used again", async () => {
    const { server, cache, lines } = await ready({}, SILENT)
    await given(cache, 1)
    await server.freeze()
    await expectAllRejected(cache)
    await eventually(() => lines.length === 2, { within: 20_000 })
    // Before any timer or any answer could be: what is sent to a connection that is not there is rejected where it is.
    const turn = new Promise((resume) => { setImmediate(resume, "waits") })
    const atOnce = everyMethod(cache).map((method) => Promise.race([method().then(() => "answers", () => "rejected"), turn]))
    // Except that a scan asks first who answers, which a connection may be asked while it is being made.
    expect((await Promise.all(atOnce)).filter((_, i) => i !== SCAN)).toEqual(Array.from({ length: atOnce.length - 1 }, () => "rejected"))
    await expectAllRejected(cache)
    await server.thaw()
    await answers(cache)
    await given(cache, 2, keyOf("two"))
    expect(lines.length).toBe(3)
  })

  test("behind a network that swallows everything, or answers, or is cut, it is used again when the network is back", async () => {
    const server = await serve()
    const proxy = await startProxy({ host: "127.0.0.1", port: server.port })
    undo.push(proxy.stop)
    const { cache, lines } = await use(proxy.url("redis"), { patience: SILENT })
    await answers(cache)
    for (const fault of [() => proxy.blackhole(), () => proxy.blackhole("answers"), () => proxy.cut()]) {
      const before = lines.length
      await fault()
      await expectAllRejected(cache)
      await eventually(() => lines.length === before + 1, { within: 20_000 })
      await proxy.restore()
      await answers(cache)
    }
    expect(lines.length).toBe(7)
  })

  test("a deadline in the URL is the client's; one that is no number of milliseconds is passed over", async () => {
    const server = await serve()
    for (const search of ["connectTimeout=30000&commandTimeout=30000", "connectTimeout=soon&socketTimeout=&db=0"]) {
      const { cache } = await use(`${server.url}?${search}`, { patience: null })
      await answers(cache)
      await given(cache, 1, keyOf(search))
      expect(await versionOf(cache, keyOf(search))).toBe(1)
    }
  })

  test("a scan does not go on with the cursor of a server that was started again", async () => {
    const { server, cache } = await ready({ persistent: true })
    await fill(server)
    const pieces = cache.scan()[Symbol.asyncIterator]()
    expect((await pieces.next()).value!.length).toBeGreaterThan(0)
    await server.kill()
    await eventually(() => cache.ping().then(() => false, () => true))
    await server.start()
    await answers(cache)
    await expect(pieces.next()).rejects.toThrow("the connection was lost during the scan")
  })

  test("a scan that another server took over does not end as one that has seen everything", async () => {
    const [first, second] = await Promise.all([serve(OWN), serve(OWN)])
    const proxy = await startProxy({ host: "127.0.0.1", port: first.port })
    undo.push(proxy.stop)
    const { cache } = await use(proxy.url("redis"))
    await answers(cache)
    for (const server of [first, second]) await fill(server)
    const pieces = cache.scan()[Symbol.asyncIterator]()
    expect((await pieces.next()).value!.length).toBeGreaterThan(0)
    const hold = proxy.hold((request) => request.includes("scan"))
    const piece = pieces.next()
    expect(await hold.caught(5_000)).toBe(true)
    proxy.move(second.port)
    hold.release()
    expect((await piece).done).toBe(false)
    await expect((async () => {
      while (!(await pieces.next()).done) { /* to its end */ }
    })()).rejects.toThrow("another server took over during the scan")
  })

  test("a scan goes on to its end where the server does not tell who it is", async () => {
    const { server, cache } = await ready(OWN)
    await server.cli("SET", k.text, String(valueOf(1)))
    await server.cli("ACL", "SETUSER", "default", "-info")
    const seen: string[] = []
    for await (const piece of cache.scan()) seen.push(...piece)
    expect(seen).toEqual([k.text])
  })
})

describe("a server that cannot be reached", () => {
  test.each([
    ["", "error The Redis URL cannot be used"],
    ["no url", "error The Redis URL cannot be used"],
    ["http://127.0.0.1:6379", "error The Redis URL cannot be used"],
    ["redis://:hunter2@127.0.0.1:99999", "error The Redis URL cannot be used"],
    ["redis://:hunter2%zz@127.0.0.1", "error The Redis URL cannot be used"],
    ["redis://:hunter2@127.0.0.1:1", "warn Redis cannot be reached {\"reason\":\"ECONNREFUSED\"}"],
    ["rediss://:hunter2@127.0.0.1:1", "warn Redis cannot be reached {\"reason\":\"ECONNREFUSED\"}"]
  ])("%j does not stop the start, is logged once without its password, and every method rejects", async (url, line) => {
    const { cache, lines } = await use(url, { patience: null })
    await eventually(() => lines.length > 0, { within: 20_000 })
    await expectAllRejected(cache)
    await expectAllRejected(cache)
    expect(lines).toEqual([expect.stringContaining(line)])
    expect(lines.join()).not.toContain("hunter2")
  })

  test("one that starts later is used then", async () => {
    const server = await serve()
    await server.kill()
    const { cache, lines } = await use(server.url)
    await eventually(() => lines.length === 1, { within: 20_000 })
    await server.start()
    await answers(cache)
    expect(lines[1]).toBe("info Redis is connected {}")
  })

  test("a wrong password is logged once, and not told", async () => {
    const server = await serve(OWN)
    await server.cli("CONFIG", "SET", "requirepass", "right")
    const { cache, lines } = await use(server.url.replace("//", "//:hunter2@"))
    await eventually(() => lines.length > 0)
    await expectAllRejected(cache)
    expect(lines).toEqual([expect.stringContaining("warn Redis cannot be reached")])
    expect(lines.join()).not.toContain("hunter2")
  })
})

describe("a server that refuses", () => {
  test("closing the layer logs nothing and ends the connections", async () => {
    const server = await serve()
    const { cache, lines, close } = await open(server.url)
    await answers(cache)
    await close()
    await expectAllRejected(cache)
    await eventually(async () => !String(await server.cli("CLIENT", "LIST")).includes("name=holdfast"))
    expect(lines).toEqual(["info Redis is connected {}"])
  })

  test("a full one goes on with hits; fills and leases are not given, what would be stale goes, and settling moves its checkpoint", async () => {
    const { server, cache } = await ready(OWN)
    await given(cache, 1)
    await given(cache, 1, keyOf("two"))
    await given(cache, 1, keyOf("three"))
    await cache.lease([keyOf("leased"), keyOf("leased too")], "mine")
    await cache.mark(P, null, checkpoint(1))
    await server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await server.cli("CONFIG", "SET", "maxmemory", "1")
    expect(await versionOf(cache)).toBe(1)
    expect(await cache.lease([keyOf("absent")], "mine")).toEqual([false])
    expect(await cache.fill([putOf(1, "mine", 60, keyOf("leased")), putOf(1, "mine", 60, keyOf("leased too"))])).toEqual(["absent", "absent"])
    expect(await cache.store([putOf(2, null, 60, keyOf("two")), putOf(2, null, 60, keyOf("three"))])).toEqual(["absent", "absent"])
    expect((await cache.look(["leased", "leased too", "two", "three"].map((id) => ({ key: keyOf(id), checkpoint: false })))).map(({ value }) => value)).toEqual([null, null, null, null])
    expect(await cache.settle(settling(2, 1))).toEqual({ behind: [0], broken: [], moved: true })
    expect(await versionOf(cache)).toBe(2)
    expect(await cache.mark(P, checkpoint(2), checkpoint(3))).toBe(true)
    expect(await cache.mark(P + 1, null, checkpoint(1))).toBe(true)
    await server.cli("CONFIG", "SET", "maxmemory", "0")
    expect(await cache.lease([keyOf("absent")], "mine")).toEqual([true])
  })

  test("one that became a replica rejects every write, also where nothing would change, and is left for whoever its name now leads to", async () => {
    const { server, cache, lines } = await ready(OWN)
    await given(cache, 3)
    await server.cli("REPLICAOF", "127.0.0.1", "1")
    for (const write of [
      () => cache.store([putOf(4)]), () => cache.store([putOf(3)]), () => cache.store([putOf(1)]),
      () => cache.store([putOf(1, null, 60, keyOf("absent"))]), () => cache.fill([putOf(2)]), () => cache.lease([keyOf("absent")], "mine"), () => cache.evict(k)
    ]) {
      await answers(cache)
      const before = lines.length
      await expect(write()).rejects.toThrow("READONLY")
      await eventually(() => lines.slice(before).some((line) => line.startsWith("warn Redis cannot be reached")))
    }
    await server.cli("REPLICAOF", "NO", "ONE")
    await answers(cache)
    expect(await cache.store([putOf(4)])).toEqual(["stored"])
  })

  test("one that became a replica is left once, however many commands it rejects, and nothing is printed past the log", async () => {
    const { server, cache, lines } = await ready(OWN)
    const warnings: string[] = [], warned = ({ message }: Error) => void warnings.push(message)
    process.on("warning", warned)
    undo.push(async () => void process.off("warning", warned))
    await server.cli("REPLICAOF", "127.0.0.1", "1")
    const before = lines.length
    const stores = await Promise.allSettled(Array.from({ length: 60 }, (_, n) => cache.store([putOf(1, null, 60, keyOf(`of ${n}`))])))
    expect(new Set(stores.map(({ status }) => status))).toEqual(new Set(["rejected"]))
    await eventually(() => lines.slice(before).some((line) => line.startsWith("warn Redis cannot be reached")))
    expect(warnings).toEqual([])
  })

  test("one that may evict checkpoints is warned of, once; the other policies are not", async () => {
    for (const policy of ["noeviction", "volatile-lru", "volatile-ttl", "allkeys-lru", "allkeys-random"]) {
      const { server, cache, lines } = await ready({ args: ["--maxmemory-policy", policy] })
      const warnings = () => lines.filter((line) => line.includes("maxmemory-policy"))
      // The answer about the policy comes before that of any later command on its connection.
      await cache.evict(k)
      const expected = policy.startsWith("allkeys") ? [expect.stringContaining("warn Redis may evict checkpoints")] : []
      expect(warnings()).toEqual(expected)
      await server.kill()
      await server.start()
      await answers(cache)
      await cache.evict(k)
      expect(warnings()).toEqual(expected)
    }
  })

  test("one that does not tell its policy is used all the same", async () => {
    const server = await serve(OWN)
    await server.cli("ACL", "SETUSER", "limited", "on", ">pass", "~*", "+@all", "-info")
    const { cache, lines } = await use(server.url.replace("//", "//limited:pass@"))
    await answers(cache)
    await given(cache, 1)
    await eventually(() => lines.length === 2, { within: 20_000 })
    expect(lines.toSorted()).toEqual([expect.stringContaining("info Redis does not tell its maxmemory-policy"), "info Redis is connected {}"])
  })
})
