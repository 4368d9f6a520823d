import { AGES, ageOf } from "../observe/Metrics.ts"
import type { Age, Compared } from "../observe/Metrics.ts"

/** So many comparisons of a kind are needed before they say anything: one wrong answer in some thousands is what is looked for. */
export const ENOUGH = 10_000
/** A store that was missed is made good by the relay, as a rule within a second: until then a read without a token may be behind. */
const MAY_BE_BEHIND: readonly string[] = ["100ms", "1s"] satisfies readonly Age[]

export interface KindReport {
  readonly kind: string
  /** Entries that a read would have been answered with, held against the row: agreed, behind, ahead, otherBytes and undecodable. */
  readonly compared: number
  readonly agreed: number
  /** A read would have asked Postgres: nothing stood there, or an entry too old for its token or its max-age. */
  readonly absent: number
  readonly passedOver: number
  /** By the age of the first write that the entry did not show; each is counted once, at the smallest bound. */
  readonly behind: Readonly<Record<Age | "older", number>>
  readonly ahead: number
  readonly otherBytes: number
  readonly undecodable: number
  /** The cache was away, Postgres did not answer again, or too many comparisons were under way. */
  readonly notCompared: number
  readonly safe: boolean
  readonly reason: string
}

/** What the comparisons of one kind have come to. */
export const shadowTally = (kind: string) => {
  const counts: Record<Compared, number> = { agreed: 0, absent: 0, passedOver: 0, behind: 0, ahead: 0, otherBytes: 0, undecodable: 0, notCompared: 0 }
  const behind = Object.fromEntries([...Object.keys(AGES), "older"].map((age) => [age, 0])) as Record<Age | "older", number>
  return {
    /** `ageMilliseconds` of what is behind. */
    count: (result: Compared, ageMilliseconds: number | null): void => {
      counts[result]++
      if (ageMilliseconds !== null) behind[ageOf(ageMilliseconds)]++
    },
    report: (): KindReport => {
      const { agreed, absent, passedOver, ahead, otherBytes, undecodable, notCompared } = counts
      const compared = agreed + counts.behind + ahead + otherBytes + undecodable
      const long = Object.entries(behind).reduce((sum, [age, count]) => MAY_BE_BEHIND.includes(age) ? sum : sum + count, 0)
      const wrong = [[long, "behind for more than 1 s"], [ahead, "ahead"], [otherBytes, "of other bytes"], [undecodable, "undecodable"]] as const
      const found = wrong.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
      const safe = found.length === 0 && compared >= ENOUGH
      const reason = found.length > 0
        ? `the cache would have been wrong: ${found.join(", ")}`
        : safe ? `of ${compared} comparisons none was wrong; ${counts.behind} were behind for 1 s at most` : `not yet known: ${compared} of ${ENOUGH} comparisons`
      return { kind, compared, agreed, absent, passedOver, behind: { ...behind }, ahead, otherBytes, undecodable, notCompared, safe, reason }
    }
  }
}
