import { createCipheriv, createDecipheriv, createSecretKey, randomFillSync } from "node:crypto"
import type { SubjectKey } from "../../domain/secrets/SubjectKeys.ts"

const NONCE = 12, TAG = 16

/** AES-256-GCM with a random nonce under one person's key: 12 bytes nonce, the ciphertext, 16 tag. */
export const dataKey = (bytes: Uint8Array): SubjectKey => {
  // A key object made once costs a quarter of raw bytes at every message.
  const key = createSecretKey(bytes)
  return {
    seal: (plain, associated) => {
      const nonce = randomFillSync(Buffer.allocUnsafe(NONCE))
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(associated))
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open: (sealed, associated) => {
      if (sealed.length < NONCE + TAG) return null
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
      const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE), { authTagLength: TAG })
      decipher.setAAD(Buffer.from(associated)).setAuthTag(bytes.subarray(-TAG))
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()])
      } catch {
        return null
      }
    }
  }
}
