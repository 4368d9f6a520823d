import type { Rule } from "./sabotage/patches.ts";

const LIVES = ["fail-over-postgres", "late-cache"];

/** Which faults bring a missing rule to light soonest. */
const AIMS: Readonly<Record<Rule, readonly string[]>> = {
  guard: ["late-store", "late-cache"],
  lease: ["late-store", "late-fill"],
  "lease-first": ["late-lease"],
  "token-once": ["late-fill"],
  "store-breaks": ["late-store"],
  "relay-breaks": ["abandoned-store"],
  "queue-guard": ["late-replay"],
  rewind: ["fail-over-redis", "fail-over-in-settle", "die-unstored"],
  atomic: ["fail-over-in-settle"],
  fence: ["hold-transaction"],
  "position-above-last": ["hold-transaction"],
  "row-after-log": ["slow-log"],
  "fence-first": ["write-in-purge"],
  "purge-leases": ["abandoned-store"],
  "purge-progress": ["fail-over-in-purge"],
  "purge-token": ["second-purge"],
  "by-sequence": ["early-token"],
  "one-look": ["settled-between"],
  "join-check": ["shared-load"],
  "epoch-first": LIVES,
  "epoch-with-row": LIVES,
  "epoch-gate": LIVES,
};

export const aimedAt = (rule: string | undefined): readonly string[] | undefined => (rule === undefined ? undefined : AIMS[rule as Rule]);
