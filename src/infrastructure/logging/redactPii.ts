import { Redacted } from "effect"
import { isSensitiveKey } from "./isSensitiveKey.ts"
import { REDACTED, redactText } from "./redactText.ts"

/** A line is for reading: deeper, wider and larger things are cut. */
const MAX_DEPTH = 8
const MAX_ENTRIES = 200
const MAX_VALUES = 2_000

const UNREADABLE = "[unreadable]"

/**
 * A fresh plain value (JSON can write it) without what is personal or secret: by classification (`Redacted`, sensitive keys) and by pattern in every
 * string, keys included. Bytes are only counted. Never throws and changes nothing.
 */
export const redactPii = (input: unknown): unknown => {
  let valuesLeft = MAX_VALUES
  const ancestors = new Set<object>()

  const visit = (value: unknown): unknown => {
    if (--valuesLeft < 0) return "[truncated]"
    if (typeof value === "string") return redactText(value)
    if (typeof value === "bigint") return String(value)
    if (typeof value === "function" || typeof value === "symbol") return `[${typeof value}]`
    if (typeof value !== "object" || value === null) return value
    if (ancestors.has(value)) return "[circular]"
    if (ancestors.size === MAX_DEPTH) return "[truncated]"
    ancestors.add(value)
    try {
      return visitObject(value)
    } catch {
      // A proxy, a getter, an invalid date.
      return UNREADABLE
    } finally {
      ancestors.delete(value)
    }
  }

  const visitObject = (value: object): unknown => {
    if (Redacted.isRedacted(value)) return REDACTED
    if (value instanceof Date) return value.toISOString()
    if (value instanceof String || value instanceof URL || value instanceof URLSearchParams) return redactText(value.toString())
    const bytes = countBytes(value)
    if (bytes !== null) return `[bytes ${bytes}]`
    if (value instanceof Map) return record(Array.from(value, ([key, entry]: [unknown, unknown]) => [keyText(key), () => entry]))
    if (Array.isArray(value) || value instanceof Set) return list(Array.from<unknown>(value))
    if (value instanceof Error) return record(errorFields(value))
    return record(ownFields(value))
  }

  const list = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
    const shown = values.slice(0, MAX_ENTRIES).map(visit)
    return values.length > MAX_ENTRIES ? [...shown, `[${values.length - MAX_ENTRIES} more]`] : shown
  }

  /** `fromEntries` makes a property even of a key `__proto__`. */
  const record = (fields: ReadonlyArray<Field>): object => {
    const shown = fields.slice(0, MAX_ENTRIES).map(([key, read]) => [redactText(key), visitField(key, read)] as const)
    const more = fields.length > MAX_ENTRIES ? [["…", `[${fields.length - MAX_ENTRIES} more]`] as const] : []
    return Object.fromEntries([...shown, ...more])
  }

  const visitField = (key: string, read: () => unknown): unknown => {
    let value: unknown
    try {
      value = read()
    } catch {
      return UNREADABLE
    }
    // That something is absent, or whether it is set, tells nobody's secret.
    const saysNothing = value === null || value === undefined || typeof value === "boolean"
    return isSensitiveKey(key) && !saysNothing ? REDACTED : visit(value)
  }

  return visit(input)
}

/** Read late, because a getter may throw. */
type Field = readonly [key: string, read: () => unknown]

const ownFields = (value: object): Array<Field> => Object.keys(value).map((key) => [key, () => (value as Record<string, unknown>)[key]])

/** The error's own `name` is its type, not a person's; `errors` are those of an AggregateError. */
const errorFields = (error: Error): Array<Field> => [
  ["type", () => error.name],
  ["message", () => error.message],
  ["stack", () => error.stack],
  ["cause", () => error.cause],
  ["errors", () => (error as { readonly errors?: unknown }).errors],
  ...ownFields(error).filter(([key]) => !["name", "message", "stack", "cause", "errors"].includes(key))
]

const keyText = (key: unknown): string => typeof key === "string" || typeof key === "number" || typeof key === "bigint" ? String(key) : `[${typeof key}]`

/** Also of a buffer that went through JSON. Null: these are no bytes. */
const countBytes = (value: object): number | null => {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return value.byteLength
  const { type, data } = value as { readonly type?: unknown; readonly data?: unknown }
  return type === "Buffer" && Array.isArray(data) ? data.length : null
}
