import { parsed, refused, type Parsed } from "./InvoiceLine.ts";

/** The largest amount that the interface takes, 2^53 − 1 minor units. */
const LARGEST_AMOUNT = BigInt(Number.MAX_SAFE_INTEGER);

/** Four million lines of this size still add up without losing a piece in a double. */
const LARGEST_QUANTITY = 2 ** 31 - 1;

/**
 * Pounds as text to pence, digit by digit: 2.55 as a double is a little less than 2.55. More than two decimals are
 * taken if the rest is zeros; anything finer has no exact amount in pence and is refused rather than rounded.
 */
export function parsePence(text: string): Parsed<number> {
  const match = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text.trim());
  if (match === null) return refused("price-unreadable");
  const [, sign, pounds = "", decimals = ""] = match;
  const fraction = decimals.replace(/0+$/, "");
  const zero = /^0+$/.test(pounds) && fraction === "";
  if (sign === "-" && !zero) return refused("price-negative");
  if (fraction.length > 2) return refused("price-finer-than-a-penny");
  const pence = BigInt(pounds) * 100n + BigInt(fraction.padEnd(2, "0"));
  return pence > LARGEST_AMOUNT ? refused("price-too-large") : parsed(Number(pence));
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
