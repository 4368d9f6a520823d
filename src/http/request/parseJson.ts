import { findJsonFault } from "./findJsonFault.ts"

export type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly detail: string }

const utf8 = new TextDecoder("utf-8", { fatal: true })
const lenientUtf8 = new TextDecoder("utf-8", { ignoreBOM: true })
const encoder = new TextEncoder()

/**
 * Strict JSON: UTF-8 (a byte order mark is ignored, as RFC 8259 allows), no duplicate keys, nested no deeper than `MAX_DEPTH`. `detail` says what is
 * wrong and where, and never quotes a value. A key `__proto__` becomes a property like any other: do not copy the value by assignment.
 */
export const parseJson = (bytes: Uint8Array): Parsed => {
  const text = decode(bytes)
  if (text === null) return { ok: false, detail: `not UTF-8 at byte ${firstBadByte(bytes)}` }
  const detail = findJsonFault(text)
  return detail === null ? { ok: true, value: JSON.parse(text) } : { ok: false, detail }
}

const decode = (bytes: Uint8Array): string | null => {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}

/** Decoding and encoding again changes the first byte that is not UTF-8, and none before it. */
const firstBadByte = (bytes: Uint8Array): number => {
  const mended = encoder.encode(lenientUtf8.decode(bytes))
  let at = 0
  while (bytes[at] === mended[at]) at++
  return at
}
