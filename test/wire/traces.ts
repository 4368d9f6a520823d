import { expect } from "vitest";
import type { Answer } from "./client.ts";

/** The text values inside what was sent: what must not be found again. */
export const textsIn = (value: unknown): Array<string> =>
  typeof value === "string" ? [value] : typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];

const encoded = (value: string): Array<[string, string]> => {
  const utf8 = Buffer.from(value), utf16 = Buffer.from(value, "utf16le");
  // Where a value begins inside a longer text, base64 cuts it differently; the outermost characters are shared with the neighbours.
  const shifted = [0, 1, 2].map((shift) => Buffer.concat([Buffer.alloc(shift), utf8]).toString("base64").slice(shift === 0 ? 0 : 4).replace(/.{0,3}=*$/, ""));
  return [
    ["plain", value],
    ["decomposed", value.normalize("NFD")],
    ["in JSON with escapes", JSON.stringify(value).slice(1, -1).replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)],
    ["percent-encoded", encodeURIComponent(value)],
    ["hex", utf8.toString("hex")],
    ["UTF-16 in hex", utf16.toString("hex")],
    ...shifted.flatMap((text): Array<[string, string]> => [["base64", text], ["base64url", text.replaceAll("+", "-").replaceAll("/", "_")]]),
  ];
};

/** None of the texts in `values` stands in the text, in whatever case and encoding. Two letters are found everywhere: what is looked for must be long. */
export const expectNoTraceIn = (text: string, values: unknown): void => {
  const searched = text.toLowerCase();
  for (const value of textsIn(values)) {
    if (value.length < 8) throw new Error(`too short to be searched for: ${value}`);
    for (const [encoding, form] of encoded(value)) {
      expect(searched.includes(form.toLowerCase()), `${value}, ${encoding}, in ${text.slice(0, 2_000)}`).toBe(false);
    }
  }
};

/** Neither in the body nor in a header. */
export const expectNoTrace = (answer: Answer, values: unknown): void => {
  expectNoTraceIn(answer.text, values);
  expectNoTraceIn([...answer.headers].map((header) => header.join(": ")).join("\n"), values);
};
