import { entryOf, HEADER } from "../cache/Entry.ts"
import type { Value } from "../cache/Entry.ts"
import type { Kind } from "../Kind.ts"
import type { Row } from "../ledger/Ledger.ts"

/**
 * A row as the cache is to have it. One that cannot be encoded must not stop the others: its value then removes what the
 * cache holds of it, as a value too large to be kept does.
 */
export const encode = (kind: Kind, row: Row): { readonly value: Value; readonly encoded: boolean } => {
  try {
    return { value: entryOf(kind, row), encoded: true }
  } catch {
    const header = Buffer.from(entryOf(kind, { ...row, state: null }))
    header.write("x", HEADER - 1, "latin1")
    return { value: header, encoded: false }
  }
}
