import fc from "fast-check"
import { describe, test } from "vitest"
import { coreRules, entryRules } from "./Cache.entries.contract.ts"
import { agrees } from "./Cache.reference.contract.ts"
import type { Provider } from "./Cache.samples.contract.ts"
import { settlingRules } from "./Cache.settling.contract.ts"

/** Every provider runs this. `make` gives an empty cache each time. */
export const describeCache = (name: string, make: () => Promise<{ readonly cache: Provider }>): void => {
  describe(`${name} keeps the cache protocol`, () => {
    test.each([...coreRules, ...entryRules, ...settlingRules])("%s", async (_, check) => check((await make()).cache))
    test("every interleaving of operations on a key leads where the rules lead", () => fc.assert(agrees(make), { numRuns: 300 }), 60_000)
  })
}
