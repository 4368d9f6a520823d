import { Schema } from "effect"
import { MAX_INTEGER, integer } from "../../domain/Field.ts"
import type { Kind } from "../../domain/Kind.ts"
import { PROBLEMS } from "../problems.ts"
import { Id } from "../query.ts"
import type { AnswerHeader } from "./headers.ts"

/** What answers consist of. */
export const Version = integer(1, MAX_INTEGER).schema
export const Whole = integer(0, MAX_INTEGER).schema
export const Position = Schema.String.annotate({ description: "A place in the log. Opaque." })
export const Time = Schema.String.annotate({ format: "date-time" })
export const Html = { schema: Schema.String, type: "text/html" }

export const CHANGED: readonly AnswerHeader[] = ["ETag", "Consistency-Token", "Cache-Status", "Idempotency-Replayed"]

/** A list, in pages. */
export const pageOf = <S extends Schema.Constraint>(item: S) => Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.NullOr(Schema.String) })

export const capitalised = (name: string): string => `${name[0]!.toUpperCase()}${name.slice(1)}`

type Members = Readonly<Record<string, Schema.Codec<unknown>>>

const common = {
  id: Id,
  versionId: Version,
  updatedAtNs: Schema.String.check(Schema.isPattern(/^[0-9]+$/)).annotate({ description: "Nanoseconds since 1970." })
}
const shownOf = (kind: Kind): Members => Object.fromEntries(kind.shown.map((name) => [name, kind.kept[name]!.schema as Schema.Codec<unknown>]))

/** An entity as `GET` gives it. */
export const entityOf = (kind: Kind) => Schema.Struct({ ...common, ...shownOf(kind) }).annotate({ identifier: capitalised(kind.name) })

/** With its personal fields; those of somebody else are null once that person is erased. */
export const fullOf = (kind: Kind) => {
  const { fields, subject } = kind.personal!
  const personal: Members = Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, subject === "id" ? schema : Schema.NullOr(schema)]))
  return Schema.Struct({ ...common, ...shownOf(kind), ...personal }).annotate({ identifier: `Full${capitalised(kind.name)}` })
}

/** What an erasure came to. */
export const ErasureCertificate = Schema.Struct({
  erasedAt: Time,
  keyDestroyed: Schema.Literal(true),
  events: Whole.annotate({ description: "How many events are unreadable now." }),
  cache: Schema.Literals(["tombstoned", "queued"]),
  orders: Whole,
  sessions: Whole,
  backups: Schema.Literals(["unreadable", "keys-share-backup"]).annotate({ description: "Whether the erasure reaches the backups of the database." })
}).annotate({ identifier: "ErasureCertificate" })

/** A fact of an entity's history. */
export const Happened = Schema.Struct({ position: Position, versionId: Version, type: Schema.String, recordedAt: Time, data: Schema.Record(Schema.String, Schema.Unknown) })
  .annotate({ identifier: "Event" })

/** A problem inside an answer: of one item of a batch. */
const ItemProblem = Schema.Struct({
  type: Schema.Literals(Object.keys(PROBLEMS).map((name) => `/problems/${name}`)),
  title: Schema.String,
  status: Schema.Literals([409, 422]),
  detail: Schema.String,
  errors: Schema.optionalKey(Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.String })))
}).annotate({ identifier: "ItemProblem" })

export const Results = Schema.Struct({
  results: Schema.Array(Schema.Union([
    Schema.Struct({ status: Schema.Literal(201), id: Id, versionId: Schema.Literal(1) }),
    Schema.Struct({ status: Schema.Literals([409, 422]), problem: ItemProblem })
  ]))
})
