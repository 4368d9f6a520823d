import type { Money, Storage } from "../../domain/Field.ts"
import { indexOf } from "../../domain/Kind.ts"
import type { Kind, State } from "../../domain/Kind.ts"
import type { Row } from "../../domain/ledger/Ledger.ts"
import type { Columns } from "./Postgres.ts"

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

interface Layout {
  readonly columns: readonly { readonly suffix: string; readonly type: string }[]
  readonly write: (value: any) => readonly unknown[]
  readonly read: (values: readonly any[]) => unknown
}
const single = (type: string, write: (value: any) => unknown = (value) => value, read: (kept: any) => unknown = (kept) => kept): Layout => ({
  columns: [{ suffix: "", type }],
  write: (value) => [value === null ? null : write(value)],
  read: ([kept]) => kept === null ? null : read(kept)
})

/** How a value lies in columns: their suffixes and types, and the way in and out. */
const LAYOUTS: Readonly<Record<Storage, Layout>> = {
  text: single("text"),
  integer: single("bigint", undefined, Number),
  boolean: single("boolean"),
  uuid: single("uuid"),
  // The driver parses it.
  json: single("json", JSON.stringify),
  money: {
    columns: [{ suffix: "_amount", type: "bigint" }, { suffix: "_currency", type: "text" }],
    write: (value: Money | null) => value === null ? [null, null] : [value.amount, value.currency],
    read: ([amount, currency]) => amount === null ? null : { amount: Number(amount), currency }
  }
}

export interface Column { readonly name: string; readonly type: string }

/** The columns of what a kind keeps, in its order. */
export const columnsOf = (kind: Kind): readonly Column[] =>
  Object.entries(kind.kept).flatMap(([name, field]) =>
    LAYOUTS[field.storage].columns.map(({ suffix, type }) => ({ name: snake(name) + suffix, type })))

/** The columns of whose values only one living entity may have one: of a personal field its blind index. */
export const uniqueColumnsOf = (kind: Kind): readonly string[] =>
  Object.keys(kind.unique).map((name) => columnOf(name in kind.kept ? name : indexOf(name)))

export const tableOf = (kind: Kind): string => snake(kind.plural)
export const columnOf = (field: string): string => snake(field)

export const valuesOf = (kind: Kind, state: State): readonly unknown[] =>
  Object.entries(kind.kept).flatMap(([name, field]) => LAYOUTS[field.storage].write(state[name]))

/** What a deleted entity's row still says: all but what stands there for the personal fields. */
export const remainsOf = (kind: Kind, state: State): State =>
  Object.fromEntries(Object.keys(kind.kept).map((name) => [name, name in kind.fields ? state[name] : null]))

const stateOf = (kind: Kind, columns: Columns): State =>
  Object.fromEntries(Object.entries(kind.kept).map(([name, field]) => {
    const layout = LAYOUTS[field.storage]
    return [name, layout.read(layout.columns.map(({ suffix }) => columns[snake(name) + suffix]))]
  }))

/** Reads what `ROW` selects, with the statement's epoch. */
export const rowOf = (kind: Kind, columns: Columns): Row => ({
  id: columns["id"],
  version: Number(columns["version_id"]),
  updatedAtNs: columns["updated_at_ns"],
  sequence: Number(columns["event_seq"]),
  epoch: Number(columns["epoch"]),
  state: columns["deleted_at"] === null ? stateOf(kind, columns) : null
})
