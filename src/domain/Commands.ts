import { Context, Effect, Layer, Semaphore } from "effect"
import { payloadOf } from "./cache/Entry.ts"
import { Identifiers } from "./Identifiers.ts"
import type { Kind, State } from "./Kind.ts"
import { pastOf } from "./ledger/History.ts"
import { Contended, Ledger } from "./ledger/Ledger.ts"
import type { Cause, Committed, IdempotencyKey, KeptAnswer, Row } from "./ledger/Ledger.ts"
import { Outbox } from "./ledger/Outbox.ts"
import type { Token } from "./ledger/Token.ts"
import { entityDigest } from "./ledger/Token.ts"
import { Deleted, KeyInFlight, KeyReused, NotFound, Refused, TooContended, VersionMismatch } from "./Refusal.ts"
import type { CommitFault, Refusal } from "./Refusal.ts"
import type { Problem } from "./Problem.ts"
import { WriteThrough } from "./sync/WriteThrough.ts"
import type { Leases, Synced } from "./sync/WriteThrough.ts"

export interface CommandRequest {
  readonly kind: Kind
  readonly command: string
  readonly input: State
  /** Versions that the sender will have changed; null for any. */
  readonly versions: readonly number[] | null
  readonly key: IdempotencyKey | null
  readonly cause: Cause
}

export interface Answer {
  readonly status: number
  readonly id: string
  readonly version: number
  /** The entity as a `GET` gives it; null once it is deleted. */
  readonly payload: Uint8Array | null
  readonly token: Token
  readonly synced: Synced
  /** The answer of an earlier attempt with the same idempotency key. */
  readonly replayed: boolean
}

/** An item of a batch: what it asks for, or why it cannot be asked. */
export type Item<F> = { readonly input: State } | { readonly fault: F }
export type ItemResult<F> = { readonly status: 201; readonly id: string } | { readonly status: 409; readonly problem: Problem } | { readonly status: 422; readonly fault: F }

export interface BatchRequest<F> extends Omit<CommandRequest, "input" | "versions"> { readonly items: readonly Item<F>[] }
export interface BatchAnswer<F> {
  readonly results: readonly ItemResult<F>[]
  /** Null where nothing was made. */
  readonly token: Token | null
  readonly synced: Synced
  readonly replayed: boolean
}

// After the first lost race the writers of this process queue for the entity, after the third those of all processes do.
const QUEUES_HERE = 1, QUEUES_EVERYWHERE = 3, GIVES_UP = 20
const STRIPES = 256

/** What one try came to: a commit, a change that changes nothing, an answer given before, or a race lost. */
type Tried = { readonly leases: Leases } & (
  | { readonly is: "committed"; readonly committed: Committed; readonly owed: boolean }
  | { readonly is: "nothing"; readonly row: Row }
  | { readonly is: "kept"; readonly kept: KeptAnswer }
  | { readonly is: "lost" }
)

/**
 * The use case behind every change: load and lease, decide, commit in one statement, store, answer. A change is decided
 * on the database's state, never on the cache's: the commit checks only what is accepted, so a stale entry would make a
 * wrong refusal.
 */
export class Commands extends Context.Service<Commands, {
  readonly create: (request: CommandRequest) => Effect.Effect<Answer, Refusal>
  /** `id` is null where the request names nothing that could exist: its key may have been used all the same. */
  readonly change: (request: CommandRequest & { readonly id: string | null }) => Effect.Effect<Answer, Refusal>
  /** Makes many entities of one kind; each stands for itself. */
  readonly createMany: <F>(request: BatchRequest<F>) => Effect.Effect<BatchAnswer<F>, Refusal>
}>()("holdfast/Commands") {
  static readonly layer = Layer.effect(Commands, make())
}

function make() {
  return Effect.gen(function*() {
    const ledger = yield* Ledger, outbox = yield* Outbox, writeThrough = yield* WriteThrough, { id: newId, authenticate } = yield* Identifiers
    const stripes = Array.from({ length: STRIPES }, () => Semaphore.makeUnsafe(1))
    const stripeOf = (id: string) => stripes[parseInt(id.slice(-2), 16)]!

    const decide = Effect.fnUntraced(function*(request: CommandRequest, id: string, row: Row | null, leases: Leases) {
      const { kind, command, input, key, cause } = request
      const before = row?.state ?? null
      const decision = kind.decide(command, input, before)
      if (decision.outcome === "refused") return yield* new Refused(decision)
      if (decision.outcome === "nothing") {
        const kept = key === null || (yield* ledger.keep(kind, id, row!.version, key))
        return kept ? { is: "nothing" as const, row: row!, leases } : { is: "lost" as const, leases }
      }
      const { event } = decision
      const owed = writeThrough.owes()
      const after = kind.evolve(event, before)
      const status = row === null ? 201 : after === null ? 204 : 200
      const committed = yield* ledger.commit({ kind, id, expected: row?.version ?? 0, event, before, after, key, status, cause, owed })
      return committed === null ? { is: "lost" as const, leases } : { is: "committed" as const, committed, owed, leases }
    })

    const attempt = Effect.fnUntraced(function*(request: CommandRequest, id: string, isNew: boolean, earlier: Leases | null): Effect.fn.Return<Tried, CommitFault> {
      const { kind, versions, key } = request
      const [{ row, kept }, leases] = yield* Effect.all([
        isNew && key === null ? Effect.succeed({ row: null, kept: null }) : ledger.load(kind, isNew ? null : id, key),
        earlier === null ? writeThrough.lease(kind, [id]) : Effect.succeed(earlier)
      ], { concurrency: "unbounded" })
      if (kept !== null) return { is: "kept", kept, leases }
      return yield* Effect.suspend((): Effect.Effect<Tried, CommitFault> => {
        if (!isNew && row === null) return Effect.fail(new NotFound())
        if (row?.state === null) return Effect.fail(new Deleted())
        if (row !== null && versions?.includes(row.version) === false) return Effect.fail(new VersionMismatch())
        return decide(request, id, row, leases)
      }).pipe(Effect.tapError(() => writeThrough.giveBack(kind, leases)))
    })

    const translate = (kind: Kind, key: IdempotencyKey | null) => <A>(effect: Effect.Effect<A, CommitFault>): Effect.Effect<A, Refusal> =>
      Effect.catchTags(effect, {
        Taken: ({ field }) => Effect.fail(new Refused({ problem: kind.unique[field]!, detail: `Another ${kind.name} has this ${field}.` })),
        Contended: (): Effect.Effect<never, Refusal> => Effect.fail(key === null ? new TooContended() : new KeyInFlight())
      })

    const kept = Effect.fnUntraced(function*(kind: Kind, answer: KeptAnswer, key: IdempotencyKey): Effect.fn.Return<Answer, Refusal> {
      if (Buffer.compare(answer.request, key.request) !== 0) return yield* new KeyReused()
      const past = yield* pastOf(outbox, kind, answer.id!, answer.version!)
      if (past === null) return yield* new Deleted()
      const { epoch, sequence, transaction } = past.position
      return {
        status: answer.status,
        id: past.id,
        version: past.version,
        payload: past.state === null ? null : payloadOf(kind, past, past.state),
        token: answer.items === null ? { epoch, sequence, transaction, entity: null } : readToken(kind, past.id, epoch, sequence),
        synced: "nothing",
        replayed: true
      }
    })

    const readToken = (kind: Kind, id: string, epoch: number, sequence: number): Token =>
      ({ epoch, sequence, transaction: null, entity: entityDigest(kind.name, id, authenticate) })

    const answerOf = (kind: Kind, row: Row, status: number, token: Token, synced: Synced): Answer => ({
      status, id: row.id, version: row.version, payload: row.state === null ? null : payloadOf(kind, row, row.state), token, synced, replayed: false
    })

    const conclude = Effect.fnUntraced(function*(request: CommandRequest, tried: Exclude<Tried, { is: "lost" }>): Effect.fn.Return<Answer, Refusal> {
      const { kind } = request
      if (tried.is === "committed") {
        const { row, transaction } = tried.committed
        const synced = yield* writeThrough.store(kind, [row], tried.leases, tried.owed)
        const status = row.version === 1 ? 201 : row.state === null ? 204 : 200
        return answerOf(kind, row, status, { epoch: row.epoch, sequence: row.sequence, transaction, entity: null }, synced)
      }
      yield* writeThrough.giveBack(kind, tried.leases)
      if (tried.is === "kept") return yield* kept(kind, tried.kept, request.key!)
      return answerOf(kind, tried.row, 200, readToken(kind, tried.row.id, tried.row.epoch, tried.row.sequence), "nothing")
    })

    const nowhere = Effect.fnUntraced(function*({ kind, key }: CommandRequest): Effect.fn.Return<Answer, CommitFault> {
      const found = key === null ? null : (yield* ledger.load(kind, null, key)).kept
      return found === null ? yield* new NotFound() : yield* kept(kind, found, key!)
    })

    const run = Effect.fnUntraced(function*(request: CommandRequest, id: string, isNew: boolean): Effect.fn.Return<Answer, CommitFault> {
      let leases: Leases | null = null
      for (let lost = 0; lost < GIVES_UP; lost++) {
        const once: Effect.Effect<Tried, CommitFault> = attempt(request, id, isNew, leases)
        const tried: Tried = yield* lost < QUEUES_HERE ? once
          : stripeOf(id).withPermit(lost < QUEUES_EVERYWHERE ? once : ledger.alone(request.kind, id, once))
        if (tried.is !== "lost") return yield* conclude(request, tried)
        // A lease that was acknowledged before this try is one that was acknowledged before the next.
        leases = tried.leases.given.size > 0 ? tried.leases : null
      }
      return yield* new Contended()
    })

    const createMany = Effect.fnUntraced(function*<F>(request: BatchRequest<F>): Effect.fn.Return<BatchAnswer<F>, CommitFault> {
      const { kind, command, key, cause } = request
      const decided = request.items.map((item) => {
        const id = newId()
        return "fault" in item ? { id, fault: item.fault } : { id, decision: kind.decide(command, item.input, null) }
      })
      const items = decided.flatMap(({ id, decision }) =>
        decision?.outcome === "happened" ? [{ id, event: decision.event, state: kind.evolve(decision.event, null)! }] : [])
      const ids = decided.map(({ id }) => id)

      const resultsOf = (allIds: readonly string[], made: ReadonlySet<string>): readonly ItemResult<F>[] =>
        decided.map(({ fault, decision }, i): ItemResult<F> =>
          decision === undefined ? { status: 422, fault: fault as F }
          : decision.outcome === "refused" ? { status: 409, problem: decision.problem }
          : made.has(allIds[i]!) ? { status: 201, id: allIds[i]! }
          : { status: 409, problem: Object.values(kind.unique)[0]! })
      const tokenOf = (rows: readonly { readonly epoch: number; readonly sequence: number; readonly transaction: bigint }[]): Token | null =>
        rows.length === 0 ? null : { ...rows[0]!, sequence: Math.min(...rows.map(({ sequence }) => sequence)), entity: null }

      const replayed = Effect.fnUntraced(function*(answer: KeptAnswer, key: IdempotencyKey): Effect.fn.Return<BatchAnswer<F>, Refusal> {
        if (Buffer.compare(answer.request, key.request) !== 0) return yield* new KeyReused()
        const made = yield* outbox.first(kind, answer.items!)
        return {
          results: resultsOf(answer.items!, new Set(made.map(({ id }) => id))),
          token: tokenOf(made.map(({ position }) => position)),
          synced: "nothing",
          replayed: true
        }
      })

      const before = key === null ? null : (yield* ledger.load(kind, null, key)).kept
      if (before !== null) return yield* replayed(before, key!)
      const leases = yield* writeThrough.lease(kind, items.map(({ id }) => id))
      const owed = writeThrough.owes()
      const result = yield* ledger.commitBatch({ kind, items, ids, key, cause, owed }).pipe(Effect.tapError(() => writeThrough.giveBack(kind, leases)))
      if (result === null) {
        yield* writeThrough.giveBack(kind, leases)
        return yield* replayed((yield* ledger.load(kind, null, key)).kept!, key!)
      }
      const rows = result.map(({ row }) => row)
      const made = new Set(rows.map(({ id }) => id))
      yield* writeThrough.giveBack(kind, { ...leases, given: (leases.given as Set<string>).difference(made) })
      return {
        results: resultsOf(ids, made),
        token: tokenOf(result.map(({ row, transaction }) => ({ epoch: row.epoch, sequence: row.sequence, transaction }))),
        synced: rows.length === 0 ? "nothing" : yield* writeThrough.store(kind, rows, leases, owed),
        replayed: false
      }
    })

    return Commands.of({
      create: (request) => translate(request.kind, request.key)(run(request, newId(), true)),
      change: (request) => translate(request.kind, request.key)(request.id === null ? nowhere(request) : run(request, request.id, false)),
      createMany: (request) => translate(request.kind, request.key)(createMany(request))
    })
  })
}
