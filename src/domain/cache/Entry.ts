import type { Kind, State } from "../Kind.ts"
import type { Row } from "../ledger/Ledger.ts"

/**
 * What the cache holds for one entity: a header of 46 characters, then the payload exactly as HTTP sends it; from tier 2
 * up sealed (`Entries`).
 *
 *     format 1 | epoch 12 | version 14 | sequence 14 | key id 4 | what it is 1      (numbers in hexadecimal)
 *
 * Fixed width, so that scripts compare (epoch, version) as text: a Lua number loses integers above 2^53. Digits and lower
 * case only, because Lua compares by the server's locale.
 */
export type Value = Uint8Array

export const HEADER = 46
/** In bytes, before it is sealed. A larger entity is not cached: a store of it removes what is there. */
export const LARGEST_PAYLOAD = 64 * 1024

/** `entity` has a payload; `deleted` and `unknown` (an id that does not exist, version 0) have none; `large` has one that is not kept. */
export type What = "entity" | "deleted" | "unknown" | "large"

export interface Entry {
  readonly what: What
  readonly epoch: number
  readonly version: number
  /** Of the entity's last event. */
  readonly sequence: number
  /** The number of the key that sealed it; 0 where it is plain. */
  readonly keyId: number
  /** Of an entity its JSON, else empty. As `decodeEntry` gives it, it may be sealed. */
  readonly payload: Uint8Array
}

const CODES = { entity: "e", deleted: "t", unknown: "a", large: "x" } satisfies Record<What, string>
const WHATS = new Map(Object.entries(CODES).map(([what, code]) => [code, what as What]))

const hex = (value: number, width: number) => value.toString(16).padStart(width, "0")

/** The header alone: 46 characters of ASCII. */
export const headerOf = ({ what, epoch, version, sequence, keyId }: Omit<Entry, "payload">): string =>
  `1${hex(epoch, 12)}${hex(version, 14)}${hex(sequence, 14)}${hex(keyId, 4)}${CODES[what]}`

/** The answer to a `GET` of an entity: the same bytes for a version wherever they are made. `state` is the one that is kept. */
export const payloadOf = (kind: Kind, row: { readonly id: string; readonly version: number; readonly updatedAtNs: string }, state: State): Uint8Array => {
  const body: Record<string, unknown> = { id: row.id, versionId: row.version, updatedAtNs: row.updatedAtNs }
  for (const name of kind.shown) body[name] = state[name]
  return Buffer.from(JSON.stringify(body))
}

const NOTHING = new Uint8Array(0)

export const entryOf = (kind: Kind, row: Row, keyId = 0): Entry => {
  const { epoch, version, sequence, state } = row
  if (state === null) return { what: "deleted", epoch, version, sequence, keyId, payload: NOTHING }
  const payload = payloadOf(kind, row, state)
  return { what: payload.length > LARGEST_PAYLOAD ? "large" : "entity", epoch, version, sequence, keyId, payload }
}

/** An id that does not exist, as of an epoch: version 0, which every version replaces. */
export const absenceOf = (epoch: number, keyId = 0): Entry => ({ what: "unknown", epoch, version: 0, sequence: 0, keyId, payload: NOTHING })

/** The bytes of a header and what stands behind it. */
export const joined = (header: string, payload: Uint8Array): Value => Buffer.concat([Buffer.from(header, "latin1"), payload])

/** What makes the cache remove what it has, if that is older: the header of something too large to be kept. It never stands there itself. */
export const removalOf = (entry: Omit<Entry, "payload" | "what">): Value => joined(headerOf({ ...entry, what: "large" }), NOTHING)

/** Whether it is an entity that exists and was not deleted. */
export const isLiving = (entry: Entry): boolean => entry.what === "entity" || entry.what === "large"

/** The header alone, for a comparison of versions. */
export const rankOf = (row: { readonly epoch: number; readonly version: number }): string => `${hex(row.epoch, 12)}${hex(row.version, 14)}`

/** Null where the bytes are no entry: a lease, another format, or damage. What is sealed stays so. */
export const decodeEntry = (value: Uint8Array): Entry | null => {
  if (value.length < HEADER || value[0] !== 0x31) return null
  const text = Buffer.from(value.buffer, value.byteOffset, HEADER).toString("latin1")
  const what = WHATS.get(text[45]!)
  const epoch = parseInt(text.slice(1, 13), 16), version = parseInt(text.slice(13, 27), 16), sequence = parseInt(text.slice(27, 41), 16)
  const keyId = parseInt(text.slice(41, 45), 16)
  if (what === undefined || Number.isNaN(epoch + version + sequence + keyId)) return null
  return { what, epoch, version, sequence, keyId, payload: value.subarray(HEADER) }
}

const DAY = 86_400_000
/** For how long the cache keeps a value, in milliseconds. Entities spread by ± 10 %, so that what was filled together does not expire together. */
export const timeToLive = (value: Value, entityMilliseconds: number, random: number): number => {
  const code = String.fromCharCode(value[45]!)
  return code === CODES.unknown ? 60_000 : code === CODES.deleted ? DAY : Math.round(entityMilliseconds * (0.9 + 0.2 * random))
}
