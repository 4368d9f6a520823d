import { InvalidArgumentError, Option, type Command } from "commander";
import { showProgress, type Progress } from "./progress.ts";
import { renderReport } from "./report.ts";
import type { Result } from "./Result.ts";
import { writeFileSync } from "node:fs";

export interface ServiceOptions {
  readonly url: string;
  readonly key: string;
  readonly json?: string;
}

export const addServiceOptions = (command: Command, scopes: string): Command => command
  .addOption(new Option("--url <url>", "where the service listens").default("http://127.0.0.1:8080").argParser(parseUrl))
  .addOption(new Option("--key <key>", `API key with ${scopes}`).env("HOLDFAST_API_KEY").default("dev"))
  .option("--json <file>", "also write the result, with every refusal and difference");

/** Runs an import to its report; answers with the exit code: 0 if clean, 130 if broken off by a signal, else 1. */
export async function runImport(
  { json }: ServiceOptions,
  importAll: (halt: AbortController, progress: Progress) => Promise<Result>,
): Promise<number> {
  const halt = new AbortController();
  const signalled = haltOnSignals(halt);
  const progress = showProgress(process.stderr);
  try {
    const result = await importAll(halt, progress);
    progress.end();
    console.log(renderReport(result));
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
    if (signalled()) return 130;
    return result.clean ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return signalled() ? 130 : 1;
  } finally {
    progress.end();
  }
}

function parseUrl(text: string): string {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? "")) throw new InvalidArgumentError("Not an http URL.");
  return text;
}

/** The first signal lets the answers under way come in; a second does not wait for them. */
function haltOnSignals(halt: AbortController): () => boolean {
  let signalled = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (signalled) process.exit(130);
      signalled = true;
      halt.abort(new Error(`by ${signal}`));
    });
  }
  return () => signalled;
}
