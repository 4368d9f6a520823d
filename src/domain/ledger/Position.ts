/** An event's place in the outbox. Outside it is one opaque text, ordered like the positions it stands for. */
export interface Position {
  /** Which life of the database: milliseconds when it began. */
  readonly epoch: number
  readonly transaction: bigint
  readonly sequence: number
}

const WIDTHS = [14, 20, 16] as const

/** 14 digits of the epoch, 20 of the transaction, 16 of the sequence. */
export const formatPosition = ({ epoch, transaction, sequence }: Position): string =>
  [epoch, transaction, sequence].map((value, i) => String(value).padStart(WIDTHS[i]!, "0")).join("")

/** Null where the text is no position. */
export const parsePosition = (text: string): Position | null => {
  if (!/^\d{50}$/.test(text)) return null
  const transaction = BigInt(text.slice(14, 34))
  // A transaction id has 64 bits, and Postgres refuses more.
  return transaction < 1n << 64n ? { epoch: Number(text.slice(0, 14)), transaction, sequence: Number(text.slice(34)) } : null
}
