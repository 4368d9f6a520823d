/**
 * Which transactions a moment of the database shows: `xmin:xmax:xip,…` as Postgres writes `pg_snapshot`. Transaction ids
 * are bigints: they are 64 bits wide. A snapshot may also be made here, to say how far a look at the log got.
 */
export interface Snapshot {
  /** Below it every transaction has ended: the fence. */
  readonly xmin: bigint
  /** From it on nothing is shown. */
  readonly xmax: bigint
  /** Between the two: what was still open, in ascending order. */
  readonly open: readonly bigint[]
}

export const parseSnapshot = (text: string): Snapshot => {
  const [xmin, xmax, open] = text.split(":") as [string, string, string]
  return { xmin: BigInt(xmin), xmax: BigInt(xmax), open: open === "" ? [] : open.split(",").map(BigInt) }
}

/** Whether Postgres takes it for one: it begins before it ends, what was open stands between in order, and every transaction has 63 bits. */
export const isSnapshot = ({ xmin, xmax, open }: Snapshot): boolean =>
  xmin > 0n && xmin <= xmax && xmax < 1n << 63n && open.every((x, i) => x >= (i === 0 ? xmin : open[i - 1]! + 1n) && x < xmax)

export const formatSnapshot = (snapshot: Snapshot): string => `${snapshot.xmin}:${snapshot.xmax}:${snapshot.open.join(",")}`

const made = (xmax: bigint, open: readonly bigint[]): Snapshot => ({ xmin: open[0] ?? xmax, xmax, open })

/**
 * What of a snapshot outlives a crash of the database. A transaction that aborted is not written down at once, and after a
 * crash its id is given out again: nothing may be taken for settled above `last`, the last transaction that was seen to commit.
 */
export const durable = (snapshot: Snapshot, last: bigint): Snapshot => made(last + 1n, snapshot.open.filter((x) => x <= last))

export const shows = (snapshot: Snapshot, transaction: bigint): boolean =>
  transaction < snapshot.xmax && !snapshot.open.includes(transaction)

/** Whether `later` shows all that `earlier` shows. */
export const covers = (later: Snapshot, earlier: Snapshot): boolean => {
  if (later.open.some((x) => shows(earlier, x))) return false
  // What `earlier` shows at or above `later.xmax` is missing; only transactions open in `earlier` may stand there.
  for (let x = later.xmax; x < earlier.xmax; x++) if (!earlier.open.includes(x)) return false
  return true
}

/**
 * How far a look got that began at `from` and saw the database as in `now`, but read only up to and with transaction
 * `through`, in the order of the log: first what was open in `from`, then what is new.
 */
export const advance = (from: Snapshot, now: Snapshot, through: bigint): Snapshot =>
  through < from.xmax
    ? made(from.xmax, from.open.filter((x) => x > through || now.open.includes(x)))
    : made(through + 1n, now.open.filter((x) => x <= through))
