/** Levels of nesting. What comes after the parser (schemas, `JSON.stringify`) recurses, and a body of 1 MiB can be 500,000 levels deep. */
export const MAX_DEPTH = 256

/** Longest pointer quoted in a message: a key can be as long as the body. */
const MAX_POINTER = 200

/** An array or object that is open, and the key or index in it that is being read. */
type Level =
  | { readonly keys: Set<string>; step: string }
  | { readonly keys: null; step: number }

const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y
const QUOTE = 0x22, COMMA = 0x2c, COLON = 0x3a, OPEN_BRACKET = 0x5b, BACKSLASH = 0x5c, CLOSE_BRACKET = 0x5d, OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d

/**
 * What keeps `text` from being JSON, or null. It accepts what `JSON.parse` accepts, but for duplicate keys and depth, and unlike its messages those
 * here always have a position (in UTF-16 units, from 0) and never a piece of the text. One pass, no recursion.
 */
export const findJsonFault = (text: string): string | null => {
  const levels: Array<Level> = []
  let at = 0

  const skipSpace = () => {
    for (let c = text.charCodeAt(at); c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;) c = text.charCodeAt(++at)
  }
  const take = (code: number): boolean => {
    skipSpace()
    if (text.charCodeAt(at) !== code) return false
    at++
    return true
  }
  const takePattern = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    if (!pattern.test(text)) return false
    at = pattern.lastIndex
    return true
  }
  const expected = (what: string) => `${what} expected at ${at === text.length ? "the end" : `position ${at}`}`

  /** Reads on from behind the opening quote. */
  const stringFault = (): string | null => {
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) { at++; return null }
      if (code === BACKSLASH) {
        if (!takePattern(ESCAPE)) return `unknown escape sequence at position ${at}`
      } else if (code >= 0x20) at++
      else return at === text.length ? expected("a closing quote") : `control character in a string at position ${at}`
    }
  }
  const keyFault = (level: Level & { readonly keys: Set<string> }): string | null => {
    if (!take(QUOTE)) return expected("a key in quotes")
    const start = at - 1
    const fault = stringFault()
    if (fault !== null) return fault
    // Keys are equal when their characters are, however they are escaped.
    level.step = JSON.parse(text.slice(start, at)) as string
    if (level.keys.has(level.step)) return `duplicate key ${pointerTo(levels)} at position ${start}`
    level.keys.add(level.step)
    return take(COLON) ? null : expected("a colon")
  }
  const scalarFault = (): string | null => take(QUOTE) ? stringFault() : takePattern(SCALAR) ? null : expected("a value")

  for (;;) {
    const opened: Level | null = take(OPEN_BRACE) ? { keys: new Set(), step: "" } : take(OPEN_BRACKET) ? { keys: null, step: -1 } : null
    const fault = opened === null ? scalarFault() : levels.push(opened) > MAX_DEPTH ? `nested deeper than ${MAX_DEPTH} levels at position ${at - 1}` : null
    if (fault !== null) return fault

    let needsComma = opened === null
    let level = levels.at(-1)
    while (level !== undefined && take(level.keys === null ? CLOSE_BRACKET : CLOSE_BRACE)) {
      levels.pop()
      level = levels.at(-1)
      needsComma = true
    }
    if (level === undefined) {
      skipSpace()
      return at === text.length ? null : `text after the value at position ${at}`
    }
    if (needsComma && !take(COMMA)) return expected(level.keys === null ? "a comma or ]" : "a comma or }")
    if (level.keys === null) level.step++
    else {
      const fault = keyFault(level)
      if (fault !== null) return fault
    }
  }
}

const pointerTo = (levels: ReadonlyArray<Level>): string => {
  const pointer = levels.map(({ step }) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
  return `#${pointer.length > MAX_POINTER ? `${pointer.slice(0, MAX_POINTER)}…` : pointer}`.toWellFormed()
}
