import { applyPlan, type Applied } from "./applyPlan.ts";
import { openClient } from "./Client.ts";
import { planImport } from "./plan.ts";
import type { Progress } from "./progress.ts";
import { readBack, type ReadBack } from "./readBack.ts";
import { judge, type Result } from "./Result.ts";
import type { SourceFile } from "./SourceFile.ts";

export interface ImportOptions {
  readonly url: string;
  readonly key: string;
  /** Nothing but these files has ever moved these products: a stock from elsewhere is a difference. */
  readonly exclusive: boolean;
}

/**
 * The whole import. Halting it (`halt.abort(reason)`) lets the requests under way finish and returns what is known.
 * Throws if the products cannot be listed at the start: nothing has been sent then.
 */
export async function importFiles(
  files: readonly SourceFile[],
  options: ImportOptions,
  halt: AbortController,
  progress: Progress,
): Promise<Result> {
  const plan = planImport(files);
  const client = openClient(options.url, options.key, halt.signal);
  const applied: Applied = await applyPlan(plan, client, halt, progress);
  const passes: ReadBack[] = [];
  for (const fromDatabase of [false, true]) {
    if (halt.signal.aborted) break;
    passes.push(await readBack(applied.before, fromDatabase, client, halt, progress));
  }
  progress.end();
  const brokenOff = halt.signal.aborted ? String(halt.signal.reason?.message ?? halt.signal.reason) : null;
  return judge({ files, plan, applied, passes, brokenOff, retries: client.retries(), exclusive: options.exclusive });
}
