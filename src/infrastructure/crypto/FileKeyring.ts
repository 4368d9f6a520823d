import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, randomFillSync } from "node:crypto"
import type { KeyObject } from "node:crypto"
import { Effect, Layer } from "effect"
import { Keyring } from "../../domain/secrets/Keyring.ts"
import type { KeyringFile } from "./keyringFile.ts"

const NONCE = 12, TAG = 16, NUMBER = 2

// A key object made once costs a quarter of raw bytes at every message.
const derived = (key: Uint8Array, purpose: string): KeyObject => createSecretKey(Buffer.from(hkdfSync("sha256", key, "", `holdfast 1 ${purpose}`, 32)))

/** Keys from a keyring file; one is derived for every purpose. With more messages than 2^32 under one key two of their random nonces may be the same. */
export const layerFileKeyring = ({ primary, keys, index }: KeyringFile, mostMessages = 2 ** 32) =>
  Layer.effect(Keyring, Effect.sync(() => {
    const made = new Map<string, KeyObject>(), messages = new Map<string, number>()
    const keyFor = (number: number, purpose: string): KeyObject | null => {
      const name = `${number} ${purpose}`
      const known = made.get(name)
      if (known !== undefined) return known
      const root = number === 0 ? index : keys.get(number)
      if (root === undefined) return null
      const key = derived(root, purpose)
      made.set(name, key)
      return key
    }
    const count = (purpose: string) => {
      const sealed = (messages.get(purpose) ?? 0) + 1
      if (sealed > mostMessages) throw new Error("the primary key of the keyring has sealed as much as it may: rotate it")
      messages.set(purpose, sealed)
    }

    return Keyring.of({
      primary,
      seal: (purpose, plain, associated) => {
        count(purpose)
        const out = Buffer.allocUnsafe(NUMBER + NONCE + plain.length + TAG)
        out.writeUInt16BE(primary, 0)
        const nonce = randomFillSync(out, NUMBER, NONCE).subarray(NUMBER, NUMBER + NONCE)
        const cipher = createCipheriv("aes-256-gcm", keyFor(primary, purpose)!, nonce)
        cipher.setAAD(Buffer.concat([out.subarray(0, NUMBER), Buffer.from(associated)]))
        cipher.update(plain).copy(out, NUMBER + NONCE)
        cipher.final()
        cipher.getAuthTag().copy(out, out.length - TAG)
        return out
      },
      open: (purpose, sealed, associated) => {
        if (sealed.length < NUMBER + NONCE + TAG) return null
        const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
        const key = keyFor(bytes.readUInt16BE(0), purpose)
        if (key === null) return null
        const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(NUMBER, NUMBER + NONCE), { authTagLength: TAG })
        decipher.setAAD(Buffer.concat([bytes.subarray(0, NUMBER), Buffer.from(associated)]))
        decipher.setAuthTag(bytes.subarray(-TAG))
        try {
          return Buffer.concat([decipher.update(bytes.subarray(NUMBER + NONCE, -TAG)), decipher.final()])
        } catch {
          return null
        }
      },
      digest: (purpose, text) => createHmac("sha256", keyFor(0, purpose)!).update(text).digest("hex")
    })
  }))
