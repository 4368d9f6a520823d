import { isSensitiveKey } from "./isSensitiveKey.ts"
import { redactPhones } from "./redactPhones.ts"

export const REDACTED = "[redacted]"

/** Longest string that is written; every pattern below is linear, or bounded by a small number, in what is left. */
export const MAX_TEXT = 16_384
/** Where a string is cut, what may be half of something is dropped as well. */
const CUT_WORD = 256

/** A match in random bytes must be improbable: "a@b.co" is the price. */
const MIN_HIDDEN_EMAIL = 8

const LOCAL = "\\p{L}\\p{M}\\p{N}._%+'!#$*^~-"
const LABEL = "[\\p{L}\\p{M}\\p{N}_-]+"
/** Also internationalised, with a quoted local part, at an address literal. A package and its version (`pino@10.4.0`) are none. */
const EMAIL = new RegExp(
  `(?:"[^"\\n@]{1,64}"|(?<![${LOCAL}])[${LOCAL}]+)[@\uff20](?:(?:${LABEL}\\.)+(?:xn--[a-z\\d-]+|[\\p{L}\\p{M}]{2,})|localhost|\\[[\\da-f.:]+\\])`, "giu")

interface Fields {
  /** Captures the quote, and the key within. */
  readonly key: RegExp
  readonly value: RegExp
}

/** `"key": value` of JSON inside a string, at any level of escaping; an unterminated value reaches to the end. */
const JSON_FIELDS: Fields = {
  key: /(\\{0,16}")([\w-]{1,64})\1\s{0,8}:\s{0,8}/g,
  value: /(\\{0,16}")[^]*?(?:(?<!\\)\1|$)|\[[^\]]*\]?|-?\d[\d.eE+-]*/y
}

/** `key=value` and `key: value`, as in query strings, connection strings and inspected objects; without quotes up to the next comma or key. */
const TEXT_FIELDS: Fields = {
  key: /()(?<![\w-])([\w-]{1,64})\s{0,3}[=:]\s{0,3}/g,
  value: /"[^"\n]*"?|'[^'\n]*'?|(?!\[redacted)[^\s"',;&)\]}]+(?: [^\s"',;&)\]}=:]+(?![^\s"',;&)\]}]))*/y
}

const SECRETS: ReadonlyArray<readonly [RegExp, string]> = [
  [/((?:set-)?cookie|(?:proxy-)?authorization)\s{0,3}[:=]\s{0,3}(?!\[redacted)[^\s"'][^\r\n"']*/gi, `$1: ${REDACTED}`],
  [/\b(bearer)\s{1,3}[\w.~+/=-]+/gi, `$1 ${REDACTED}`],
  // user:password@ of a URL, up to the last @: a password may, against every standard, have an @ or a slash in it.
  [/:\/\/(?:[^\s/:@"'<>]{0,128}:[^\s"'<>]{0,256}|[^\s/?#"'<>]*)@/g, `://${REDACTED}@`],
  [/(?<![A-Za-z\d])hf_[A-Za-z\d-]+_[\w-]+/g, REDACTED],
  [/(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*/g, REDACTED],
  // Postgres quotes the row that broke a constraint.
  [/(Key \([^)]{0,200}\)=)\([^\n]*\)/g, `$1(${REDACTED})`],
  [/(Failing row contains )\([^\n]*/g, `$1(${REDACTED})`]
]

const BASE64 = /(?<![\w+/-])[\w+/-]{8,}/g
const HEX = /[\da-f]{12,}/gi
const ESCAPE = /%([2-7][\da-f])|\\u00([2-7][\da-f])/gi

/** The string without what looks personal or secret, also where it is percent-encoded, or an e-mail address in base64 or hex. */
export const redactText = (text: string): string => {
  const kept = text.length > MAX_TEXT ? `${cut(text)} [${text.length - MAX_TEXT} more]` : text
  const decoded = decodeEscapes(kept)
  const redacted = redactDecoded(decoded)
  return redacted === decoded ? kept : redacted
}

const cut = (text: string) => text.slice(0, MAX_TEXT - CUT_WORD) + text.slice(MAX_TEXT - CUT_WORD, MAX_TEXT).replace(/\S*$/, "")

/** ASCII only, which is where `@`, `+` and quotes are. Three times, for what was encoded twice. */
const decodeEscapes = (text: string): string => {
  const once = (encoded: string) => encoded.replace(ESCAPE, (_, percent: string | undefined, unicode: string) => String.fromCharCode(Number.parseInt(percent ?? unicode, 16)))
  return once(once(once(text)))
}

const redactDecoded = (text: string): string => {
  const withoutSecrets = SECRETS.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), redactFields(text, JSON_FIELDS))
  const withoutEmails = withoutSecrets
    .replace(EMAIL, REDACTED)
    .replace(HEX, (run) => hidesEmail(run, "hex", 2) ? REDACTED : run)
    .replace(BASE64, (run) => hidesEmail(run, "base64", 4) ? REDACTED : run)
  return redactFields(redactPhones(withoutEmails, REDACTED), TEXT_FIELDS)
}

/** Only the value of a sensitive key is skipped: any other can hold fields of its own. */
const redactFields = (text: string, { key: keys, value: values }: Fields): string => {
  let line = ""
  let copied = 0
  for (const match of text.matchAll(keys)) {
    const [field, quote, key] = match as unknown as readonly [string, string, string]
    values.lastIndex = match.index + field.length
    if (match.index < copied || !isSensitiveKey(key) || !values.test(text)) continue
    line += `${text.slice(copied, match.index + field.length)}${quote}${REDACTED}${quote}`
    copied = values.lastIndex
  }
  return line + text.slice(copied)
}

/** The run may begin anywhere in an encoded group, because something else is glued before it. */
const hidesEmail = (run: string, encoding: "hex" | "base64", group: number): boolean =>
  Array.from({ length: group }, (_, skip) => Buffer.from(run.slice(skip), encoding).toString("utf8"))
    .some((decoded) => decoded.match(EMAIL)?.some(({ length }) => length >= MIN_HIDDEN_EMAIL))
