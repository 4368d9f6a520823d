/** So many failures in a row, with no success between them, open it. */
const FAILURES = 5
// A deadline below is missed by a pause of the garbage collector; one above makes every client of a frozen cache wait.
const SHORTEST = 50, LONGEST = 250

/**
 * Guards the cache: closed, calls go through under a deadline that follows the cache's own latency (as a TCP
 * retransmission timer does, RFC 6298); open, none is made at all.
 */
export class Breaker {
  open = false
  private failures = 0
  private mean = 2
  private deviation = 2
  private readonly changed: () => void
  private readonly shortest: number

  constructor(changed: () => void, shortest = SHORTEST) {
    this.changed = changed
    this.shortest = shortest
  }

  /** In milliseconds. */
  get deadline(): number {
    return Math.max(this.shortest, Math.min(LONGEST, Math.ceil(4 * (this.mean + 4 * this.deviation))))
  }

  succeeded(milliseconds: number): void {
    this.failures = 0
    this.deviation += (Math.abs(milliseconds - this.mean) - this.deviation) / 4
    this.mean += (milliseconds - this.mean) / 8
  }

  /** An answer whose time says nothing of the others'. */
  answered(): void {
    this.failures = 0
  }

  failed(): void {
    if (++this.failures < FAILURES || this.open) return
    this.open = true
    this.changed()
  }

  close(): void {
    this.failures = 0
    this.open = false
    this.changed()
  }
}
