import { Context } from "effect"

/**
 * The keys of this installation. What is sealed is bound to its place: it opens only with the same purpose and the same
 * associated data. Digests are keyed, so that nobody without the keyring can try values.
 */
export class Keyring extends Context.Service<Keyring, {
  /** The number of the key that seals. */
  readonly primary: number
  /** AES-256-GCM under the primary key: 2 bytes key number, 12 nonce, the ciphertext, 16 tag. */
  readonly seal: (purpose: string, plain: Uint8Array, associated: string) => Uint8Array
  /** Null where it was altered, cut, moved, or sealed under a key that is not in the ring. */
  readonly open: (purpose: string, sealed: Uint8Array, associated: string) => Uint8Array | null
  /** HMAC-SHA-256 in hexadecimal, 64 digits; it outlives the rotation of the sealing keys. */
  readonly digest: (purpose: string, text: string) => string
}>()("holdfast/secrets/Keyring") {}
