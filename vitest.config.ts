import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"],
    // Processes, not threads: tests start, signal and kill real servers. Two, because every worker keeps a Redis and a share of Postgres busy.
    pool: "forks",
    maxWorkers: 2,
    globalSetup: ["test/support/globalSetup.ts"],
    // A transaction that another test leaves open on the common server holds the fence for all, and so the feed of changes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One run feeds both the reader and the count that CI prints.
    reporters: ["default", ["json", { outputFile: "coverage/tests.json" }]],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/**/*.test.ts", "src/**/*.contract.ts"],
      reportOnFailure: true,
      thresholds: { lines: 100, branches: 100, functions: 100, statements: 100 },
      reporter: [["text", { skipFull: true }], "json-summary"],
    },
  },
});
