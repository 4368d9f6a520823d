/**
 * Runs the README's commands against a service, to the letter, and compares what they print with what the README says.
 *
 *     node examples/readme.ts [http://127.0.0.1:8080]
 *
 * A block of commands is one in `sh` that a block in `text` follows: its output. Ids, times and the SKU differ from run to run.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);

const README = new URL("../README.md", import.meta.url);
const THERE = "http://127.0.0.1:8080";
const END = "-- end of a block --";

export interface Step {
  readonly commands: string;
  readonly output: string;
}

export const stepsOf = (readme: string): readonly Step[] =>
  [...readme.matchAll(/```sh\n([^`]*)```\n\n```text\n([^`]*)```/g)].map(([, commands, output]) => ({ commands: commands!, output: output! }));

const withoutChance = (text: string): string =>
  text
    .replaceAll("\r", "")
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<id>")
    .replace(/"updatedAtNs":"\d+"/g, '"updatedAtNs":"<time>"')
    .replace(/tea-\d+/g, "tea-<time>")
    .trim();

/** What the blocks print, one after the other in one shell. */
const outputsOf = async (steps: readonly Step[], url: string): Promise<readonly string[]> => {
  const script = steps.map(({ commands }) => `${commands.replaceAll(THERE, url)}\necho '${END}'\n`).join("");
  const { stdout } = await run("bash", ["-c", script]);
  return stdout.split(`${END}\n`).slice(0, steps.length);
};

/** Answers what differs from the README; with `write` the README says afterwards what was printed. */
export const runReadme = async (url: string): Promise<readonly string[]> => {
  const steps = stepsOf(readFileSync(README, "utf8"));
  const outputs = await outputsOf(steps, url);
  return steps.flatMap(({ commands, output }, i) =>
    withoutChance(outputs[i]!) === withoutChance(output) ? [] : [`The README says of\n${commands}\nthat it prints\n\n${output}\nand it printed\n\n${outputs[i]}`]);
};

if (import.meta.main) {
  const differences = await runReadme(process.argv[2] ?? THERE);
  for (const difference of differences) console.error(difference);
  console.log(differences.length === 0 ? "The README's commands print what it says." : `${differences.length} blocks print something else.`);
  process.exitCode = differences.length === 0 ? 0 : 1;
}
