import { createHmac, createSecretKey, randomFillSync } from "node:crypto"
import { Layer } from "effect"
import { Identifiers } from "../../domain/Identifiers.ts"

// One call for many: asked for 6 bytes at a time, the system's randomness costs more than all the rest of an id.
const pool = Buffer.alloc(8_192)
let used = pool.length

/** Where so many random bytes stand in the pool; none is given out twice. */
const take = (bytes: number): number => {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return used - bytes
}

const hex = (bytes: number) => () => {
  const at = take(bytes)
  return pool.toString("hex", at, at + bytes)
}

const COUNTER_BITS = 26, COUNTER = (1 << COUNTER_BITS) - 1, SEED = COUNTER >> 1

let time = 0, counter = 0

/**
 * UUIDv7 with a counter of fixed length (RFC 9562, 6.2, method 1): 48 bits of milliseconds, 26 of counter, 48 random. A
 * millisecond begins at a random count, in the lower half. Time that stands still or goes back counts on, and a counter
 * that is full borrows from the time.
 */
const uuid = (): string => {
  const at = take(16), now = Date.now()
  if (now > time) {
    time = now
    counter = pool.readUInt32BE(at) & SEED
  } else {
    counter += 1
    time += counter >>> COUNTER_BITS
    counter &= COUNTER
  }
  pool.writeUIntBE(time, at, 6)
  pool.writeUInt16BE(0x7000 | counter >>> 14, at + 6)
  pool.writeUInt16BE(0x8000 | counter & 0x3fff, at + 8)
  const text = pool.toString("hex", at, at + 16)
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`
}

/** `secret` is the installation's token secret. */
export const layerNodeIdentifiers = ({ secret }: { readonly secret: Uint8Array }) => {
  // A KeyObject made once: with raw bytes a MAC costs 10 times as much.
  const key = createSecretKey(secret)
  return Layer.succeed(Identifiers, Identifiers.of({
    id: uuid,
    token: hex(16),
    mark: hex(8),
    random: Math.random,
    authenticate: (bytes) => createHmac("sha256", key).update(bytes).digest().subarray(0, 16)
  }))
}
