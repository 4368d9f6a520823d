import { expect, test } from "vitest";
import { aimedAt } from "./aims.ts";
import { FAULTS, POSTGRES_FAIL_OVER } from "./faults.ts";
import { rules } from "./sabotage/sabotagedTree.ts";

test.each(rules)("faults are aimed at %s, and there are such", (rule) => {
  const faults = aimedAt(rule) ?? [];
  expect(faults.length).toBeGreaterThan(0);
  expect(faults.filter((name) => !(name in FAULTS) && name !== POSTGRES_FAIL_OVER)).toEqual([]);
});
