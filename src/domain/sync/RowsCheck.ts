import { Context, Effect, Equal, Layer } from "effect"
import { MAX_INTEGER } from "../Field.ts"
import { indexOf, SEALED } from "../Kind.ts"
import type { Kind, Personal, State } from "../Kind.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { DatabaseUnavailable, Row } from "../ledger/Ledger.ts"
import { Outbox } from "../ledger/Outbox.ts"
import type { Recorded } from "../ledger/Outbox.ts"
import { formatPosition } from "../ledger/Position.ts"
import { PersonalData } from "../secrets/PersonalData.ts"

/** An entity that is not what its events make. */
export interface Difference {
  readonly kind: string
  readonly id: string
  /** What differs, by name and never with a value: fields of the row; `row` where there is none; `events` where they have a gap, are out of order, or cannot be folded. */
  readonly fields: readonly string[]
}

export interface Checked {
  readonly compared: number
  /** Not compared: events of theirs were pruned. */
  readonly pruned: number
  readonly differences: readonly Difference[]
}

/** `next` is the id behind which the next page begins; null where there is none. */
export interface CheckedPage extends Checked { readonly next: string | null }

/** How far an entity's events have been folded. */
interface Folded {
  readonly version: number
  readonly place: string
  readonly sequence: number
  readonly updatedAtNs: string
  readonly state: State | null
  /** The next event does not follow. */
  readonly broken: boolean
  /** There are events after the next one, and it is not there. */
  readonly gap: boolean
  /** There are events after the version that was asked for. */
  readonly ahead: boolean
}

type Access<A> = Effect.Effect<A, DatabaseUnavailable>

const START: Folded = { version: 0, place: "", sequence: 0, updatedAtNs: "", state: null, broken: false, gap: false, ahead: false }
/** So many entities are asked for at once, and so many of one's events: neither their number nor a long history stands in memory. */
const PAGE = 100, PIECE = 500
/** Entities that are folded at the same time. */
const AT_ONCE = 4

const follow = (kind: Kind, folded: Folded, { version, position, event, updatedAtNs }: Recorded): Folded => {
  const place = formatPosition(position)
  if (version !== folded.version + 1 || place <= folded.place) return { ...folded, broken: true, gap: version > folded.version + 1 && place > folded.place }
  try {
    return { version, place, sequence: position.sequence, updatedAtNs, state: kind.evolve(event, folded.state), broken: false, gap: false, ahead: false }
  } catch {
    // Of a type that nobody knows, or on a state that it cannot stand on.
    return { ...folded, broken: true }
  }
}

const digestsOf = ({ hashes, lookups }: Personal): readonly string[] => [...Object.keys(hashes), ...lookups.map(indexOf)]

/**
 * Holds every row against the state that its events make, deleted entities too. Writers need not stop: an entity counts
 * as different only if its row, read again, is still at the version that was compared.
 */
export class RowsCheck extends Context.Service<RowsCheck, {
  /** Tells of each page as it is done. */
  readonly check: (kind: Kind, tell: (page: Checked) => void) => Access<void>
  /** The entities behind an id, some of them. */
  readonly page: (kind: Kind, after: string | null) => Access<CheckedPage>
}>()("holdfast/sync/RowsCheck") {
  static readonly layer = Layer.effect(RowsCheck, make())
}

function make() {
  return Effect.gen(function*() {
    const ledger = yield* Ledger, outbox = yield* Outbox, personal = yield* PersonalData

    const fold = Effect.fnUntraced(function*(kind: Kind, id: string, upTo: number, from: Folded): Effect.fn.Return<Folded, DatabaseUnavailable> {
      let folded: Folded = { ...from, ahead: false }
      for (;;) {
        const records: readonly Recorded[] = yield* outbox.history(kind, id, folded.version, MAX_INTEGER, PIECE)
        for (const record of records) {
          if (record.version > upTo) return { ...folded, ahead: true }
          folded = follow(kind, folded, record)
          if (folded.broken) return folded
        }
        if (records.length < PIECE) return folded
      }
    })

    /** Which of the kept fields differ. Digests are made from what is sealed; where that cannot be opened, that is what is wrong. */
    const differentFields = Effect.fnUntraced(function*(kind: Kind, id: string, state: State, folded: State): Effect.fn.Return<readonly string[], DatabaseUnavailable> {
      const digested = yield* personal.digested(kind, id, folded).pipe(
        Effect.catchTag("Deleted", () => Effect.succeed(null)),
        Effect.catchDefect(() => Effect.succeed(null))
      )
      const names = Object.keys(kind.kept).filter((name) => !Equal.equals(state[name], (digested ?? folded)[name]))
      if (digested !== null) return names
      const unknown = [SEALED, ...digestsOf(kind.personal!)]
      return [...names.filter((name) => !unknown.includes(name)), SEALED]
    })

    const differing = Effect.fnUntraced(function*(kind: Kind, id: string, row: Row | null, folded: Folded): Effect.fn.Return<readonly string[], DatabaseUnavailable> {
      if (row === null) return ["row"]
      if (folded.broken || folded.version < row.version) return ["events"]
      const { state } = row
      return [
        ...folded.ahead ? ["version"] : [],
        ...row.updatedAtNs === folded.updatedAtNs ? [] : ["updatedAtNs"],
        ...row.sequence === folded.sequence ? [] : ["sequence"],
        ...state === null && folded.state === null ? []
          : state === null || folded.state === null ? ["deleted"] : yield* differentFields(kind, id, state, folded.state)
      ]
    })

    /** Whether events that are missing were pruned: those that come after what was folded may all have stood where something was. */
    const arePruned = Effect.fnUntraced(function*(row: Row | null, { gap, broken, version, place }: Folded): Effect.fn.Return<boolean, DatabaseUnavailable> {
      if (row === null || !(gap || (!broken && version < row.version))) return false
      const pruned = yield* outbox.pruned
      return pruned !== null && place < formatPosition(pruned)
    })

    /** A row that has moved on is compared anew, and its events are folded on from where they were. */
    const judge = Effect.fnUntraced(function*(kind: Kind, id: string, found: Row | null): Effect.fn.Return<Difference | "pruned" | null, DatabaseUnavailable> {
      let row = found, folded = START
      for (;;) {
        folded = yield* fold(kind, id, row?.version ?? 0, folded)
        if (yield* arePruned(row, folded)) return "pruned"
        const fields = yield* differing(kind, id, row, folded)
        if (fields.length === 0) return null
        const again: Row | null = (yield* ledger.rows(kind, [id])).rows.get(id) ?? null
        if (again?.version === row?.version) return { kind: kind.name, id, fields }
        // It was as it should be, and changed while it was looked at.
        if (fields.join() === "version") return null
        row = again
      }
    })

    const page = Effect.fnUntraced(function*(kind: Kind, after: string | null): Effect.fn.Return<CheckedPage, DatabaseUnavailable> {
      const ids = yield* ledger.everyId(kind, after, PAGE)
      const { rows } = yield* ledger.rows(kind, ids)
      const judged = yield* Effect.forEach(ids, (id) => judge(kind, id, rows.get(id) ?? null), { concurrency: AT_ONCE })
      const differences = judged.filter((difference) => difference !== null && difference !== "pruned")
      const pruned = judged.filter((difference) => difference === "pruned").length
      return { compared: ids.length - pruned, pruned, differences, next: ids.length === PAGE ? ids.at(-1)! : null }
    })

    return RowsCheck.of({
      page,
      check: Effect.fnUntraced(function*(kind, tell) {
        let after: string | null = null
        do {
          const { next, ...checked }: CheckedPage = yield* page(kind, after)
          tell(checked)
          after = next
        } while (after !== null)
      })
    })
  })
}
