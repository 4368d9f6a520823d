import { Effect } from "effect"
import type { BatchAnswer, BatchRequest, ItemResult } from "./Commands.ts"
import type { Identifiers } from "./Identifiers.ts"
import type { KeptAnswer, IdempotencyKey, Ledger } from "./ledger/Ledger.ts"
import type { Outbox } from "./ledger/Outbox.ts"
import type { Token } from "./ledger/Token.ts"
import { KeyReused } from "./Refusal.ts"
import type { CommitFault, Refusal } from "./Refusal.ts"
import type { PersonalData } from "./secrets/PersonalData.ts"
import type { WriteThrough } from "./sync/WriteThrough.ts"

interface Means {
  readonly ledger: Ledger["Service"]
  readonly outbox: Outbox["Service"]
  readonly writeThrough: WriteThrough["Service"]
  readonly personal: PersonalData["Service"]
  readonly newId: Identifiers["Service"]["id"]
}

const tokenOf = (rows: readonly { readonly epoch: number; readonly sequence: number; readonly transaction: bigint }[]): Token | null =>
  rows.length === 0 ? null : { ...rows[0]!, sequence: Math.min(...rows.map(({ sequence }) => sequence)), entity: null }

/** Makes many entities of one kind in one statement; each stands for itself. */
export const batches = ({ ledger, outbox, writeThrough, personal, newId }: Means) =>
  Effect.fnUntraced(function*<F>(request: BatchRequest<F>): Effect.fn.Return<BatchAnswer<F>, CommitFault> {
    const { kind, command, key, cause, granted } = request
    const decided = request.items.map((item) => {
      const id = newId()
      return "fault" in item ? { id, fault: item.fault } : { id, decision: kind.decide(command, item.input, null, { id, find: () => undefined, granted }) }
    })
    const ids = decided.map(({ id }) => id)
    const wanted = decided.flatMap(({ id, decision }) => decision?.outcome === "happened" ? [{ id, event: decision.event }] : [])
    /** Of persons who were not registered after all. */
    const abandon = (made: ReadonlySet<string>) =>
      Effect.forEach(wanted.filter(({ id }) => !made.has(id)), ({ id }) => personal.abandon(kind, id), { discard: true })

    const resultsOf = (allIds: readonly string[], made: ReadonlySet<string>): readonly ItemResult<F>[] =>
      decided.map(({ fault, decision }, i): ItemResult<F> =>
        decision === undefined ? { status: 422, fault: fault as F }
        : decision.outcome === "invalid" ? { status: 422, faults: decision.faults }
        : decision.outcome === "refused" ? { status: 409, problem: decision.problem }
        : made.has(allIds[i]!) ? { status: 201, id: allIds[i]! }
        : { status: 409, problem: Object.values(kind.unique)[0]! })

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
    const leases = yield* writeThrough.lease(kind, wanted.map(({ id }) => id))
    const owed = writeThrough.owes()
    const result = yield* Effect.forEach(wanted, ({ id, event }) => Effect.map(personal.guard(kind, id, event, null), ({ event, after }) => ({ id, event, state: after! }))).pipe(
      Effect.flatMap((items) => ledger.commitBatch({ kind, items, ids, key, cause, owed })),
      Effect.tapError(({ _tag }) => Effect.andThen(writeThrough.giveBack(kind, leases), _tag === "UnknownOutcome" ? Effect.void : abandon(new Set())))
    )
    const rows = (result ?? []).map(({ row }) => row)
    const made = new Set(rows.map(({ id }) => id))
    yield* writeThrough.giveBack(kind, { ...leases, given: (leases.given as Set<string>).difference(made) })
    yield* abandon(made)
    if (result === null) return yield* replayed((yield* ledger.load(kind, null, key)).kept!, key!)
    return {
      results: resultsOf(ids, made),
      token: tokenOf(result.map(({ row, transaction }) => ({ epoch: row.epoch, sequence: row.sequence, transaction }))),
      synced: rows.length === 0 ? "nothing" : yield* writeThrough.store(rows.map((row) => ({ kind, row })), leases, owed),
      replayed: false
    }
  })
