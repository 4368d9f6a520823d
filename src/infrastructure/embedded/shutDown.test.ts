import { expect, test } from "vitest";
import { eventually } from "../../../test/support/eventually.ts";
import { startProcess } from "../../../test/support/processes.ts";
import { shutDown } from "./shutDown.ts";

test("a process that does not end at SIGINT gets SIGQUIT when the patience is over", async () => {
  const deaf = startProcess(process.execPath, ["--eval", `process.on("SIGINT", () => console.log("heard")); setInterval(() => {}, 1000); console.log("ready")`]);
  await eventually(() => deaf.output().includes("ready"));
  await shutDown(async (signal) => {
    // The second ends it at once, and a machine that stalls would deliver both at a time.
    if (signal === "SIGQUIT") await eventually(() => deaf.output().includes("heard"));
    deaf.kill(signal);
  }, deaf.exited, 200);
  expect(await deaf.exited).toEqual({ code: null, signal: "SIGQUIT" });
});
