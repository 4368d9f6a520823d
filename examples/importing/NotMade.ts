export interface NotMade {
  /** What the source calls it. */
  readonly name: string;
  readonly reason: string;
  readonly detail: string;
}
