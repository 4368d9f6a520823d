import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { parsed, refused } from "./InvoiceLine.ts";
import { cutText, parsePence, parseQuantity } from "./numbers.ts";

describe("a price", () => {
  test.each([
    ["2.55", 255], ["0.0", 0], ["0", 0], ["-0.00", 0], ["2.1", 210], ["18", 1800], [" 4.25 ", 425], ["+1.5", 150],
    ["0.29", 29], ["1.1500", 115], ["90071992547409.91", Number.MAX_SAFE_INTEGER],
  ])("%s is %i pence", (text, pence) => {
    expect(parsePence(text)).toEqual(parsed(pence));
  });

  test.each([
    ["-11062.06", "price-negative"], ["-0.001", "price-negative"], ["0.001", "price-finer-than-a-penny"],
    ["2.555", "price-finer-than-a-penny"], ["90071992547409.92", "price-too-large"], ["", "price-unreadable"],
    ["1e3", "price-unreadable"], ["1,50", "price-unreadable"], ["NaN", "price-unreadable"], ["£2", "price-unreadable"],
  ] as const)("%j is refused as %s", (text, reason) => {
    expect(parsePence(text)).toEqual(refused(reason));
  });

  test("every amount that the interface takes comes out of its text as it went in", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (pence) => {
      const digits = String(pence).padStart(3, "0");
      expect(parsePence(`${digits.slice(0, -2)}.${digits.slice(-2)}`)).toEqual(parsed(pence));
    }));
  });
});

describe("a quantity", () => {
  test.each([["6", 6], ["-24", -24], ["+3", 3], [" 12 ", 12], ["2147483647", 2_147_483_647]])("%j is %i", (text, pieces) => {
    expect(parseQuantity(text)).toEqual(parsed(pieces));
  });

  test.each([
    ["0", "quantity-zero"], ["-0", "quantity-zero"], ["", "quantity-unreadable"], ["1.5", "quantity-unreadable"],
    ["six", "quantity-unreadable"], ["2147483648", "quantity-too-large"], ["-99999999999999999999", "quantity-too-large"],
  ] as const)("%j is refused as %s", (text, reason) => {
    expect(parseQuantity(text)).toEqual(refused(reason));
  });
});

describe("a text", () => {
  test("that fits is not touched", () => {
    expect(cutText("x".repeat(200), 200)).toBe("x".repeat(200));
  });

  test("is never cut within a character", () => {
    expect(cutText(`${"x".repeat(199)}😀`, 200)).toBe("x".repeat(199));
  });

  test("does not end in a blank where it was cut", () => {
    expect(cutText(`${"x".repeat(199)} y`, 200)).toBe("x".repeat(199));
  });
});
