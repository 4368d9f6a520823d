import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { leaksIn, searchFor, textsIn } from "./leaks.ts";

const NAME = "Zéphyrine Straußenberger 東京タワー";
const EMAIL = "zephyrine.straussenberger@beispielhaft.example";
const encodingsFound = (value: string, haystack: Uint8Array) => new Set(searchFor([value])(haystack).map(({ encoding }) => encoding));
const amid = (before: string, bytes: Uint8Array | string, after: string) => Buffer.concat([Buffer.from(before), Buffer.from(bytes as Uint8Array), Buffer.from(after)]);

test.each<[string, (text: string) => Uint8Array | string]>([
  ["UTF-8", (text) => text],
  ["UTF-8", (text) => text.toUpperCase()],
  ["UTF-8", (text) => text.toLowerCase()],
  ["UTF-8", (text) => text.normalize("NFD")],
  ["UTF-16LE", (text) => Buffer.from(text, "utf16le")],
  ["UTF-16BE", (text) => Buffer.from(text, "utf16le").swap16()],
  ["Latin-1", (text) => Buffer.from(text, "latin1")],
  ["UTF-8 in hex", (text) => Buffer.from(text).toString("hex")],
  ["UTF-8 in hex", (text) => Buffer.from(text).toString("hex").toUpperCase()],
  ["UTF-16LE in hex", (text) => Buffer.from(text, "utf16le").toString("hex")],
  ["UTF-16BE in hex", (text) => Buffer.from(text, "utf16le").swap16().toString("hex")],
  ["in a URL", (text) => encodeURIComponent(text)],
  ["in a URL", (text) => encodeURIComponent(text).replace(/%../gu, (code) => code.toLowerCase())],
  ["in a form", (text) => new URLSearchParams({ text }).toString().slice(5)],
  ["JSON-escaped", (text) => text.replace(/[^\0-\x7f]/gu, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`)],
  ["JSON-escaped twice", (text) => text.replace(/[^\0-\x7f]/gu, (letter) => `\\\\u${letter.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`)],
])("a leak is found in %s (%#), wherever it stands", (encoding, encode) => {
  for (const before of ["", "x", "{\"a\": \"", "\0\xff\0"]) {
    for (const after of ["", "y", "\"}"]) expect(encodingsFound(NAME, amid(before, encode(NAME), after))).toContain(encoding);
  }
});

test.each(["base64", "base64url"] as const)("a leak is found in %s, whatever stands before and behind it", (encoding) => {
  for (const text of [NAME, EMAIL, "ÿÿÿ>>>???~~~ÿÿÿ"]) {
    for (let before = 0; before < 7; before++) {
      for (let after = 0; after < 4; after++) {
        for (const characters of ["utf8", "utf16le"] as const) {
          const code = Buffer.concat([randomBytes(before), Buffer.from(text, characters), randomBytes(after)]).toString(encoding);
          expect(searchFor([text])(amid("k=", code, ";")).filter(({ value }) => value === text)).not.toEqual([]);
        }
      }
    }
  }
});

test("a leak is found where it was found with others, and its place is told", () => {
  const found = leaksIn([NAME, EMAIL], [["a log", `level=info who=${EMAIL}\n`], ["nothing", "level=info"], ["a row", Buffer.from(NAME)]]);
  expect(found).toContain(`${EMAIL} (UTF-8) in a log, after "level=info who="`);
  expect(found).toContain(`${NAME} (UTF-8) in a row, after ""`);
  expect(found.some((line) => line.includes("nothing"))).toBe(false);
});

test("parts that name somebody are looked for as well: words, an address before its @, a number however it is grouped", () => {
  expect(textsIn({ name: NAME, list: [EMAIL, { phone: "+49 (30) 123456-789012" }], ready: true, none: null, count: 1 })).toEqual([
    NAME, "Straußenberger", EMAIL, "zephyrine.straussenberger", "beispielhaft.example", "+49 (30) 123456-789012", "123456-789012", "+4930123456789012", "30123456789012",
  ]);
  expect(encodingsFound(NAME, Buffer.from("MRS STRAUSSENBERGER"))).toContain("UTF-8");
  for (const written of ["+4930123456789012", "004930123456789012", "030123456789012"]) expect(encodingsFound("+49 30 123456 789012", Buffer.from(written))).toContain("UTF-8");
});

test("a value that would be found by chance is refused", () => {
  expect(() => searchFor(["Ada"])).toThrow("too short");
});

test("nothing is found where nothing is: not in random bytes, nor in an empty or a cut one", () => {
  const search = searchFor([NAME, EMAIL]);
  expect(search(randomBytes(4_000_000))).toEqual([]);
  expect(search(new Uint8Array())).toEqual([]);
  for (const text of [NAME.split(" ")[0]!, EMAIL.slice(0, 12)]) expect(search(Buffer.from(text))).toEqual([]);
});

test("every text of ten characters and more is found in every encoding, at its place", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", minLength: 10, maxLength: 60 }), fc.uint8Array({ maxLength: 9 }), fc.uint8Array({ maxLength: 9 }), (text, before, after) => {
    const search = searchFor([text]);
    const around = (bytes: Buffer) => Buffer.concat([before, bytes, after]);
    for (const bytes of [around(Buffer.from(text)), Buffer.from(around(Buffer.from(text)).toString("base64")), Buffer.from(around(Buffer.from(text)).toString("hex"))]) {
      expect(search(bytes)).not.toEqual([]);
    }
    expect(search(around(Buffer.from(text))).some(({ at }) => at === before.length)).toBe(true);
  }), { numRuns: 200 });
});
