import type { Client } from "./Client.ts";
import type { Progress } from "./progress.ts";

/** What every stage of an import works with. Aborting `halt` lets the requests under way finish. */
export interface Run {
  readonly client: Client;
  readonly halt: AbortController;
  readonly progress: Progress;
  /** How long the answers to changes took in ms, of all stages. */
  readonly took: number[];
}
