/** What looks like a formatted number and is none: UUIDs, and dates with or without a time. */
const UUID = /[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/
const DATE = /(?<!\d)\d{4}([-/])[01]\d\1[0-3]\d(?!\d)(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?/
/** Digits and what people put between them, not in the middle of a word or of a dotted number; an extension may follow. */
const RUN = /(?<![\w-]|\d\.)\+?\(?\d[\d \t\u00a0().\-/\u2010-\u2015]*\d(?![\da-wyz_])/
const CANDIDATE = new RegExp(`${UUID.source}|${DATE.source}|(?<run>${RUN.source})`, "gi")

/** E.164 allows 15 digits, and `00` may stand before them. */
const MIN_DIGITS = 7
const MAX_DIGITS = 17

/**
 * Replaces phone numbers in international (`+49…`) or formatted (`(030) 123 45 67`, `555-123-4567`) form. Digits without either are a position, a
 * count or a time, and stay; so do dotted versions and addresses of machines.
 */
export const redactPhones = (text: string, replacement: string): string =>
  text.replace(CANDIDATE, (match, _separator, run: string | undefined) => {
    if (run === undefined) return match
    if (isPhone(run)) return replacement
    // A number beside a phone number, with nothing but a space between, makes a run too long for either.
    return run.replace(/[^ \t\u00a0]+/g, (piece) => isPhone(piece) ? replacement : piece)
  })

const isPhone = (run: string): boolean => {
  const groups = run.match(/\d+/g) ?? []
  const digits = groups.join("").length
  if (digits < MIN_DIGITS || digits > MAX_DIGITS) return false
  if (run.startsWith("+")) return true
  if (groups.length === 1) return false
  if (/^0\d|\(\d{1,5}\)/.test(run)) return true
  if (run.includes(".")) return /^\d{3}\.\d{3}\.\d{4}$/.test(run)
  if (/^\d{3}-\d{4}$/.test(run)) return true
  return groups.length >= 3 && groups.every(({ length }) => length <= 5) && /^\d{1,3}\D/.test(run)
}
