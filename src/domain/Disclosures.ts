import { Context, Effect, Layer } from "effect"
import type { Redacted } from "effect"
import { Audit } from "./audit/Audit.ts"
import { Identifiers } from "./Identifiers.ts"
import { indexOf, reveal } from "./Kind.ts"
import type { Kind, State } from "./Kind.ts"
import { checkTokens } from "./ledger/checkTokens.ts"
import { pastOf } from "./ledger/History.ts"
import { Ledger } from "./ledger/Ledger.ts"
import type { Cause, DatabaseUnavailable, Row } from "./ledger/Ledger.ts"
import { Outbox } from "./ledger/Outbox.ts"
import type { Token } from "./ledger/Token.ts"
import { Deleted, NotFound } from "./Refusal.ts"
import type { ReadRefusal } from "./Refusal.ts"
import { PersonalData } from "./secrets/PersonalData.ts"

export interface DisclosureRequest {
  readonly kind: Kind
  readonly id: string
  /** Null for the newest. */
  readonly version: number | null
  readonly tokens: readonly Token[]
  readonly cause: Cause
}

/** An entity with its personal fields in the clear, on its way to who may see them and to nobody else. */
export interface Disclosed extends Pick<Row, "version" | "epoch" | "sequence"> {
  /** JSON: what `GET` gives, and the personal fields after it. */
  readonly body: Uint8Array
}

/** The use case behind every look at personal data: from the database, never from the cache, and on record before it is answered. */
export class Disclosures extends Context.Service<Disclosures, {
  /** Personal fields are null where they were those of somebody else who was erased. */
  readonly full: (request: DisclosureRequest) => Effect.Effect<Disclosed, ReadRefusal>
  /** Whose value of a field it is; null where nobody's. */
  readonly lookup: (kind: Kind, field: string, value: Redacted.Redacted<string>, cause: Cause) => Effect.Effect<string | null, DatabaseUnavailable>
}>()("holdfast/Disclosures") {
  static readonly layer = Layer.effect(Disclosures, make())
}

function make() {
  return Effect.gen(function*() {
    const ledger = yield* Ledger, outbox = yield* Outbox, personal = yield* PersonalData, audit = yield* Audit
    const check = checkTokens(ledger, (yield* Identifiers).authenticate)

    const record = (action: string, kind: Kind, id: string | null, { actor, request }: Cause) =>
      audit.record({ actor, action, kind: kind.name, id, request })

    const opened = (kind: Kind, id: string, state: State, isPast: boolean): Effect.Effect<State, DatabaseUnavailable | Deleted> =>
      Effect.flatMap(isPast ? personal.digested(kind, id, state) : Effect.succeed(state), (whole) => personal.disclose(kind, id, whole)).pipe(
        // Somebody else's fields go with that person; what they stood in stays.
        Effect.catchTag("Deleted", (gone) => kind.personal!.subject === "id" ? Effect.fail(gone) : Effect.succeed(state))
      )

    const bodyOf = (kind: Kind, { id, version, updatedAtNs }: Pick<Row, "id" | "version" | "updatedAtNs">, state: State): Uint8Array => {
      const names = [...kind.shown, ...Object.keys(kind.personal!.fields)]
      return Buffer.from(JSON.stringify({ id, versionId: version, updatedAtNs, ...Object.fromEntries(names.map((name) => [name, reveal(state[name]) ?? null])) }))
    }

    return Disclosures.of({
      full: Effect.fn("Disclosures.full")(function*({ kind, id, version, tokens, cause }: DisclosureRequest): Effect.fn.Return<Disclosed, ReadRefusal> {
        const { epoch, rows } = yield* ledger.rows(kind, [id])
        yield* check(kind, id, epoch, tokens)
        const past = version === null ? null : yield* pastOf({ ledger, outbox }, kind, id, version)
        const found = version === null ? rows.get(id) : past === null ? undefined : { ...past, ...past.position }
        if (found === undefined) return yield* new NotFound()
        // Of a person whose erasure has begun no version is shown: their key may still be there.
        if (found.state === null || (kind.personal!.subject === "id" && rows.get(id)!.state === null)) return yield* new Deleted()
        const state = yield* opened(kind, id, found.state, version !== null)
        yield* record("personal data read", kind, id, cause)
        return { version: found.version, epoch: found.epoch, sequence: found.sequence, body: bodyOf(kind, found, state) }
      }),

      lookup: Effect.fn("Disclosures.lookup")(function*(kind: Kind, field: string, value: Redacted.Redacted<string>, cause: Cause): Effect.fn.Return<string | null, DatabaseUnavailable> {
        const id = yield* ledger.find(kind, indexOf(field), personal.lookup(kind, field, reveal(value) as string))
        // That nobody was found is an answer about a person too.
        yield* record("person looked up", kind, id, cause)
        return id
      })
    })
  })
}
