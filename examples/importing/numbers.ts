import { parsed, refused, type Parsed } from "./Refusal.ts";

/** The largest amount that the interface takes, 2^53 − 1 minor units. */
const LARGEST_AMOUNT = BigInt(Number.MAX_SAFE_INTEGER);

/** Four million lines of this size still add up without losing a piece in a double. */
const LARGEST_QUANTITY = 2 ** 31 - 1;

/**
 * Major units as text to minor ones (pence, cents), digit by digit: 2.55 as a double is a little less than 2.55. More
 * than two decimals are taken if the rest is zeros; anything finer has no exact amount and is refused rather than rounded.
 */
export function parseMinorUnits(text: string): Parsed<number> {
  const match = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text.trim());
  if (match === null) return refused("price-unreadable");
  const [, sign, major = "", decimals = ""] = match;
  const fraction = decimals.replace(/0+$/, "");
  const zero = /^0+$/.test(major) && fraction === "";
  if (sign === "-" && !zero) return refused("price-negative");
  if (fraction.length > 2) return refused("price-finer-than-a-penny");
  const minor = BigInt(major) * 100n + BigInt(fraction.padEnd(2, "0"));
  return minor > LARGEST_AMOUNT ? refused("price-too-large") : parsed(Number(minor));
}

/**
 * A price less a discount such as 0.15, rounded half to even, without a double in between. null if the discount is not
 * a decimal fraction from 0 to 1.
 */
export function discounted(minor: number, discount: string): { readonly minor: number; readonly exact: boolean } | null {
  const match = /^([01])(?:\.(\d+))?$/.exec(discount.trim());
  if (match === null) return null;
  const [, whole = "", decimals = ""] = match;
  const one = 10n ** BigInt(decimals.length);
  const rest = one - BigInt(whole + decimals);
  if (rest < 0n) return null;
  const product = BigInt(minor) * rest;
  const [quotient, remainder] = [product / one, product % one];
  const up = remainder * 2n > one || (remainder * 2n === one && quotient % 2n === 1n);
  return { minor: Number(quotient) + (up ? 1 : 0), exact: remainder === 0n };
}

/** A quantity of 0 is refused: a stock adjustment of 0 is none, and the service answers it with 422. */
export function parseQuantity(text: string): Parsed<number> {
  const trimmed = text.trim();
  if (!/^[+-]?\d+$/.test(trimmed)) return refused("quantity-unreadable");
  const quantity = Number(trimmed);
  if (quantity === 0) return refused("quantity-zero");
  return Math.abs(quantity) > LARGEST_QUANTITY ? refused("quantity-too-large") : parsed(quantity);
}

/** Cuts at a limit in UTF-16 units (never more characters than that, by any way of counting), not within a pair. */
export function cutText(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(limit - 1));
  return text.slice(0, splitsPair ? limit - 1 : limit).trimEnd();
}
