const BEHIND = ["late-cache", "stop-api", "die-unstored"], LIVES = ["fail-over-postgres", "late-cache"];

/** Which faults bring a missing rule to light soonest. Of a rule that is not named here every fault may be the one. */
const AIMS: Readonly<Record<string, readonly string[]>> = {
  guard: ["late-cache", "stop-api"],
  lease: BEHIND,
  "lease-first": BEHIND,
  "token-once": BEHIND,
  "store-breaks": BEHIND,
  "relay-breaks": BEHIND,
  rewind: ["fail-over-redis", "die-unstored"],
  fence: ["hold-transaction"],
  "position-above-last": ["hold-transaction"],
  "by-sequence": ["lose-requests", "late-cache"],
  "epoch-first": LIVES,
  "epoch-with-row": LIVES,
  "epoch-gate": LIVES,
};

export const aimedAt = (rule: string | undefined): readonly string[] | undefined => (rule === undefined ? undefined : AIMS[rule]);
