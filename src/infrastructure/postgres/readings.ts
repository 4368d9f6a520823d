import { Effect } from "effect"
import type { Kind } from "../../domain/Kind.ts"
import type { DatabaseUnavailable, Page, Row } from "../../domain/ledger/Ledger.ts"
import type { Readings } from "../../domain/ledger/Replica.ts"
import { rowOf } from "./columns.ts"
import type { Columns, Statement, Values } from "./Postgres.ts"
import { statementsOf } from "./statements.ts"

export type Read = (statement: Statement, values: Values) => Effect.Effect<readonly Columns[], DatabaseUnavailable>

/** The statements of each kind, made once. */
export const statementsByKind = () => {
  const made = new Map<string, ReturnType<typeof statementsOf>>()
  return (kind: Kind) => {
    const known = made.get(kind.name)
    if (known !== undefined) return known
    const fresh = statementsOf(kind)
    made.set(kind.name, fresh)
    return fresh
  }
}
type Statements = ReturnType<typeof statementsByKind>

/** Current rows, and the clock of the server that read them, in milliseconds. */
export const rowsBy = (read: Read, statements: Statements) => (kind: Kind, ids: readonly string[]) =>
  Effect.map(read(statements(kind).rows, [ids]), (found) => ({
    now: Number(found[0]!["now"]),
    epoch: Number(found[0]!["epoch"]),
    rows: new Map<string, Row>(found.filter((columns) => columns["id"] !== null).map((columns) => [columns["id"], rowOf(kind, columns)]))
  }))

export const listBy = (read: Read, statements: Statements) => (kind: Kind, { after, limit, where }: Page) => {
  const filters = Object.keys(where)
  return Effect.map(read(statements(kind).list(filters), [after, limit, ...filters.map((field) => where[field])]), (rows) =>
    rows.map((columns) => columns["id"] as string))
}

/** What primary and replica answer with the same statements. */
export const readingsBy = (read: Read, outbox: (read: Read) => Readings["outbox"]): Readings => {
  const statements = statementsByKind()
  return { ledger: { rows: rowsBy(read, statements), list: listBy(read, statements) }, outbox: outbox(read) }
}
