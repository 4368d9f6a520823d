import { isRecord } from "./isRecord.ts";

/** Minor units. */
export interface Money {
  readonly amount: number;
  readonly currency: string;
}

export function asMoney(value: unknown): Money | null {
  if (!isRecord(value)) return null;
  const { amount, currency } = value;
  return typeof amount === "number" && typeof currency === "string" ? { amount, currency } : null;
}

export const showMoney = (money: Money | null): string => (money === null ? "null" : `${money.amount} ${money.currency}`);
