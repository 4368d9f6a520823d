import type { Money, Storage } from "../../domain/Field.ts"
import type { Kind, State } from "../../domain/Kind.ts"
import type { Row } from "../../domain/ledger/Ledger.ts"
import type { Columns } from "./Postgres.ts"

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** How a value lies in columns: their suffixes and types, and the way in and out. */
const LAYOUTS: Readonly<Record<Storage, {
  readonly columns: readonly { readonly suffix: string; readonly type: string }[]
  readonly write: (value: any) => readonly unknown[]
  readonly read: (values: readonly any[]) => unknown
}>> = {
  text: { columns: [{ suffix: "", type: "text" }], write: (value) => [value], read: ([value]) => value },
  integer: { columns: [{ suffix: "", type: "bigint" }], write: (value) => [value], read: ([value]) => Number(value) },
  money: {
    columns: [{ suffix: "_amount", type: "bigint" }, { suffix: "_currency", type: "text" }],
    write: (value: Money) => [value.amount, value.currency],
    read: ([amount, currency]) => ({ amount: Number(amount), currency })
  }
}

export interface Column { readonly name: string; readonly type: string }

/** The columns of a kind's own fields, in the order of the fields. */
export const columnsOf = (kind: Kind): readonly Column[] =>
  Object.entries(kind.fields).flatMap(([name, field]) =>
    LAYOUTS[field.storage].columns.map(({ suffix, type }) => ({ name: snake(name) + suffix, type })))

export const tableOf = (kind: Kind): string => snake(kind.plural)
export const columnOf = (field: string): string => snake(field)

export const valuesOf = (kind: Kind, state: State): readonly unknown[] =>
  Object.entries(kind.fields).flatMap(([name, field]) => LAYOUTS[field.storage].write(state[name]))

const stateOf = (kind: Kind, columns: Columns): State =>
  Object.fromEntries(Object.entries(kind.fields).map(([name, field]) => {
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
