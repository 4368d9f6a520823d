import { Context, Effect, Layer, Semaphore } from "effect"
import { batches } from "./batches.ts"
import { payloadOf } from "./cache/Entry.ts"
import type { Fault } from "./check.ts"
import { Identifiers } from "./Identifiers.ts"
import type { Kind, State, Touched, World } from "./Kind.ts"
import { pastOf } from "./ledger/History.ts"
import { Epochs } from "./ledger/Epochs.ts"
import { Contended, Ledger } from "./ledger/Ledger.ts"
import type { Cause, Committed, EntityName, IdempotencyKey, KeptAnswer, Row } from "./ledger/Ledger.ts"
import { Outbox } from "./ledger/Outbox.ts"
import type { Token } from "./ledger/Token.ts"
import { entityDigest } from "./ledger/Token.ts"
import { Deleted, Invalid, KeyInFlight, KeyReused, NotFound, Refused, TooContended, VersionMismatch } from "./Refusal.ts"
import type { CommitFault, Refusal } from "./Refusal.ts"
import type { Problem } from "./Problem.ts"
import { PersonalData } from "./secrets/PersonalData.ts"
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
  /** Whether the sender has a scope. */
  readonly granted: (scope: string) => boolean
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
export type ItemResult<F> =
  | { readonly status: 201; readonly id: string }
  | { readonly status: 409; readonly problem: Problem }
  | { readonly status: 422; readonly fault: F }
  /** As the kind judges it, by pointers into the item. */
  | { readonly status: 422; readonly faults: readonly Fault[] }

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
  /** With all the entities that it was about. */
  | { readonly is: "lost"; readonly entities: readonly EntityName[] }
)

/** What a command found of the other entities that it is decided on. */
type Others = ReadonlyMap<string, Row>
const nameOf = (kind: Kind, id: string) => `${kind.name} ${id}`

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
    const ledger = yield* Ledger, outbox = yield* Outbox, writeThrough = yield* WriteThrough, personal = yield* PersonalData
    const { id: newId, authenticate } = yield* Identifiers, epochs = yield* Epochs
    const stripes = Array.from({ length: STRIPES }, () => Semaphore.makeUnsafe(1))

    /** In one order for all, so that nobody waits for one who waits for them. */
    const inTurn = (entities: readonly EntityName[]) => <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      [...new Set(entities.map(({ id }) => parseInt(id.slice(-2), 16)))].sort((a, b) => a - b)
        .reduceRight((inner, stripe) => stripes[stripe]!.withPermit(inner), work)

    /** Versions that will be changed are read here, before a transaction has an id: only so is the order of positions the order of versions. */
    const lookAt = (touched: readonly Touched[]): Effect.Effect<Others, CommitFault> =>
      Effect.map(Effect.forEach(touched, ({ kind, ids }) => Effect.map(ledger.rows(kind, ids), ({ rows }) =>
        [...rows.values()].map((row) => [nameOf(kind, row.id), row] as const)), { concurrency: "unbounded" }), (found) => new Map(found.flat()))

    const decide = Effect.fnUntraced(function*(request: CommandRequest, id: string, row: Row | null, leases: Leases, given: Others | null): Effect.fn.Return<Tried, CommitFault> {
      const { kind, input, key, cause, granted } = request, command = kind.commands[request.command]!
      const kept = row?.state ?? null
      const touched = command.touches(input, kept)
      const others = given ?? (yield* lookAt(touched))
      const isPersonal = kept !== null && command.takes.some((name) => kind.fields[name]?.tier === 3)
      const before = isPersonal ? yield* personal.open(kind, id, kept) : kept
      const world: World = { id, find: (of, other) => others.get(nameOf(of, other)), granted }
      const decision = kind.decide(command.name, input, before, world)
      if (decision.outcome === "refused") return yield* new Refused(decision)
      if (decision.outcome === "invalid") return yield* new Invalid(decision)
      const lost = { is: "lost" as const, leases, entities: [{ kind, id }, ...touched.flatMap(({ kind, ids }) => ids.map((id) => ({ kind, id })))] }
      if (decision.outcome === "nothing") {
        const isKept = key === null || (yield* ledger.keep(kind, id, row!.version, key, row!.epoch))
        return isKept ? { is: "nothing" as const, row: row!, leases } : lost
      }
      // Before a person's key is asked for: one that was made in the life before may be lost with it.
      const life = epochs.newest()
      const guarded = yield* Effect.catchTag(personal.guard(kind, id, decision.event, before), "Deleted", (error) =>
        // The person was erased since they were looked at: whoever looks again sees it.
        decision.holds.length > 0 ? Effect.succeed(null) : Effect.fail(error))
      if (guarded === null) return lost
      const { event, after } = guarded
      const also = decision.also.map((change) => {
        const { version, state } = others.get(nameOf(change.kind, change.id))!
        return { ...change, expected: version, before: state!, after: change.kind.evolve(change.event, state) }
      })
      const owed = writeThrough.owes()
      // Of what was read in two lives of the database the older one is over, and nothing is committed on it.
      const epoch = Math.min(life, ...[row, ...others.values()].flatMap((read) => read === null ? [] : [read.epoch]))
      const committed = yield* ledger.commit({
        kind, id, expected: row?.version ?? 0, epoch, event, before: kept, after, key, status: statusOf(request, row === null, after), cause, also, holds: decision.holds, owed
      })
      return committed === null ? lost : { is: "committed" as const, committed, owed, leases }
    })

    const statusOf = ({ kind, command }: CommandRequest, isNew: boolean, after: State | null): number =>
      isNew ? 201 : after === null && kind.commands[command]!.at !== "erase" ? 204 : 200

    const attempt = Effect.fnUntraced(function*(request: CommandRequest, id: string, isNew: boolean, earlier: Leases | null): Effect.fn.Return<Tried, CommitFault> {
      const { kind, versions, key, input } = request
      const touched = isNew ? kind.commands[request.command]!.touches(input, null) : []
      const [{ row, kept }, leases, given] = yield* Effect.all([
        isNew && key === null ? Effect.succeed({ row: null, kept: null }) : ledger.load(kind, isNew ? null : id, key),
        earlier === null ? writeThrough.lease(kind, [id]) : Effect.succeed(earlier),
        isNew ? lookAt(touched) : Effect.succeed(null)
      ], { concurrency: "unbounded" })
      if (kept !== null) return { is: "kept", kept, leases }
      return yield* Effect.suspend((): Effect.Effect<Tried, CommitFault> => {
        if (!isNew && row === null) return Effect.fail(new NotFound())
        if (row?.state === null) return Effect.fail(new Deleted())
        if (row !== null && versions?.includes(row.version) === false) return Effect.fail(new VersionMismatch())
        return decide(request, id, row, leases, given)
      }).pipe(Effect.tapError(() => writeThrough.giveBack(kind, leases)))
    })

    const translate = (kind: Kind, key: IdempotencyKey | null) => <A>(effect: Effect.Effect<A, CommitFault>): Effect.Effect<A, Refusal> =>
      Effect.catchTags(effect, {
        Taken: ({ field }) => Effect.fail(new Refused({ problem: kind.unique[field]!, detail: `Another ${kind.name} has this ${field}.` })),
        Contended: (): Effect.Effect<never, Refusal> => Effect.fail(key === null ? new TooContended() : new KeyInFlight())
      })

    const kept = Effect.fnUntraced(function*(kind: Kind, answer: KeptAnswer, key: IdempotencyKey): Effect.fn.Return<Answer, Refusal> {
      if (Buffer.compare(answer.request, key.request) !== 0) return yield* new KeyReused()
      const past = yield* pastOf({ ledger, outbox }, kind, answer.id!, answer.version!)
      if (past === null) return yield* new Deleted()
      const state = past.state === null ? null : yield* personal.digested(kind, past.id, past.state)
      const { epoch, sequence, transaction } = past.position
      return {
        status: answer.status,
        id: past.id,
        version: past.version,
        payload: state === null ? null : payloadOf(kind, past, state),
        token: { ...readToken(kind, past.id, epoch, sequence), ...answer.items === null && { transaction } },
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
        const { row, also, transaction } = tried.committed
        const synced = yield* writeThrough.store([{ kind, row }, ...also], tried.leases, tried.owed)
        const sequence = Math.min(row.sequence, ...also.map((other) => other.row.sequence))
        return answerOf(kind, row, statusOf(request, row.version === 1, row.state), { ...readToken(kind, row.id, row.epoch, sequence), transaction }, synced)
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
      let leases: Leases | null = null, entities: readonly EntityName[] = []
      for (let lost = 0; lost < GIVES_UP; lost++) {
        const once: Effect.Effect<Tried, CommitFault> = attempt(request, id, isNew, leases)
        const tried: Tried = yield* lost < QUEUES_HERE ? once
          : inTurn(entities)(lost < QUEUES_EVERYWHERE ? once : ledger.alone(entities, once))
        if (tried.is !== "lost") return yield* conclude(request, tried)
        entities = tried.entities
        // A lease that was acknowledged before this try is one that was acknowledged before the next.
        leases = tried.leases.given.size > 0 ? tried.leases : null
      }
      return yield* new Contended()
    })

    const createMany = batches({ ledger, outbox, writeThrough, personal, newId })

    return Commands.of({
      create: (request) => Effect.suspend(() => {
        const id = newId(), { kind, key } = request
        return translate(kind, key)(run(request, id, true)).pipe(
          Effect.tap(({ replayed }) => replayed ? personal.abandon(kind, id) : Effect.void),
          Effect.tapError(({ _tag }) => _tag === "UnknownOutcome" ? Effect.void : personal.abandon(kind, id))
        )
      }),
      change: (request) => translate(request.kind, request.key)(request.id === null ? nowhere(request) : run(request, request.id, false)),
      createMany: (request) => translate(request.kind, request.key)(createMany(request))
    })
  })
}
