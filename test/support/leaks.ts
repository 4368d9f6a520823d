/** Where a text was found that must be nowhere. */
export type Leak = { readonly value: string; readonly encoding: string; readonly at: number };

type Form = readonly [encoding: string, bytes: Buffer];
type Needle = { readonly value: string; readonly encoding: string; readonly bytes: Buffer };

// Shorter ones are found everywhere by chance: in ids, digests and sealed bytes.
const SHORTEST = 10;

/** The text values inside what was sent, and what of them says as much: long words, an address before its @, a number without its grouping. */
export const textsIn = (value: unknown): readonly string[] => {
  if (typeof value !== "string") return typeof value === "object" && value !== null ? [...new Set(Object.values(value).flatMap(textsIn))] : [];
  const digits = value.replace(/[\s().\-/+]/gu, "");
  // Written at home, a number has no country.
  const numbers = /^\d+$/u.test(digits) ? [`+${digits}`, digits.slice(2)] : [];
  const parts = [...value.split(/[\s@]+/u), ...numbers].filter((part) => part.length >= SHORTEST);
  return [...new Set([value, ...parts])];
};

const swapped = (text: string) => Buffer.from(text, "utf16le").swap16();

/** Where a value begins inside a longer text, base64 cuts it in one of three ways; the characters that it shares with its neighbours are left out. */
const base64 = (bytes: Buffer): readonly string[] =>
  [0, 1, 2].map((shift) => Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64").slice(Math.ceil((8 * shift) / 6), Math.floor((8 * (shift + bytes.length)) / 6)));

const escaped = (text: string) => JSON.stringify(text).slice(1, -1).replace(/[^\0-\x7f]/gu, (character) => [...Array(character.length).keys()]
  .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""));

/** A text in every way in which it might be written down. */
export const formsOf = (text: string): readonly Form[] => {
  const characters = { "UTF-8": Buffer.from(text), "UTF-16LE": Buffer.from(text, "utf16le"), "UTF-16BE": swapped(text) };
  const json = escaped(text);
  const percent = encodeURIComponent(text);
  return [
    ...Object.entries(characters).flatMap(([name, bytes]): Form[] => [
      [name, bytes],
      [`${name} in hex`, Buffer.from(bytes.toString("hex"))],
      ...base64(bytes).flatMap((code): Form[] => [
        [`${name} in base64`, Buffer.from(code)],
        [`${name} in base64url`, Buffer.from(code.replaceAll("+", "-").replaceAll("/", "_"))],
      ]),
    ]),
    ["Latin-1", Buffer.from(text, "latin1")],
    ["in a URL", Buffer.from(percent)],
    ["in a form", Buffer.from(percent.replaceAll("%20", "+"))],
    ["JSON-escaped", Buffer.from(json)],
    ["JSON-escaped twice", Buffer.from(JSON.stringify(json).slice(1, -1))],
  ];
};

const variantsOf = (text: string): ReadonlySet<string> =>
  new Set([text, text.toLowerCase(), text.toUpperCase()].flatMap((variant) => [variant, variant.normalize("NFC"), variant.normalize("NFD")]));

// Bytes as characters of the same number: letters become small, nothing moves, and needle and haystack are treated alike.
const small = (bytes: Uint8Array): Buffer => Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1").toLowerCase(), "latin1");

const HASHED = 4;
const hash = (bytes: Buffer, at: number): number => bytes.readInt32LE(at);
const bit = (code: number): number => Math.imul(code, 0x9e3779b1) >>> 8;

/**
 * Looks in any bytes for every value in every encoding at once: only where the first four bytes of a needle stand is it
 * compared, so that megabytes are searched for thousands of needles in a second.
 */
export const searchFor = (values: unknown): (haystack: Uint8Array) => readonly Leak[] => {
  const table = new Map<number, Needle[]>(), marked = new Uint8Array(1 << 24), known = new Set<string>();
  for (const value of textsIn(values)) {
    if (value.length < SHORTEST) throw new Error(`too short to be searched for: ${value}`);
    for (const variant of variantsOf(value)) {
      for (const [encoding, exact] of formsOf(variant)) {
        const bytes = small(exact), name = bytes.toString("latin1");
        if (known.has(name)) continue;
        known.add(name);
        const code = hash(bytes, 0);
        table.set(code, [...(table.get(code) ?? []), { value, encoding, bytes }]);
        marked[bit(code)] = 1;
      }
    }
  }
  return (haystack) => {
    const bytes = small(haystack), leaks: Leak[] = [];
    for (let at = 0; at + HASHED <= bytes.length; at++) {
      const code = hash(bytes, at);
      if (marked[bit(code)] === 0) continue;
      for (const needle of table.get(code) ?? []) {
        if (bytes.compare(needle.bytes, 0, needle.bytes.length, at, Math.min(bytes.length, at + needle.bytes.length)) === 0) {
          leaks.push({ value: needle.value, encoding: needle.encoding, at });
        }
      }
    }
    return leaks;
  };
};

/** What was found in several places, once for each value, encoding and place, with what stands around it. */
export const leaksIn = (values: unknown, places: Iterable<readonly [place: string, content: Uint8Array | string]>): readonly string[] => {
  const search = searchFor(values), found = new Set<string>();
  for (const [place, content] of places) {
    const bytes = Buffer.from(content as Uint8Array);
    for (const { value, encoding, at } of search(bytes)) {
      found.add(`${value} (${encoding}) in ${place}, after ${JSON.stringify(bytes.subarray(Math.max(0, at - 80), at).toString("latin1"))}`);
    }
  }
  return [...found];
};
