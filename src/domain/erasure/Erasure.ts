import { Clock, Context, Effect, Layer, Result } from "effect"
import { Commands } from "../Commands.ts"
import type { Answer, CommandRequest } from "../Commands.ts"
import { SEALED } from "../Kind.ts"
import type { Command, Kind } from "../Kind.ts"
import { Epochs } from "../ledger/Epochs.ts"
import { Ledger } from "../ledger/Ledger.ts"
import type { Cause, DatabaseUnavailable, EntityName } from "../ledger/Ledger.ts"
import { Outbox } from "../ledger/Outbox.ts"
import type { Refusal } from "../Refusal.ts"
import { SubjectKeys } from "../secrets/SubjectKeys.ts"
import type { Backups } from "../secrets/SubjectKeys.ts"
import { Sessions } from "../sessions/Sessions.ts"
import { ErasureRecords } from "./ErasureRecords.ts"

/** What an erasure came to. It says nothing of the person. */
export interface Certificate {
  /** RFC 3339, UTC. */
  readonly erasedAt: string
  readonly keyDestroyed: true
  /** Of the person's events, those that hold personal data, and are unreadable now. */
  readonly events: number
  /** `queued`: the cache is away, and is owed it. */
  readonly cache: "tombstoned" | "queued"
  /** Orders whose address went with the key. */
  readonly orders: number
  readonly sessions: number
  readonly backups: Backups
}

/** The use case behind `DELETE` of a person: tombstone, destroy the key, scrub what names the person, certify. */
export class Erasure extends Context.Service<Erasure, {
  /** The answer has the certificate as its payload. A repetition with the same idempotency key has the same bytes. */
  readonly erase: (request: CommandRequest & { readonly id: string | null }) => Effect.Effect<Answer, Refusal>
  /** Persons whose erasure was committed that many seconds ago, or more, and did not come to its end. */
  readonly pending: (olderThanSeconds: number) => Effect.Effect<readonly EntityName[], DatabaseUnavailable>
  /** All that follows the commit. It can be repeated, also by several at once. */
  readonly finish: (person: EntityName) => Effect.Effect<void, Refusal>
  /** Erases again whom a database that was restored has back; answers how many. */
  readonly restore: Effect.Effect<number, Refusal>
}>()("holdfast/erasure/Erasure") {
  static readonly layer = (options: { readonly kinds: readonly Kind[] }) => Layer.effect(Erasure, make(options))
}

const PAGE = 1_000
const MOST_PENDING = 100

/** What is done without a request. */
const causeOf = (actor: string): Cause => ({ actor, trace: "", request: actor })

const commandAt = (kind: Kind, at: Command["at"]): readonly Command[] => Object.values(kind.commands).filter((command) => command.at === at)

const make = ({ kinds }: { readonly kinds: readonly Kind[] }) =>
  Effect.gen(function*() {
    const commands = yield* Commands, ledger = yield* Ledger, outbox = yield* Outbox, records = yield* ErasureRecords
    const keys = yield* SubjectKeys, sessions = yield* Sessions, epochs = yield* Epochs
    /** Kinds of persons, and how one is erased. */
    const persons = kinds.flatMap((kind) => commandAt(kind, "erase").map((command) => ({ kind, command })))
    /** Kinds that hold data of a person beside their own, and how it is taken out. */
    const scrubbed = kinds.flatMap((kind) => commandAt(kind, "scrub").map((command) => ({ kind, command, subject: kind.personal!.subject })))

    /** Nobody sent it, so it has no scope. */
    const scopes = new Set<string>()
    const carryOut = (kind: Kind, command: Command, id: string, cause: Cause) =>
      commands.change({ kind, command: command.name, input: {}, versions: null, key: null, cause, granted: scopes.has.bind(scopes), id })

    /** When it was, and how many events before it cannot be read any more. */
    const past = Effect.fnUntraced(function*({ kind, id }: EntityName) {
      let erasedAt = new Date(yield* Clock.currentTimeMillis).toISOString(), unreadable = 0
      for (let after = 0, more = true; more;) {
        const events = yield* outbox.history(kind, id, after, Number.MAX_SAFE_INTEGER, PAGE)
        for (const { version, event, recordedAt } of events) {
          if (typeof event.data[SEALED] === "string") unreadable++
          after = version
          erasedAt = recordedAt
        }
        more = events.length === PAGE
      }
      return { erasedAt, unreadable }
    })

    /** Takes the person out of every living entity of a kind; how many there are, and whether the cache is owed any. */
    const scrub = Effect.fnUntraced(function*({ kind, command, subject }: (typeof scrubbed)[number], person: string, cause: Cause): Effect.fn.Return<{ readonly entities: number; readonly owed: boolean }, Refusal> {
      let entities = 0, owed = false
      for (let after: string | null = null, more = true; more;) {
        const ids: readonly string[] = yield* ledger.list(kind, { after, limit: PAGE, where: { [subject]: person } })
        const { rows } = yield* ledger.rows(kind, ids)
        for (const { id, state } of rows.values()) {
          // It was scrubbed before, or is gone since.
          if (typeof state?.[SEALED] !== "string") continue
          const done = yield* Effect.catchTag(carryOut(kind, command, id, cause), "Deleted", Effect.succeed)
          if ("synced" in done && done.synced === "queued") owed = true
        }
        entities += ids.length
        after = ids.at(-1) ?? null
        more = ids.length === PAGE
      }
      return { entities, owed }
    })

    const complete = Effect.fnUntraced(function*(person: EntityName, synced: Answer["synced"], cause: Cause): Effect.fn.Return<string, Refusal> {
      const { kind, id } = person, life = epochs.newest()
      yield* keys.destroy(id)
      const { erasedAt, unreadable } = yield* past(person)
      const scrubs = yield* Effect.forEach(scrubbed, (one) => scrub(one, id, cause))
      // A cache that is away must not keep anybody from being erased; the job ends their sessions when it is back.
      const ended = yield* Effect.result(sessions.end(id))
      const certificate: Certificate = {
        erasedAt,
        keyDestroyed: true,
        events: unreadable,
        cache: synced === "queued" || scrubs.some(({ owed }) => owed) || Result.isFailure(ended) ? "queued" : "tombstoned",
        orders: scrubs.reduce((sum, { entities }) => sum + entities, 0),
        sessions: Result.getOrElse(ended, () => 0),
        backups: keys.backups
      }
      return yield* records.keep(kind, id, JSON.stringify(certificate), Result.isSuccess(ended), life)
    })

    // Whoever finishes what another began does not know what became of the tombstone's store: the relay finds it.
    const finish = (person: EntityName, cause: Cause) => complete(person, "queued", cause)

    return Erasure.of({
      erase: Effect.fnUntraced(function*(request) {
        const answer = yield* commands.change(request)
        const person = { kind: request.kind, id: answer.id }
        const kept = answer.replayed ? yield* records.find(person.kind, person.id) : null
        const certificate = kept ?? (yield* answer.replayed ? finish(person, request.cause) : complete(person, answer.synced, request.cause))
        return { ...answer, status: 200, payload: Buffer.from(certificate) }
      }),

      pending: (olderThanSeconds) => Effect.map(
        Effect.forEach(persons, ({ kind }) => Effect.map(records.pending(kind, olderThanSeconds, MOST_PENDING), (ids) => ids.map((id) => ({ kind, id })))),
        (all) => all.flat()
      ),

      finish: (person) => Effect.asVoid(finish(person, causeOf("erasure"))),

      restore: Effect.gen(function*() {
        let again = 0
        for (let after: string | null = null, more = true; more;) {
          const ids: readonly string[] = yield* keys.erased(after, PAGE)
          for (const { kind, command } of persons) {
            const { rows } = yield* ledger.rows(kind, ids)
            for (const { id, state } of rows.values()) {
              if (state === null) continue
              // Of several processes that start one is the first.
              yield* Effect.catchTag(carryOut(kind, command, id, causeOf("restore")), "Deleted", Effect.succeed)
              yield* finish({ kind, id }, causeOf("restore"))
              again++
            }
          }
          after = ids.at(-1) ?? null
          more = ids.length === PAGE
        }
        return again
      })
    })
  })
