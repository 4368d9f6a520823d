/** One entity of a class that is told of: names and versions, never contents. */
export interface Found {
  readonly kind: string
  readonly id: string
  /** Of the row; null where there is none. */
  readonly versionId?: number | null
  /** Null where the entry cannot be read. */
  readonly entryVersionId?: number | null
  /** Names of fields in which a row differs from its events. */
  readonly fields?: readonly string[]
}

/** What a run has come to, by class; a class that is not in it has none. */
export interface Tally {
  readonly counts: Readonly<Record<string, number>>
  /** For how long, in seconds, the row had been as it is when the entry was found wrong: the longest. */
  readonly oldestSeconds: Readonly<Record<string, number>>
  readonly first: Readonly<Record<string, readonly Found[]>>
}

/** Of each class so many are told by name: who needs more repairs these first. */
export const MOST_NAMED = 20

/** Every entity that was looked at is in one class; one that was repaired is in that of what was wrong with it, too. */
export const lookedAt = ({ counts }: Tally): number =>
  Object.entries(counts).reduce((all, [name, count]) => name === "repaired" ? all : all + count, 0)

/** A tally that is added to while a page is done. */
export const tallying = () => {
  const counts: Record<string, number> = {}, oldestSeconds: Record<string, number> = {}, first: Record<string, Found[]> = {}
  const count = (name: string, times = 1) => { counts[name] = (counts[name] ?? 0) + times }
  return {
    tally: { counts, oldestSeconds, first } as Tally,
    count,
    found: (name: string, found: Found, ageSeconds: number | null): void => {
      count(name)
      if (ageSeconds !== null) oldestSeconds[name] = Math.max(oldestSeconds[name] ?? 0, ageSeconds)
      first[name] = [...first[name] ?? [], found].slice(0, MOST_NAMED)
    }
  }
}

const merged = <A>(a: Readonly<Record<string, A>>, b: Readonly<Record<string, A>>, together: (x: A, y: A) => A): Readonly<Record<string, A>> => {
  const all = { ...a }
  for (const [name, value] of Object.entries(b)) all[name] = all[name] === undefined ? value : together(all[name], value)
  return all
}

export const added = (a: Tally, b: Tally): Tally => ({
  counts: merged(a.counts, b.counts, (x, y) => x + y),
  oldestSeconds: merged(a.oldestSeconds, b.oldestSeconds, Math.max),
  first: merged(a.first, b.first, (x, y) => [...x, ...y].slice(0, MOST_NAMED))
})
