import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type Answer, call } from "./client.ts";
import { expectInvalid, expectProblem } from "./problem.ts";
import { create, evict, patch, read } from "./products.ts";
import { until } from "./until.ts";

const VERIFICATIONS = "/ops/verifications";
const REBUILDS = "/ops/rebuilds";
const WRONG = ["behind", "ahead", "undecodable", "different"];

const post = (path: string, body: unknown) => call("POST", path, { body });

/** A lease of work may have to be taken over first. */
const TAKEN_UP = 45_000;
const done = (answer: Answer): Promise<any> =>
  until("a run that is done", async () => {
    const { status, json } = await read(answer.headers.get("location")!);
    expect(status).toBe(200);
    return json.state === "done" ? json : undefined;
  }, TAKEN_UP);

describe("POST /ops/verifications", () => {
  it("answers 202 with the path of the run, which tells of it until it is done, and then so does /ops/stats", async () => {
    await create();
    const answer = await post(VERIFICATIONS, { kind: "product" });
    expect(answer.status, answer.text).toBe(202);
    expect(answer.headers.get("location")).toBe(`${VERIFICATIONS}/${answer.json.id}`);
    expect(Object.keys(answer.json).sort()).toEqual(
      ["askedAt", "finishedAt", "id", "kind", "progress", "reason", "repair", "result", "sample", "startedAt", "startedBy", "state"]);
    expect(answer.json).toMatchObject({ kind: "product", sample: 1, repair: true, reason: "asked" });
    const json = await done(answer);
    expect(json.progress.looked).toBeGreaterThan(0);
    const { fine, absent, repaired, ...wrong } = json.result;
    expect(Object.keys(wrong).sort()).toEqual([...WRONG].sort());
    expect(WRONG.reduce((all, name) => all + wrong[name].count, fine + absent)).toBe(json.progress.looked);
    expect(repaired).toBeLessThanOrEqual(json.progress.looked);
    expect(Date.parse(json.finishedAt)).toBeGreaterThanOrEqual(Date.parse(json.startedAt));
    expect((await read("/ops/stats")).json.lastVerification.state).toBe("done");
  });

  it("of a sample looks at some", async () => {
    const answer = await post(VERIFICATIONS, { sample: 0.5, repair: false });
    expect(answer.json).toMatchObject({ kind: null, sample: 0.5, repair: false });
    expect((await done(answer)).result.repaired).toBe(0);
  });

  it("refuses unknown fields, unknown kinds and what is no share", async () => {
    expectInvalid(await post(VERIFICATIONS, { kind: "planet", sample: 0, repair: "yes", dryRun: true }), "#/kind", "#/sample", "#/repair", "#/dryRun");
    expectInvalid(await post(VERIFICATIONS, { sample: 1.5 }), "#/sample");
  });
});

describe("POST /ops/rebuilds", () => {
  it("of the cache makes entries where there are none", async () => {
    const { id } = await create();
    // The relay that settles the creation would break the lease of whoever fills at that moment.
    await until("nothing left to settle", async () => ((await read("/ops/queue-size")).json.relayLagEvents === 0 ? true : undefined));
    await evict(id);
    const answer = await post(REBUILDS, { target: "cache", kind: "product" });
    expect(answer.status, answer.text).toBe(202);
    expect(answer.headers.get("location")).toBe(`${REBUILDS}/${answer.json.id}`);
    const json = await done(answer);
    expect(Object.keys(json.result).sort()).toEqual(["filled", "left", "stood"]);
    expect(json.result.filled).toBeGreaterThan(0);
    expect((await read(`/ops/entries/product/${id}`)).json.verdict).toBe("consistent");
  });

  it("of rows holds them against their events", async () => {
    await create();
    const json = await done(await post(REBUILDS, { target: "rows", kind: "product" }));
    expect(json.result).toMatchObject({ fine: expect.any(Number), different: { count: 0, first: [] } });
  });

  it("needs a target, and knows no other field than the kind", async () => {
    expectInvalid(await post(REBUILDS, {}), "#/target");
    expectInvalid(await post(REBUILDS, { target: "rows", repair: true }), "#/repair");
  });
});

describe("GET of a run", () => {
  it("that does not exist is 404, and so is one of another sort", async () => {
    const verification = (await post(VERIFICATIONS, { sample: 0.0001 })).json.id;
    for (const path of [`${VERIFICATIONS}/${randomUUID()}`, `${VERIFICATIONS}/none`, `${REBUILDS}/${randomUUID()}`, `${REBUILDS}/${verification}`]) {
      expectProblem(await read(path), 404, "not-found");
    }
  });
});

describe("transitions of an entry", () => {
  it("say who moved it, to which version, and what came of it", async () => {
    const { id, path } = await create();
    await patch(path, { name: "Torch" });
    const transitions = async () => (await read(`/ops/entries/product/${id}`)).json.transitions;
    const seen = await transitions();
    for (const transition of seen) expect(Object.keys(transition).sort()).toEqual(["at", "by", "outcome", "process", "versionId"]);
    expect(seen.map(({ by, versionId }: any) => [by, versionId])).toEqual(expect.arrayContaining([["store", 1], ["store", 2]]));
    await evict(id);
    expect((await transitions()).at(-1)).toMatchObject({ by: "evict", versionId: null });
  });
});
