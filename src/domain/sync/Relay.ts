import { Context, Effect, Layer } from "effect"
import { MOST_BYTES, MOST_ENTRIES } from "../cache/Cache.ts"
import type { Settled } from "../cache/Cache.ts"
import { CacheAccess } from "../cache/CacheAccess.ts"
import type { CacheUnavailable } from "../cache/CacheAccess.ts"
import { formatCheckpoint, parseCheckpoint } from "../cache/Checkpoint.ts"
import type { Checkpoint } from "../cache/Checkpoint.ts"
import { Entries } from "../cache/Entries.ts"
import { rankOf, removalOf, timeToLive } from "../cache/Entry.ts"
import { Keyspace } from "../cache/Keyspace.ts"
import { Transitions } from "../cache/Transitions.ts"
import { Identifiers } from "../Identifiers.ts"
import type { Kind } from "../Kind.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"
import { Outbox } from "../ledger/Outbox.ts"
import type { Look, Pending } from "../ledger/Outbox.ts"
import { advance, durable, formatSnapshot } from "../ledger/Snapshot.ts"
import type { Snapshot } from "../ledger/Snapshot.ts"
import { Metrics } from "../observe/Metrics.ts"
import { encode } from "./encode.ts"
import { Purge } from "./Purge.ts"
import { RetryQueue } from "./RetryQueue.ts"

type Fault = DatabaseUnavailable | CacheUnavailable
type Place = Extract<Checkpoint, { is: "settled" }>

/** A look brings at most so many records, unless one transaction has written more. */
const BATCH = 2_000
/** Partitions without news are moved along this often, in milliseconds. */
const MOVE_ALONG = 1_000

/** What a lane remembers of a partition: only that nothing happened in it between its checkpoint and a later look. */
interface Memory { readonly text: string; readonly looked: Snapshot; readonly movedAt: number }

export interface Attendance {
  /** How long ago the lane's oldest checkpoint was moved, by the database's clock; infinite where one is missing. */
  readonly neglectedMilliseconds: number
  /** Whether somebody else has moved a checkpoint of the lane since this process last did. */
  readonly others: boolean
}

export interface Lane {
  /** One look at the log and the settling of what it found; true where there may be more at once. */
  readonly round: Effect.Effect<boolean, Fault>
  /** Whether the lane is being worked. */
  readonly attendance: Effect.Effect<Attendance, Fault>
}

/**
 * Settles every outbox event with the cache: it works from the checkpoint that it finds in the cache, sees what became
 * visible since (ahead of the fence too), and moves the checkpoint in the same script that compares and repairs.
 */
export class Relay extends Context.Service<Relay, {
  /** A group of partitions that are worked together. */
  readonly lane: (partitions: readonly number[]) => Lane
}>()("holdfast/sync/Relay") {
  static readonly layer = (options: { readonly kinds: readonly Kind[]; readonly ttlMilliseconds: number }) => Layer.effect(Relay, make(options))
}

const make = (options: { readonly kinds: readonly Kind[]; readonly ttlMilliseconds: number }) =>
  Effect.gen(function*() {
    const access = yield* CacheAccess, outbox = yield* Outbox, ledger = yield* Ledger, keyspace = yield* Keyspace, purge = yield* Purge
    const queue = yield* RetryQueue, identifiers = yield* Identifiers, metrics = yield* Metrics, transitions = yield* Transitions
    const kinds = new Map(options.kinds.map((kind) => [kind.name, kind])), encoded = encode(yield* Entries)

    /** The current rows of what was found behind, as the cache is to have them. What cannot be encoded is removed and queued. */
    const contents = Effect.fnUntraced(function*(found: readonly Pending[]) {
      const values = new Map<string, Pick<Settled, "value" | "ttlMilliseconds">>()
      for (const [name, ofKind] of Map.groupBy(found, ({ kind }) => kind)) {
        const kind = kinds.get(name)!
        const { epoch, rows } = yield* ledger.rows(kind, ofKind.map(({ id }) => id))
        // A row that is not there any more: its event was read in a life of the database that is over. What the cache has of it goes.
        const removal = removalOf({ epoch, version: 0, sequence: 0, keyId: 0 })
        for (const { id } of ofKind) values.set(id, { value: removal, ttlMilliseconds: 0 })
        for (const row of rows.values()) {
          const { value, encodable } = encoded(kind, row)
          if (!encodable) yield* queue.owe([{ kind: name, id: row.id, version: row.version, reason: "cannot be encoded" }])
          values.set(row.id, { value, ttlMilliseconds: timeToLive(value, options.ttlMilliseconds, identifiers.random()) })
        }
      }
      return values
    })

    /** Scripts of at most 100 entries and 256 KB. */
    const pieces = (entries: readonly Settled[]): readonly (readonly Settled[])[] => {
      const out: Settled[][] = [[]]
      let bytes = 0
      for (const entry of entries) {
        const size = entry.value?.length ?? 0
        if (out.at(-1)!.length === MOST_ENTRIES || bytes + size > MOST_BYTES) {
          out.push([])
          bytes = 0
        }
        out.at(-1)!.push(entry)
        bytes += size
      }
      return out
    }

    const marked = (place: Omit<Place, "mark">): string => formatCheckpoint({ ...place, mark: identifiers.mark() } as Place)

    /**
     * Brings a partition from one place to the next; answers the checkpoint that then stands there, or null where somebody
     * else moved it. Every script takes a fresh mark, and only the last one moves: a fail-over in between is seen. `clock`
     * is the database's, or ahead of it: what was found is counted by the age of the write when the cache was looked at.
     */
    const settle = Effect.fnUntraced(function*(partition: number, standing: string, from: Place, to: Place, found: readonly Pending[], clock: () => number) {
      let expected = standing
      let entries: readonly Settled[] = found.map(({ kind, id, version }) =>
        ({ key: keyspace.keyOf(kind, id), rank: rankOf({ epoch: to.epoch, version }), value: null, ttlMilliseconds: 0 }))
      let records = found
      const ages = new Map<Pending, number>(), behind = new Set<Pending>()
      for (;;) {
        const left: number[] = []
        const all = pieces(entries)
        for (let i = 0, done = 0; i < all.length; done += all[i++]!.length) {
          const piece = all[i]!
          const next = i === all.length - 1 && left.length === 0 ? marked(to) : marked(from)
          const otherwise = marked(from), now = clock()
          const verdict = yield* access.work((cache) => cache.settle({ partition, entries: piece, expected, next, otherwise }))
          if (verdict === null) return null
          expected = verdict.moved ? next : otherwise
          // The second look, which brings the content, says nothing of how old it was at the first.
          piece.forEach((_, at) => {
            const record = records[done + at]!
            if (!ages.has(record)) ages.set(record, now - record.recordedAt)
          })
          for (const at of verdict.broken) transitions.record(piece[at]!.key, "settle", records[done + at]!.version, "lease broken")
          for (const at of verdict.behind) {
            const record = records[done + at]!, { key, value } = piece[at]!
            behind.add(record)
            if (value === null) left.push(done + at)
            transitions.record(key, "settle", record.version, value === null ? "behind" : "brought up to date")
          }
        }
        if (left.length === 0) break
        records = left.map((at) => records[at]!)
        const values = yield* contents(records)
        entries = left.map((at, i) => ({ ...entries[at]!, ...values.get(records[i]!.id)! }))
      }
      for (const [record, age] of ages) metrics.settled(age, behind.has(record))
      return expected
    })

    /** What became visible since a snapshot: all of it, or whole transactions, and where they are to be had at least one of them. */
    const since = Effect.fnUntraced(function*(epoch: number, from: Snapshot, partitions: readonly number[]) {
      for (let limit = BATCH;; limit *= 2) {
        const look = yield* outbox.since(epoch, from, partitions, limit)
        const { pending } = look, whole = pending.length < limit
        // One transaction, cut off: none of it may be settled before all of it is there.
        if (whole || pending[0]!.transaction !== pending.at(-1)!.transaction) return { look, whole }
      }
    })

    /** How far a look got, and what it found; the last transaction is left out where the batch may have cut it. */
    const cut = (from: Snapshot, look: Look, whole: boolean): { readonly pending: readonly Pending[]; readonly to: Snapshot } => {
      if (whole) return { pending: look.pending, to: durable(look.snapshot, look.last < from.xmax ? from.xmax - 1n : look.last) }
      const last = look.pending.at(-1)!.transaction
      const pending = look.pending.filter(({ transaction }) => transaction !== last)
      return { pending, to: advance(from, look.snapshot, pending.at(-1)!.transaction) }
    }

    /** Of several records of one entity the newest. */
    const newest = (pending: readonly Pending[]): readonly Pending[] => {
      const byKey = new Map<string, Pending>()
      for (const record of pending) {
        const known = byKey.get(record.id)
        if (known === undefined || known.version < record.version) byKey.set(record.id, record)
      }
      return [...byKey.values()]
    }

    const lane = (partitions: readonly number[]): Lane => {
      const memory = new Map<number, Memory>()

      const ahead = (place: Place, look: Look) => place.epoch > look.epoch || (place.epoch === look.epoch && place.snapshot.xmax > look.snapshot.xmax)

      const group = Effect.fnUntraced(function*(members: readonly { readonly partition: number; readonly text: string; readonly place: Place }[], from: Snapshot) {
        const began = performance.now()
        const { look, whole } = yield* since(members[0]!.place.epoch, from, members.map(({ partition }) => partition))
        // Of a life of the database that is not this one, or no longer: `CacheReturn` says so, and nothing is read from it.
        if (members.some(({ place }) => ahead(place, look))) return false
        const old = members.filter(({ place }) => place.epoch < look.epoch)
        if (old.length > 0) {
          yield* purge.run(old)
          return true
        }
        // Nobody knows what the entries are worth that events were about which are gone.
        if (from.xmin <= look.pruned) {
          yield* purge.run(members)
          return true
        }
        const { pending, to } = cut(from, look, whole)
        const found = Map.groupBy(newest(pending), ({ partition }) => partition)
        const now = performance.now()
        // It was read after the question was sent, so this is never too little, and no age is flattered.
        const clock = () => look.time + performance.now() - began
        yield* Effect.forEach(members, Effect.fnUntraced(function*({ partition, text, place }) {
          const records = found.get(partition) ?? []
          const remembered = memory.get(partition)
          if (records.length === 0 && remembered !== undefined && now - remembered.movedAt < MOVE_ALONG) {
            memory.set(partition, { ...remembered, looked: to })
            return
          }
          const target: Place = { ...place, snapshot: to, time: whole ? look.time : place.time }
          const stands = yield* settle(partition, text, place, target, records, clock)
          if (stands === null) memory.delete(partition)
          else memory.set(partition, { text: stands, looked: to, movedAt: now })
        }), { concurrency: 8, discard: true })
        return !whole || pending.length > 0
      })

      const standing = Effect.map(access.work((cache) => cache.checkpoints(partitions)), (texts) =>
        partitions.map((partition, i) => ({ partition, text: texts[i]!, place: parseCheckpoint(texts[i]!) })))

      const attendance = Effect.gen(function*() {
        const members = yield* standing
        const { time } = yield* ledger.snapshot
        return {
          neglectedMilliseconds: time - Math.min(...members.map(({ place }) => place?.is === "settled" ? place.time : -Infinity)),
          others: members.some(({ partition, text }) => memory.has(partition) && memory.get(partition)!.text !== text)
        }
      })

      const round = Effect.gen(function*() {
        const members = yield* standing
        const lost = members.filter(({ place }) => place?.is !== "settled")
        if (lost.length > 0) yield* purge.run(lost)
        const settled = members.filter((member): member is typeof member & { text: string; place: Place } => member.place?.is === "settled").map((member) => {
          const remembered = memory.get(member.partition)
          // Memory counts only where the cache still has the very checkpoint that it belongs to: a cache that lost it has lost more.
          if (remembered?.text === member.text) return { ...member, from: remembered.looked }
          memory.delete(member.partition)
          return { ...member, from: member.place.snapshot }
        })
        let busy = false
        for (const together of Map.groupBy(settled, ({ from }) => formatSnapshot(from)).values()) {
          if (yield* group(together, together[0]!.from)) busy = true
        }
        return busy
      })
      return { round, attendance }
    }

    return Relay.of({ lane })
  })
