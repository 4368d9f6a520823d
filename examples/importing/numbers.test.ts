import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { parsed, refused } from "./Refusal.ts";
import { cutText, discounted, parseMinorUnits, parseQuantity } from "./numbers.ts";

describe("a price", () => {
  test.each([
    ["2.55", 255], ["0.0", 0], ["0", 0], ["-0.00", 0], ["2.1", 210], ["18", 1800], [" 4.25 ", 425], ["+1.5", 150],
    ["0.29", 29], ["1.1500", 115], ["90071992547409.91", Number.MAX_SAFE_INTEGER],
  ])("%s is %i minor units", (text, pence) => {
    expect(parseMinorUnits(text)).toEqual(parsed(pence));
  });

  test.each([
    ["-11062.06", "price-negative"], ["-0.001", "price-negative"], ["0.001", "price-finer-than-a-penny"],
    ["2.555", "price-finer-than-a-penny"], ["90071992547409.92", "price-too-large"], ["", "price-unreadable"],
    ["1e3", "price-unreadable"], ["1,50", "price-unreadable"], ["NaN", "price-unreadable"], ["£2", "price-unreadable"],
  ] as const)("%j is refused as %s", (text, reason) => {
    expect(parseMinorUnits(text)).toEqual(refused(reason));
  });

  test("every amount that the interface takes comes out of its text as it went in", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (pence) => {
      const digits = String(pence).padStart(3, "0");
      expect(parseMinorUnits(`${digits.slice(0, -2)}.${digits.slice(-2)}`)).toEqual(parsed(pence));
    }));
  });
});

describe("a discounted price", () => {
  test.each([
    [1400, "0", 1400, true], [980, "0.05", 931, true], [250, "0.01", 248, false], [350, "0.01", 346, false],
    [1, "0.5", 0, false], [3, "0.5", 2, false], [5, "0.5", 2, false], [1000, "0.15", 850, true],
    [26350, "0.25", 19762, false], [35, "0.03", 34, false], [500, "1", 0, true], [500, "1.00", 0, true], [0, "0.25", 0, true],
    [Number.MAX_SAFE_INTEGER, "0", Number.MAX_SAFE_INTEGER, true],
    [Number.MAX_SAFE_INTEGER, "0.5", 4_503_599_627_370_496, false],
  ])("of %i less %s is %i, half to even", (price, discount, minor, exact) => {
    expect(discounted(price, discount)).toEqual({ minor, exact });
  });

  test.each(["", "-0.1", "1.01", "15%", "0,15", "1e-1", "2"])("is none for the discount %j", (discount) => {
    expect(discounted(100, discount)).toBeNull();
  });

  test("is never more than half a unit away, and even where it is exactly that", () => {
    fc.assert(fc.property(fc.maxSafeNat(), fc.integer({ min: 0, max: 1_000 }), (price, thousandths) => {
      const discount = thousandths === 1_000 ? "1" : `0.${String(thousandths).padStart(3, "0")}`;
      const minor = BigInt(discounted(price, discount)?.minor ?? -1);
      const away = minor * 1_000n - BigInt(price) * BigInt(1_000 - thousandths);
      const distance = away < 0n ? -away : away;
      expect(distance <= 500n && (distance < 500n || minor % 2n === 0n)).toBe(true);
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
