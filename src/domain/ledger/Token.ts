/**
 * A consistency token: a moment that later reads must not be older than. Opaque and authenticated.
 *
 * The token of a change has its transaction and the least sequence of its events, and speaks for every entity. The token
 * of a read names its entity by a digest, has no transaction, and speaks for that entity alone.
 */
export interface Token {
  readonly epoch: number
  readonly sequence: number
  readonly transaction: bigint | null
  /** 8 bytes in hexadecimal; null for every entity. */
  readonly entity: string | null
}

type Authenticate = (bytes: Uint8Array) => Uint8Array

const LENGTH = 24, MAC = 16
const CHANGE = 1, READ = 2

/** The digest under which a read's token names an entity. */
export const entityDigest = (kind: string, id: string, authenticate: Authenticate): string =>
  Buffer.from(authenticate(Buffer.from(`entity ${kind} ${id}`)).subarray(0, 8)).toString("hex")

/** 1 what it is, 7 epoch, 8 sequence, 8 transaction or entity; then the first 16 bytes of the MAC; in base64url. */
export const formatToken = (token: Token, authenticate: Authenticate): string => {
  const bytes = Buffer.alloc(LENGTH + MAC)
  bytes.writeBigUInt64BE((BigInt(token.transaction === null ? READ : CHANGE) << 56n) | BigInt(token.epoch), 0)
  bytes.writeBigUInt64BE(BigInt(token.sequence), 8)
  if (token.transaction === null) bytes.write(token.entity!, 16, "hex")
  else bytes.writeBigUInt64BE(token.transaction, 16)
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
  const isRead = bytes[0] === READ
  return {
    epoch: Number(bytes.readBigUInt64BE(0) & 0xff_ffff_ffff_ffffn),
    sequence: Number(bytes.readBigUInt64BE(8)),
    transaction: isRead ? null : bytes.readBigUInt64BE(16),
    entity: isRead ? bytes.toString("hex", 16, LENGTH) : null
  }
}
