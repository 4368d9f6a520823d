import { randomBytes, randomUUID } from "node:crypto"

/** A header that cannot be read: 400 `malformed`. The text names the header and never quotes it. */
export interface Fault { readonly fault: string }

type Header = string | null | undefined

/** Every alternative starts with a different character, so that each of these is linear. */
const VISIBLE = /^[\x21-\x7e]{1,255}$/
const SF_STRING = /^"((?:[^"\\]|\\["\\])*)"$/

/** The key, null without one. `"abc"` and `abc` are the same key. */
export const idempotencyKey = (header: Header): string | null | Fault => {
  if (header === null || header === undefined) return null
  const key = header.startsWith("\"") ? SF_STRING.exec(header)?.[1]?.replace(/\\(.)/g, "$1") : header
  return key !== undefined && VISIBLE.test(key)
    ? key
    : { fault: "Idempotency-Key has 1 to 255 visible ASCII characters, bare or as a quoted string" }
}

/** The versions that a condition names. `"3"` is version 3; another well-formed tag is of nobody here and names none. */
export type Condition = { readonly any: true } | { readonly any: false; readonly versions: ReadonlyArray<number> }

const ENTITY_TAG = /[ \t]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|$)/y
const VERSION = /^[1-9]\d{0,15}$/

const condition = (name: string, header: Header, comparison: "strong" | "weak"): Condition | null | Fault => {
  if (header === null || header === undefined) return null
  if (header.trim() === "*") return { any: true }
  const tags = matchList(ENTITY_TAG, header)?.filter(([, , tag]) => tag !== undefined)
  if (tags === undefined || tags.length === 0) return { fault: `${name} is * or a list of entity tags in quotes` }
  const versions = tags
    .filter(([, weak, tag]) => VERSION.test(String(tag)) && (weak === undefined || comparison === "weak"))
    .map(([, , tag]) => Number(tag))
  return { any: false, versions }
}

/** Compared strongly: a weak tag matches nothing. */
export const ifMatch = (header: Header) => condition("If-Match", header, "strong")

/** Compared weakly: `W/"3"` is version 3. */
export const ifNoneMatch = (header: Header) => condition("If-None-Match", header, "weak")

export interface CacheControl {
  readonly noCache: boolean
  /** How long ago an entry may have been settled; null if it was not said, or `noCache` is. */
  readonly maxAgeSeconds: number | null
}

const DIRECTIVE = /[ \t]*(?:([\w!#$%&'*+.^`|~-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+)))?[ \t]*)?(?:,|$)/y

/** The longest age that means anything (RFC 9111, 1.2.2). */
const MAX_SECONDS = 2 ** 31

/** `max-age=0` is `no-cache`; of several ages the smallest counts; other directives are ignored. */
export const cacheControl = (header: Header): CacheControl | Fault => {
  const directives = matchList(DIRECTIVE, header ?? "")
  if (directives === undefined) return { fault: "Cache-Control is a list of directives" }
  const named = (name: string) => directives.filter(([, directive]) => directive?.toLowerCase() === name)
  const ages = named("max-age").map(([, , quoted, bare]) => quoted ?? bare ?? "")
  if (!ages.every((age) => /^\d+$/.test(age))) return { fault: "max-age in Cache-Control is a whole number of seconds" }
  const maxAge = Math.min(MAX_SECONDS, ...ages.map(Number))
  const noCache = named("no-cache").length > 0 || maxAge === 0
  return { noCache, maxAgeSeconds: noCache || ages.length === 0 ? null : maxAge }
}

/** The elements of a comma-separated list, empty ones included; undefined if it is not one. `pattern` is sticky and takes the comma too. */
const matchList = (pattern: RegExp, header: string): ReadonlyArray<RegExpExecArray> | undefined => {
  const matches: Array<RegExpExecArray> = []
  pattern.lastIndex = 0
  do {
    const match = pattern.exec(header)
    if (match === null) return undefined
    matches.push(match)
  } while (pattern.lastIndex < header.length)
  return matches
}

/** The client's, if it is 1 to 128 of `A-Za-z0-9._-`, else a new one: it goes into logs and answers. */
export const requestId = (header: Header): string =>
  typeof header === "string" && /^[A-Za-z0-9._-]{1,128}$/.test(header) ? header : randomUUID()

export interface TraceContext {
  readonly traceId: string
  /** The span of this request. */
  readonly spanId: string
  /** The caller's span; null if the trace begins here. */
  readonly parentId: string | null
  /** What is handed on: outbox, relay, other services. */
  readonly header: string
}

/** Version 00 ends after the flags, a later one may go on. Neither id is all zeros. */
const TRACEPARENT = /^(?:00(?=.{53}$)|(?!00|ff)[\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?$/
/** sampled, and random trace id: the flags known today. */
const KNOWN_FLAGS = 0x03

/** W3C Trace Context: the caller's trace with a new span, or a new trace. An unreadable header starts a new one, as the standard says. */
export const traceparent = (header: Header): TraceContext => {
  const [, traceId = randomBytes(16).toString("hex"), parentId = null, flags = "00"] = TRACEPARENT.exec(header ?? "") ?? []
  const spanId = randomBytes(8).toString("hex")
  const knownFlags = (Number.parseInt(flags, 16) & KNOWN_FLAGS).toString(16)
  return { traceId, spanId, parentId, header: `00-${traceId}-${spanId}-0${knownFlags}` }
}

export type MediaType = "application/json" | "application/merge-patch+json" | "other"

/** Parameters such as `charset` change nothing: JSON is UTF-8. */
export const mediaType = (header: Header): MediaType => {
  const type = (header ?? "").split(";", 1).join().trim().toLowerCase()
  return type === "application/json" || type === "application/merge-patch+json" ? type : "other"
}
