import { Schema } from "effect"
import type { Kind } from "../../domain/Kind.ts"
import { MOST_NAMED } from "../../domain/sync/VerificationTally.ts"
import { Id } from "../query.ts"
import { Time, Whole } from "./answers.ts"
import type { Operation } from "./Operation.ts"

const tag = "operators"
const nullable = Schema.NullOr

const kindOf = (kinds: readonly Kind[]) => Schema.Literals(kinds.map(({ name }) => name))
const Sample = Schema.Finite.check(Schema.makeFilter((n: number) => n > 0 && n <= 1 ? undefined : "must be above 0 and at most 1", {
  toJsonSchema: () => ({ exclusiveMinimum: 0, maximum: 1 })
}))

export interface VerificationRequest { readonly kind?: string; readonly sample?: number; readonly repair?: boolean }
/** What a verification is asked for with. */
export const verificationRequest = (kinds: readonly Kind[]) => Schema.Struct({
  kind: Schema.optionalKey(kindOf(kinds)),
  sample: Schema.optionalKey(Sample.annotate({ description: "The share of the entities that are looked at; all of them if it is not said." })),
  repair: Schema.optionalKey(Schema.Boolean.annotate({ description: "Whether what is wrong is put right; it is, if not said otherwise." }))
}) as unknown as Schema.Codec<VerificationRequest>

export interface RebuildRequest { readonly target: "cache" | "rows"; readonly kind?: string }
/** What a rebuild is asked for with. */
export const rebuildRequest = (kinds: readonly Kind[]) => Schema.Struct({
  target: Schema.Literals(["cache", "rows"]).annotate({ description: "`cache`: entries are made where there are none. `rows`: the events of every entity are folded and held against its row; nothing is written." }),
  kind: Schema.optionalKey(kindOf(kinds))
}) as unknown as Schema.Codec<RebuildRequest>

const common = (kinds: readonly Kind[]) => ({
  id: Id,
  kind: nullable(kindOf(kinds)).annotate({ description: "Null: all kinds." }),
  startedBy: Schema.String.annotate({ description: "The id of an API key, or `holdfast`." }),
  state: Schema.Literals(["waiting", "running", "done"]),
  progress: Schema.Struct({ kind: nullable(Schema.String), looked: Whole }),
  askedAt: Time, startedAt: nullable(Time), finishedAt: nullable(Time)
})

const named = `The first ${MOST_NAMED} of them.`
const Wrong = Schema.Struct({
  count: Whole,
  oldestSeconds: nullable(Schema.Finite).annotate({ description: "For how long the row had been as it is, when this was found: the longest." }),
  first: Schema.Array(Schema.Struct({ kind: Schema.String, id: Id, versionId: nullable(Whole), entryVersionId: nullable(Whole) })).annotate({ description: named })
}).annotate({ identifier: "WrongEntries" })

/** As `GET` gives it. */
export const Verified = (kinds: readonly Kind[]) => Schema.Struct({
  ...common(kinds),
  sample: Schema.Finite,
  repair: Schema.Boolean,
  reason: Schema.Literals(["asked", "epoch"]),
  result: Schema.Struct({ fine: Whole, absent: Whole, behind: Wrong, ahead: Wrong, undecodable: Wrong, different: Wrong, repaired: Whole })
}).annotate({ identifier: "Verification" })

const Rebuilt = (kinds: readonly Kind[]) => Schema.Struct({
  ...common(kinds),
  target: Schema.Literals(["cache", "rows"]),
  result: Schema.Union([
    Schema.Struct({ stood: Whole, filled: Whole, left: Whole }),
    Schema.Struct({
      fine: Whole,
      pruned: Whole.annotate({ description: "Not compared: events of theirs are no longer kept." }),
      different: Schema.Struct({
        count: Whole,
        first: Schema.Array(Schema.Struct({ kind: Schema.String, id: Id, fields: Schema.Array(Schema.String) })).annotate({ description: named })
      })
    })
  ])
}).annotate({ identifier: "Rebuild" })

const start = (summary: string, body: Schema.Constraint, schema: Schema.Constraint): Operation => ({
  summary, tag,
  body: { schema: body, types: ["application/json"] },
  answers: { 202: { is: "It was asked for, or waits already because somebody had asked for the same; a process that relays takes it up", headers: ["Location"], schema } },
  problems: ["unavailable"]
})
const look = (summary: string, schema: Schema.Constraint): Operation =>
  ({ summary, tag, answers: { 200: { is: "How far it is, and what it came to", schema } }, problems: ["not-found", "unavailable"] })

/** What the document says of the routes of verifications and rebuilds. */
export const verificationOperations = (kinds: readonly Kind[]) => ({
  verify: start("Hold the cache's entries against the rows", verificationRequest(kinds), Verified(kinds)),
  verification: look("How far a verification is, and what it came to", Verified(kinds)),
  rebuild: start("Make entries of rows where there are none, or hold rows against their events", rebuildRequest(kinds), Rebuilt(kinds)),
  rebuilding: look("How far a rebuild is, and what it came to", Rebuilt(kinds))
})
