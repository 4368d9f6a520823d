import type { Maker } from "./Fault.ts";
import { PROCESS_FAULTS } from "./processFaults.ts";
import { SCENES } from "./scenes/scenes.ts";
import { SERVER_FAULTS } from "./serverFaults.ts";

/** Everything that is drawn at random, by name. */
export const FAULTS: Readonly<Record<string, Maker>> = { ...PROCESS_FAULTS, ...SERVER_FAULTS, ...SCENES };

/** Not drawn like the others: it is planned, once or twice, late. */
export const POSTGRES_FAIL_OVER = "fail-over-postgres";

/** After these a request may be answered 503: Postgres is away, or a process that was stopped or killed holds a lock in it. */
export const TOUCH_THE_DATABASE: readonly string[] = ["kill-api", "die-unstored", "stop-api", "cut-database", "lose-commits", "crash-postgres", POSTGRES_FAIL_OVER];
