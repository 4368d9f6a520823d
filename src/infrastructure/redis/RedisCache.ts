import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { Effect, Layer } from "effect"
import { Redis } from "ioredis"
import type { RedisOptions } from "ioredis"
import { Cache, LEASE_MILLISECONDS, MOST_BYTES, MOST_ENTRIES } from "../../domain/cache/Cache.ts"
import type { Outcome, Put } from "../../domain/cache/Cache.ts"
import type { Value } from "../../domain/cache/Entry.ts"
import { checkpointKey } from "../../domain/cache/Keyspace.ts"
import { Log } from "../../domain/observe/Log.ts"

export interface RedisCacheOptions {
  /** `redis://` or `rediss://`. One that cannot be used is logged, and every command rejects. */
  readonly url: string
  /** At most so many connections, 2 if not said. More than 2 would gain nothing: commands do not wait for each other's answers. */
  readonly poolMax?: number
}

export const SETTINGS = {
  lazyConnect: true,
  connectionName: "holdfast",
  disableClientInfo: true,
  // Nothing of RESP3 is used, and KeyDB and proxies answer RESP2 alike.
  protocol: 2 as const,
  // A command that cannot leave at once is answered by Postgres, and one whose connection broke must not be repeated later.
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // A server that is frozen, or behind a network that swallows everything, keeps its sockets open: one that is silent for
  // this long while an answer is due is given up, and a new one is tried. Whoever asks has shorter deadlines of his own.
  connectTimeout: 1_000,
  socketTimeout: 1_000,
  commandTimeout: 1_000,
  keepAlive: 5_000,
  maxLoadingRetryTime: 200,
  retryStrategy: (attempt) => Math.min(50 * 2 ** (attempt - 1), 1_000)
} satisfies RedisOptions

/** What the URL says of the deadlines, as numbers: the client takes them as the text that they are there, and a deadline of text ends the process. */
const deadlinesIn = (url: string): { readonly server: string; readonly deadlines: Partial<typeof SETTINGS> } => {
  if (!URL.canParse(url)) return { server: url, deadlines: {} }
  const target = new URL(url), said = Array.from(target.searchParams).filter(([name]) => name.endsWith("Timeout"))
  for (const [name] of said) target.searchParams.delete(name)
  return { server: target.href, deadlines: Object.fromEntries(said.map(([name, text]) => [name, Number(text)]).filter(([, milliseconds]) => Number(milliseconds) > 0)) }
}

/** A client with these settings, which leaves a server that no longer takes writes: another node is the master now, and its name, asked again, leads there. */
export const clientOf = (url: string): Redis => {
  // Once per connection: everything that is under way is answered so, and the client would hang another listener on the socket for each.
  let leaves = false
  const { server, deadlines } = deadlinesIn(url)
  const redis = new Redis(server, { ...SETTINGS, ...deadlines, reconnectOnError: (error) => !leaves && (leaves = error.message.includes("READONLY")) })
  redis.on("close", () => { leaves = false })
  return redis
}

/** By EVALSHA. A restart, a fail-over and SCRIPT FLUSH make the server forget the text, which is then sent. */
export const script = (file: string) => {
  const text = readFileSync(new URL(file, import.meta.url), "utf8")
  const sha = createHash("sha1").update(text).digest("hex")
  return (redis: Redis, keys: readonly string[], args: readonly (string | Buffer | number)[]): Promise<unknown> =>
    redis.evalsha(sha, keys.length, ...keys, ...args).catch((error: Error) => {
      if (!error.message.startsWith("NOSCRIPT")) throw error
      return redis.eval(text, keys.length, ...keys, ...args)
    })
}

const runStore = script("store.lua"), runSettle = script("settle.lua"), runPurge = script("purge.lua"), runGiveBack = script("giveBack.lua"), runCount = script("count.lua")

/** The client would send any other array of bytes as the text of its numbers. */
const bufferOf = (value: Value): Buffer => Buffer.from(value.buffer, value.byteOffset, value.length)

/** The places of puts that go into one script: of one partition, and not so many that they hold the cache up. */
const scriptsOf = (puts: readonly Put[]): readonly (readonly number[])[] => {
  const last = new Map<number, { readonly places: number[]; bytes: number }>()
  const all: number[][] = []
  puts.forEach(({ key, value }, place) => {
    let one = last.get(key.partition)
    if (one === undefined || one.places.length === MOST_ENTRIES || one.bytes + value.length > MOST_BYTES) {
      one = { places: [], bytes: 0 }
      last.set(key.partition, one)
      all.push(one.places)
    }
    one.places.push(place)
    one.bytes += value.length
  })
  return all
}

const put = async (redis: Redis, puts: readonly Put[], breaks: "0" | "1"): Promise<readonly Outcome[]> => {
  const outcomes: Outcome[] = []
  await Promise.all(scriptsOf(puts).map(async (places) => {
    const these = places.map((place) => puts[place]!)
    const answers = await runStore(
      redis,
      [checkpointKey(these[0]!.key.partition), ...these.map(({ key }) => key.text)],
      [breaks, ...these.flatMap(({ value, lease, ttlMilliseconds }) => [bufferOf(value), lease ?? "", ttlMilliseconds])]
    ) as readonly Outcome[]
    places.forEach((place, i) => { outcomes[place] = answers[i]! })
  }))
  return outcomes
}

const get = (redis: Redis, keys: readonly string[]): Promise<readonly (Buffer | null)[]> =>
  keys.length === 0 ? Promise.resolve([]) : redis.mgetBuffer([...keys])

/** Connections that are made and made again in the background. One that is not there rejects what it is given, at once. */
const connect = ({ url, poolMax = 2 }: RedisCacheOptions, log: Log["Service"]) => {
  // The client takes what has no scheme for a host's name, and nothing at all for this machine.
  if (!/^rediss?:/.test(url)) throw new Error("no Redis URL")
  const all = Array.from({ length: Math.min(poolMax, 2) }, () => clientOf(url))
  let reachable: boolean | null = null, reason = "closed"
  const seen = (now: boolean) => {
    if (now === reachable) return
    reachable = now
    if (now) log.info("Redis is connected")
    else log.warn("Redis cannot be reached", { reason })
  }
  for (const redis of all) {
    redis.on("error", (error: NodeJS.ErrnoException) => { reason = error.code ?? error.message })
    redis.on("ready", () => { if (all.every(({ status }) => status === "ready")) seen(true) })
    redis.on("close", () => seen(false))
    redis.connect().catch(() => "tried again")
  }
  all[0]!.once("ready", () => {
    all[0]!.info("memory").then(
      (memory) => {
        if (/^maxmemory_policy:allkeys/m.test(memory)) {
          log.warn("Redis may evict checkpoints, after which the cache is emptied: set maxmemory-policy to noeviction or a volatile one")
        }
      },
      () => log.info("Redis does not tell its maxmemory-policy: it should be noeviction or a volatile one")
    )
  })
  const close = () => {
    reachable = false
    for (const redis of all) redis.disconnect()
  }
  return { all, close }
}

const unusable = (log: Log["Service"]) => {
  log.error("The Redis URL cannot be used")
  const never = new Redis(SETTINGS)
  never.disconnect()
  return { all: [never], close: () => {} }
}

/** Redis, or Valkey, as a single server. */
export const layerRedisCache = (options: RedisCacheOptions) =>
  Layer.effect(Cache, Effect.gen(function*() {
    const log = yield* Log
    const { all } = yield* Effect.acquireRelease(
      Effect.try(() => connect(options, log)).pipe(Effect.catch(() => Effect.sync(() => unusable(log)))),
      ({ close }) => Effect.sync(close)
    )
    // What takes the server long has a connection of its own, so that no hit waits behind it.
    const front = all[0]!, back = all.at(-1)!
    let lost = 0
    back.on("close", () => lost++)

    /** Which server answers: behind a proxy that keeps its clients over a fail-over it becomes another one, and no connection ends. Null where it does not say. */
    const server = async () => /^run_id:(\w+)/m.exec(await back.info("server").catch(() => ""))?.[1] ?? null

    const purge = async (partition: number, keys: readonly string[], expected: string, next: string) =>
      await runPurge(back, [checkpointKey(partition), ...keys], [expected, next]) === 1

    return Cache.of({
      name: "redis",
      capabilities: [],
      look: async (wanted) => {
        const places = new Map<number, number>()
        for (const { key, checkpoint } of wanted) {
          if (checkpoint && !places.has(key.partition)) places.set(key.partition, wanted.length + places.size)
        }
        const found = await get(front, [...wanted.map(({ key }) => key.text), ...Array.from(places.keys(), checkpointKey)])
        return wanted.map(({ key, checkpoint }, i) => ({
          value: found[i]!,
          checkpoint: checkpoint ? found[places.get(key.partition)!]?.toString() ?? null : null
        }))
      },
      lease: async (keys, token) => {
        const commands = front.pipeline()
        for (const { text } of keys) commands.set(text, `L${token}`, "PX", LEASE_MILLISECONDS, "NX")
        return (await commands.exec())!.map(([error, answer]) => {
          if (error !== null && !error.message.startsWith("OOM")) throw error
          return answer === "OK"
        })
      },
      giveBack: async (keys, token) => {
        await Promise.all(keys.map(({ text }) => runGiveBack(front, [text], [token])))
      },
      store: (puts) => put(front, puts, "1"),
      fill: (puts) => put(front, puts, "0"),
      checkpoints: async (partitions) => (await get(back, partitions.map(checkpointKey))).map((text) => text?.toString() ?? null),
      settle: async ({ partition, entries, expected, next, otherwise }) => {
        const verdict = await runSettle(
          back,
          [checkpointKey(partition), ...entries.map(({ key }) => key.text)],
          [expected, next, otherwise, ...entries.flatMap(({ rank, value, ttlMilliseconds }) => [rank, value === null ? "" : bufferOf(value), ttlMilliseconds])]
        ) as readonly [0 | 1, readonly number[], readonly number[]] | null
        return verdict === null ? null : { moved: verdict[0] === 1, behind: verdict[1], broken: verdict[2] }
      },
      mark: (partition, expected, next) => purge(partition, [], expected ?? "", next),
      scan: async function*() {
        const began = lost, first = await server()
        let cursor = "0"
        do {
          const [following, keys] = await back.scan(cursor, "MATCH", "hf:{*}:*", "COUNT", 1_000)
          // A server that was started again, or another one, makes nothing of a cursor, and keys would be missed.
          if (lost !== began) throw new Error("the connection was lost during the scan")
          yield keys
          cursor = following
        } while (cursor !== "0")
        const last = await server()
        if (first !== null && last !== null && last !== first) throw new Error("another server took over during the scan")
      },
      purge,
      evict: async (key) => { await front.del(key.text) },
      describe: async (key) => {
        // No MULTI: a full Redis queues nothing, not even reads.
        const [value, ttl] = await Promise.all([back.getBuffer(key.text), back.pttl(key.text)])
        return { value, ttlMilliseconds: ttl < 0 ? null : ttl }
      },
      count: (name, ttlMilliseconds) => runCount(front, [name], [ttlMilliseconds]) as Promise<number>,
      ping: async () => { await Promise.all(all.map((redis) => redis.ping())) }
    })
  }))
