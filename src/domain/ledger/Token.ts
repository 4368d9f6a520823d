/**
 * A consistency token: a moment that later reads must not be older than. Opaque and authenticated.
 *
 * The token of a change has its transaction and the least sequence of its events, and speaks for every entity; it names the
 * one that was asked to change, by a digest. The token of a read names its entity, has no transaction, and speaks for that
 * entity alone.
 */
export interface Token {
  readonly epoch: number
  readonly sequence: number
  readonly transaction: bigint | null
  /** 8 bytes in hexadecimal; null for a change of many. */
  readonly entity: string | null
}

type Authenticate = (bytes: Uint8Array) => Uint8Array

const LENGTH = 32, MAC = 16
/** What a token has, as bits. One has a transaction, an entity, or both. */
const TRANSACTION = 1, ENTITY = 2

/** The digest under which a token names an entity. */
export const entityDigest = (kind: string, id: string, authenticate: Authenticate): string =>
  Buffer.from(authenticate(Buffer.from(`entity ${kind} ${id}`)).subarray(0, 8)).toString("hex")

/** 1 what it has, 7 epoch, 8 sequence, 8 transaction, 8 entity; then the first 16 bytes of the MAC; in base64url. */
export const formatToken = ({ epoch, sequence, transaction, entity }: Token, authenticate: Authenticate): string => {
  const bytes = Buffer.alloc(LENGTH + MAC)
  bytes.writeBigUInt64BE((BigInt((transaction === null ? 0 : TRANSACTION) | (entity === null ? 0 : ENTITY)) << 56n) | BigInt(epoch), 0)
  bytes.writeBigUInt64BE(BigInt(sequence), 8)
  bytes.writeBigUInt64BE(transaction ?? 0n, 16)
  bytes.write(entity ?? "", 24, "hex")
  bytes.set(authenticate(bytes.subarray(0, LENGTH)), LENGTH)
  return bytes.toString("base64url")
}

/** Null where the text is malformed, forged, or of another installation. */
export const parseToken = (text: string, authenticate: Authenticate): Token | null => {
  const bytes = Buffer.from(text, "base64url")
  // One text for one token: what decodes to the same bytes in another spelling is not ours.
  if (bytes.length !== LENGTH + MAC || bytes.toString("base64url") !== text) return null
  let different = 0
  authenticate(bytes.subarray(0, LENGTH)).forEach((byte, i) => { different |= byte ^ bytes[LENGTH + i]! })
  if (different !== 0) return null
  const has = bytes[0]!
  return {
    epoch: Number(bytes.readBigUInt64BE(0) & 0xff_ffff_ffff_ffffn),
    sequence: Number(bytes.readBigUInt64BE(8)),
    transaction: (has & TRANSACTION) === 0 ? null : bytes.readBigUInt64BE(16),
    entity: (has & ENTITY) === 0 ? null : bytes.toString("hex", 24, LENGTH)
  }
}
