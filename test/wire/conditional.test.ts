import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cacheStatus, FROM_DATABASE, HIT } from "./cacheStatus.ts";
import { call } from "./client.ts";
import { expectProblem } from "./problem.ts";
import { adjust, create, patch, post, read, remove } from "./products.ts";

/** A product at version 2, with the tags of both versions. */
const twoVersions = async () => {
  const { path } = await create();
  const stale = (await read(path)).headers.get("etag") ?? "";
  const current = (await patch(path, { name: "Torch" })).headers.get("etag") ?? "";
  return { path, stale, current };
};

const changes: ReadonlyArray<[string, (path: string, headers: Record<string, string>) => ReturnType<typeof call>]> = [
  ["a PATCH", (path, headers) => patch(path, { name: "Lantern" }, headers)],
  ["a sub-resource", (path, headers) => adjust(path, { delta: 1 }, headers)],
  ["a DELETE", (path, headers) => call("DELETE", path, { headers })],
];

describe.each(changes)("If-Match on %s", (_, change) => {
  it("lets the change through if the version is the one named", async () => {
    const { path, current } = await twoVersions();
    expect((await change(path, { "if-match": current })).status).toBeLessThan(300);
  });

  it("is 412 version-mismatch if the version moved, and changes nothing", async () => {
    const { path, stale } = await twoVersions();
    const before = await read(path);
    expectProblem(await change(path, { "if-match": stale }), 412, "version-mismatch");
    expect((await read(path, { "cache-control": "no-cache" })).text).toBe(before.text);
  });

  it("* matches any existing version", async () => {
    const { path } = await twoVersions();
    expect((await change(path, { "if-match": "*" })).status).toBeLessThan(300);
  });

  it("matches if one tag of several does", async () => {
    const { path, stale, current } = await twoVersions();
    expect((await change(path, { "if-match": `${stale} , "other",${current}` })).status).toBeLessThan(300);
  });

  it("a weak tag never matches, not even the current one", async () => {
    const { path, current } = await twoVersions();
    expectProblem(await change(path, { "if-match": `W/${current}` }), 412, "version-mismatch");
  });

  it.each(["2", '"2', 'x"2"', "w/2", '"1" "2"'])("a malformed one is 400: %s", async (malformed) => {
    const { path } = await twoVersions();
    expectProblem(await change(path, { "if-match": malformed }), 400, "malformed");
  });
});

describe("If-Match", () => {
  it("holds for a change that would change nothing too", async () => {
    const { path, stale } = await twoVersions();
    expectProblem(await patch(path, { name: "Torch" }, { "if-match": stale }), 412, "version-mismatch");
  });

  it("of two changes at the same moment with the same tag exactly one passes", async () => {
    const { path, current } = await twoVersions();
    const answers = await Promise.all(["a", "b"].map((name) => patch(path, { name }, { "if-match": current })));
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 412]);
    expect((await read(path)).json.versionId).toBe(3);
  });

  it("on a creation is ignored, also when malformed", async () => {
    expect((await post({}, { headers: { "if-match": '"7"' } })).status).toBe(201);
    expect((await post({}, { headers: { "if-match": "7" } })).status).toBe(201);
  });
});

describe("without If-Match the service retries on the newest state", () => {
  it("twenty changes at the same moment all take effect, one version each", async () => {
    const { path } = await create();
    const names = Array.from({ length: 20 }, () => randomUUID());
    const answers = await Promise.all(names.map((name) => patch(path, { name })));
    expect(answers.map((answer) => answer.status)).toEqual(names.map(() => 200));
    expect(answers.map((answer) => answer.json.versionId).sort((a, b) => a - b)).toEqual(names.map((_, n) => n + 2));
  });

  it("changes of different fields at the same moment are all kept", async () => {
    const { path } = await create();
    await Promise.all([
      patch(path, { name: "Torch" }),
      patch(path, { description: "cold" }),
      patch(path, { price: { amount: 7 } }),
      adjust(path, { delta: 5 }),
    ]);
    expect((await read(path, { "cache-control": "no-cache" })).json).toMatchObject({
      name: "Torch", description: "cold", price: { amount: 7, currency: "EUR" }, stock: 15, versionId: 5,
    });
  });
});

describe("If-None-Match on a read", () => {
  it("is 304 without a body and with the headers of the 200 if the version is the one named", async () => {
    const { path } = await create();
    const full = await read(path);
    const answer = await read(path, { "if-none-match": full.headers.get("etag") ?? "" });
    expect(answer.status).toBe(304);
    expect(answer.text).toBe("");
    for (const name of ["etag", "cache-control"]) expect(answer.headers.get(name)).toBe(full.headers.get(name));
    for (const name of ["consistency-token", "x-request-id"]) expect(answer.headers.has(name), name).toBe(true);
    expect(cacheStatus(answer)).toEqual(HIT);
  });

  it("compares weakly, takes several tags, and * for any version", async () => {
    const { path, stale, current } = await twoVersions();
    for (const tags of [`W/${current}`, `${stale}, ${current}`, `"other",W/${current}`, "*"]) {
      expect((await read(path, { "if-none-match": tags })).status, tags).toBe(304);
    }
  });

  it("is 200 with the body if the version moved", async () => {
    const { path, stale } = await twoVersions();
    const answer = await read(path, { "if-none-match": stale });
    expect(answer.status).toBe(200);
    expect(answer.json.name).toBe("Torch");
  });

  it("holds for an earlier version asked for by number", async () => {
    const { path, stale, current } = await twoVersions();
    expect((await read(`${path}?version=1`, { "if-none-match": stale })).status).toBe(304);
    expect((await read(`${path}?version=1`, { "if-none-match": current })).status).toBe(200);
  });

  it("with no-cache the database says whether it is 304", async () => {
    const { path, current } = await twoVersions();
    const answer = await read(path, { "if-none-match": current, "cache-control": "no-cache" });
    expect(answer.status).toBe(304);
    expect(cacheStatus(answer)).toEqual(FROM_DATABASE);
  });

  it("does not hide that an entity is deleted or absent", async () => {
    const { path, current } = await twoVersions();
    await remove(path);
    expectProblem(await read(path, { "if-none-match": current }), 410, "deleted");
    expectProblem(await read(path, { "if-none-match": "*" }), 410, "deleted");
    expectProblem(await read(`/v1/products/${randomUUID()}`, { "if-none-match": "*" }), 404, "not-found");
  });
});
