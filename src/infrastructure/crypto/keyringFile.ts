import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Numbered keys of 32 bytes: one seals, all of them open. The index key makes keyed digests, which a rotation must not change. */
export interface KeyringFile { readonly primary: number; readonly keys: ReadonlyMap<number, Uint8Array>; readonly index: Uint8Array }

const BYTES = 32
const newKey = () => randomBytes(BYTES).toString("base64")

/** Reads `{"primary": 1, "keys": {"1": "<base64 of 32 bytes>"}, "index": "<base64 of 32 bytes>"}`. Throws an error that says what is wrong, and never a key. */
export const readKeyring = (path: string): KeyringFile => {
  const text = readFileSync(path, "utf8")
  let file: { readonly primary?: unknown; readonly keys?: Readonly<Record<string, unknown>>; readonly index?: unknown } | null
  try {
    file = JSON.parse(text)
  } catch {
    throw new Error("it is not JSON")
  }
  const keys = new Map(Object.entries(file?.keys ?? {}).map(([number, key]) => [Number(number), Buffer.from(String(key), "base64")]))
  for (const [number, key] of keys) if (!(number >= 1 && number <= 65_535) || key.length !== BYTES) throw new Error(`key ${number} has to be 32 bytes in base64, numbered from 1 to 65535`)
  if (!keys.has(file?.primary as number)) throw new Error("its primary names none of its keys")
  const index = Buffer.from(String(file!.index), "base64")
  if (index.length !== BYTES) throw new Error("its index has to be 32 bytes in base64")
  return { primary: file!.primary as number, keys, index }
}

/** Makes a keyring with one key, readable by its owner alone. Fails where the file exists: an overwritten key opens nothing any more. */
export const writeKeyring = (path: string): void =>
  writeFileSync(path, `${JSON.stringify({ primary: 1, keys: { 1: newKey() }, index: newKey() }, null, 2)}\n`, { mode: 0o600, flag: "wx" })

/** The keyring beside the embedded database; made where there is none, and `made` is told. */
export const keyringIn = (folder: string, made: (path: string) => void): string => {
  const path = join(folder, "keyring.json")
  try {
    writeKeyring(path)
    made(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
  return path
}
