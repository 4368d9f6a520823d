import type { Entries } from "../cache/Entries.ts"
import { removalOf } from "../cache/Entry.ts"
import type { Value } from "../cache/Entry.ts"
import type { Kind } from "../Kind.ts"
import type { Row } from "../ledger/Ledger.ts"

/**
 * A row as the cache is to have it. One that cannot be encoded must not stop the others: its value then removes what the
 * cache holds of it, as a value too large to be kept does.
 */
export const encode = (entries: Entries["Service"]) => (kind: Kind, row: Row): { readonly value: Value; readonly encodable: boolean } => {
  try {
    return { value: entries.write(kind, row.id, entries.of(kind, row)), encodable: true }
  } catch {
    return { value: removalOf({ ...row, keyId: 0 }), encodable: false }
  }
}
