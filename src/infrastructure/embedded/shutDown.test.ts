import { expect, test } from "vitest";
import { eventually } from "../../../test/support/eventually.ts";
import { startProcess } from "../../../test/support/processes.ts";
import { shutDown } from "./shutDown.ts";

test("a process that does not end at SIGINT gets SIGQUIT when the patience is over", async () => {
  const deaf = startProcess(process.execPath, ["--eval", `process.on("SIGINT", () => console.log("heard")); setInterval(() => {}, 1000); console.log("ready")`]);
  await eventually(() => deaf.output().includes("ready"));
  await shutDown((signal) => deaf.kill(signal), deaf.exited, 200);
  expect(await deaf.exited).toEqual({ code: null, signal: "SIGQUIT" });
  expect(deaf.output()).toContain("heard");
});
