import { randomInt } from "node:crypto";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { FAULTS, POSTGRES_FAIL_OVER } from "./faults.ts";
import { runChaos } from "./run.ts";
import { aimedAt } from "./aims.ts";

const USAGE = `npm run chaos -- [--minutes N | --seconds N] [--seed N] [--faults NAME,…] [--round SECONDS] [--clients N] [--apis N] [--relays N] [--root FOLDER] [--sabotage RULE] [--list]
Faults: ${[...Object.keys(FAULTS), POSTGRES_FAIL_OVER].join(", ")}`;

const CLEAN = 0, VIOLATED = 1, COULD_NOT_RUN = 2;

const whole = (name: string, text: string): number => {
  const number = Number(text);
  if (text === "" || !Number.isInteger(number) || number < 1) throw new Error(`--${name} must be a whole number from 1\n${USAGE}`);
  return number;
};

const arrange = async () => {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: { minutes: text, seconds: text, seed: text, faults: text, round: text, clients: text, apis: text, relays: text, sabotage: text, root: text, list: { type: "boolean" }, help: { type: "boolean" } },
  });
  const of = (name: "minutes" | "seconds" | "seed" | "round" | "clients" | "apis" | "relays", otherwise: number) => (values[name] === undefined ? otherwise : whole(name, values[name]));
  const lengthMs = (values.seconds === undefined ? of("minutes", 3) * 60 : of("seconds", 0)) * 1_000;
  const all = [...Object.keys(FAULTS), POSTGRES_FAIL_OVER];
  // A short run has no time for what follows a fail-over of Postgres.
  const faults = values.faults?.split(",") ?? aimedAt(values.sabotage) ?? (lengthMs < 120_000 ? Object.keys(FAULTS) : all);
  const unknown = faults.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`There is no fault ${unknown.join(", ")}\n${USAGE}`);
  return {
    help: values.help === true,
    list: values.list === true,
    sabotage: values.sabotage ?? null,
    /** Where the sources are that are run. */
    root: resolve(values.root ?? fileURLToPath(new URL("../..", import.meta.url))),
    plan: { seed: of("seed", randomInt(1, 1_000_000)), lengthMs, roundMs: of("round", values.sabotage === undefined ? 30 : 10) * 1_000, clients: of("clients", 14), apis: of("apis", 3), relays: of("relays", 2), faults },
  };
};

const undo: (() => Promise<void>)[] = [];
/** Ends everything that was started, the last one first. */
const end = async () => {
  while (undo.length > 0) await undo.pop()!().catch(() => undefined);
};

/** A copy of the sources in which a rule of the protocol is not kept. */
const sabotaged = async (rule: string) => {
  const { rules, sabotagedTree } = await import("./sabotage/sabotagedTree.ts");
  const known = rules.find((one) => one === rule);
  if (known === undefined) throw new Error(`There is no rule ${rule}: ${rules.join(", ")}`);
  const folder = await sabotagedTree(known);
  undo.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

let leaving: Promise<never> | undefined;
/** Whoever says so first says with which code. */
const leave = (code: number): Promise<never> => (leaving ??= end().then(() => process.exit(code)));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void leave(130));
// Left to Node, a fault of the harness itself would end with the code of a violation, and leave its folders.
for (const fault of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(fault, (error: unknown) => {
    console.error(error);
    void leave(COULD_NOT_RUN);
  });
}

try {
  const { help, list, sabotage, root, plan } = await arrange();
  if (help) console.log(USAGE);
  else if (list) console.log((await import("./sabotage/sabotagedTree.ts")).rules.join("\n"));
  else {
    console.log(`seed ${plan.seed}`);
    const clean = await runChaos({ ...plan, root: sabotage === null ? root : await sabotaged(sabotage) }, (work) => undo.push(work));
    await leave(clean ? CLEAN : VIOLATED);
  }
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  await leave(COULD_NOT_RUN);
}
