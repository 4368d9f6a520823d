import { Context, Effect, Layer } from "effect"
import type { Kind } from "../Kind.ts"
import type { Row } from "../ledger/Ledger.ts"
import { Keyring } from "../secrets/Keyring.ts"
import { absenceOf, decodeEntry, entryOf, HEADER, headerOf, joined, removalOf } from "./Entry.ts"
import type { Entry, Value } from "./Entry.ts"
import { Keyspace } from "./Keyspace.ts"
import { Latest } from "./Latest.ts"

const REMEMBERED = 100_000

/**
 * Entries as the cache holds them: of tier 1 plain, from tier 2 up sealed whole, tombstones and absences too, and bound to
 * every byte of the header, to kind, id and tier. Remembers the newest version that this process has seen of its 100,000
 * latest sealed keys: an older entry that somebody put back is none.
 */
export class Entries extends Context.Service<Entries, {
  /** What a committed row says. It is seen: from now on an older entry is none. */
  readonly of: (kind: Kind, row: Row) => Entry
  /** An id that does not exist, as of an epoch: version 0, which every version replaces. */
  readonly absence: (kind: Kind, epoch: number) => Entry
  /** As the cache is given it. Of a large one only the header, by which the cache removes what it has. */
  readonly write: (kind: Kind, id: string, entry: Entry) => Value
  /** Null where the bytes are no entry of this one: a lease, another format, damage, another place, an unknown key, or an older version than was seen. */
  readonly read: (kind: Kind, id: string, value: Uint8Array) => Entry | null
  /** As `read`, but for the version: an entry that the service has written, though it may be an older one. */
  readonly open: (kind: Kind, id: string, value: Uint8Array) => Entry | null
  /** A life of the database is over: to `read`, an entry of an older epoch than this is none from now on. */
  readonly refuseBefore: (epoch: number) => void
}>()("holdfast/cache/Entries") {
  static readonly layer = Layer.effect(Entries, Effect.gen(function*() {
    const keyring = yield* Keyring, { partitionOf } = yield* Keyspace
    const purposeOf = (id: string) => `entry ${partitionOf(id)}`
    const placeOf = (header: string, { name, tier }: Kind, id: string) => `${header} ${name} ${id} ${tier}`
    const keyIdOf = ({ tier }: Kind) => tier === 1 ? 0 : keyring.primary

    let oldest = 0
    /** The newest that was seen of a key. */
    const floors = new Latest<Pick<Entry, "epoch" | "version">>(REMEMBERED)
    /** Whether it is as new as what was seen before; if so, it is seen. */
    const isNewest = ({ name, tier }: Kind, id: string, { epoch, version }: Entry): boolean => {
      if (tier === 1) return true
      const key = `${name} ${id}`, floor = floors.get(key)
      if (floor !== undefined && (epoch < floor.epoch || (epoch === floor.epoch && version <= floor.version))) {
        return epoch === floor.epoch && version === floor.version
      }
      // Absences take no place: whoever asks for ids that do not exist would else make this forget those that do.
      if (floor !== undefined || version > 0) floors.set(key, { epoch, version })
      return true
    }

    const open = (kind: Kind, id: string, value: Uint8Array): Entry | null => {
      const entry = decodeEntry(value)
      // A large one never stands there.
      if (entry === null || entry.what === "large" || (entry.keyId === 0) !== (kind.tier === 1)) return null
      if (kind.tier === 1) return entry
      // The bytes that stand there, not what was understood of them: two of them may be understood alike.
      const header = Buffer.from(value.buffer, value.byteOffset, HEADER).toString("latin1")
      const payload = keyring.open(purposeOf(id), entry.payload, placeOf(header, kind, id))
      return payload === null ? null : { ...entry, payload }
    }

    return Entries.of({
      of: (kind, row) => {
        const entry = entryOf(kind, row, keyIdOf(kind))
        isNewest(kind, row.id, entry)
        return entry
      },
      absence: (kind, epoch) => absenceOf(epoch, keyIdOf(kind)),
      write: (kind, id, entry) => {
        if (entry.what === "large") return removalOf(entry)
        const header = headerOf(entry)
        return joined(header, kind.tier === 1 ? entry.payload : keyring.seal(purposeOf(id), entry.payload, placeOf(header, kind, id)))
      },
      read: (kind, id, value) => {
        const entry = open(kind, id, value)
        return entry !== null && entry.epoch >= oldest && isNewest(kind, id, entry) ? entry : null
      },
      open,
      refuseBefore: (epoch) => { oldest = epoch }
    })
  }))
}
