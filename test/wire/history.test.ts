import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { expectBadQuery, expectProblem } from "./problem.ts";
import { adjust, create, evict, patch, read, remove } from "./products.ts";

const events = async (path: string, query = "") => (await read(`${path}/events${query}`)).json;

describe("GET /v1/products/{id}?version=", () => {
  it("gives each version as it was: the bytes and the ETag of its own time", async () => {
    const { path } = await create();
    const versions = [
      await read(path),
      await patch(path, { name: "Torch 💡" }),
      await adjust(path, { delta: -4 }),
      await patch(path, { status: "discontinued", description: "gone" }),
    ];
    for (const [n, version] of versions.entries()) {
      const answer = await read(`${path}?version=${n + 1}`);
      expect(answer.status).toBe(200);
      expect(answer.text).toBe(version.text);
      expect(answer.headers.get("etag")).toBe(version.headers.get("etag"));
    }
  });

  it("is the same after an eviction and with no-cache", async () => {
    const { id, path } = await create();
    const first = await read(path);
    await patch(path, { name: "Torch" });
    await evict(id);
    expect((await read(`${path}?version=1`)).text).toBe(first.text);
    expect((await read(`${path}?version=1`, { "cache-control": "no-cache" })).text).toBe(first.text);
  });

  it("gives the newest version as the plain GET does", async () => {
    const { path } = await create();
    await patch(path, { name: "Torch" });
    expect((await read(`${path}?version=2`)).text).toBe((await read(path)).text);
  });

  it.each([2, 2_147_483_648, 9_007_199_254_740_991])("above the newest is 404: %d", async (version) => {
    const { path } = await create();
    expectProblem(await read(`${path}?version=${version}`), 404, "not-found");
  });

  it("an earlier version stays readable after the deletion; the deletion itself is a version that is 410", async () => {
    const { path } = await create();
    const first = await read(path);
    await remove(path);
    expect((await read(`${path}?version=1`)).text).toBe(first.text);
    expectProblem(await read(`${path}?version=2`), 410, "deleted");
    expectProblem(await read(`${path}?version=3`), 404, "not-found");
  });

  it.each(["0", "-1", "x", "", "1.5", "1e0", "%2B1", "latest"])("a version is a whole number from 1: version=%s is 400", async (version) => {
    const { path } = await create();
    expectBadQuery(await read(`${path}?version=${version}`), "version");
  });
});

describe("GET /v1/products/{id}/events", () => {
  it("is the history: one event for each version, in their order", async () => {
    const { path } = await create();
    await patch(path, { name: "Torch" });
    await adjust(path, { delta: 2, reason: "found" });
    const history = await events(path);
    expect(Object.keys(history).sort()).toEqual(["items", "nextCursor"]);
    expect(history.items.map((event: any) => event.versionId)).toEqual([1, 2, 3]);
    expect(history.nextCursor).toBeNull();
  });

  it("an event has position, versionId, type, recordedAt and data", async () => {
    const { path } = await create();
    const [event] = (await events(path)).items;
    expect(Object.keys(event).sort()).toEqual(["data", "position", "recordedAt", "type", "versionId"]);
    expect(event.type).toEqual(expect.stringMatching(/\S/));
    expect(event.data).toEqual(expect.any(Object));
    expect(Math.abs(Date.parse(event.recordedAt) - Date.now())).toBeLessThan(600_000);
  });

  it("the data of an event of tier 1 says what happened", async () => {
    const { path, sku } = await create({ description: "warm 💡" });
    await patch(path, { name: "Torch مصباح" });
    const [first, second] = (await events(path)).items;
    expect(JSON.stringify(first.data)).toContain(sku);
    expect(JSON.stringify(first.data)).toContain("warm 💡");
    expect(JSON.stringify(second.data)).toContain("Torch مصباح");
  });

  it("positions rise with the versions, and the same kind of change has the same type", async () => {
    const { path } = await create();
    await adjust(path, { delta: 1 });
    await adjust(path, { delta: 1 });
    const { items } = await events(path);
    const positions = items.map((event: any) => BigInt(event.position));
    expect(positions[0] < positions[1] && positions[1] < positions[2]).toBe(true);
    expect(items[1].type).toBe(items[2].type);
    expect(items[0].type).not.toBe(items[1].type);
  });

  it("a refused change and one that changes nothing leave no event", async () => {
    const { path } = await create({ stock: 1 });
    await adjust(path, { delta: -2 });
    await patch(path, {});
    await patch(path, { name: "Torch" }, { "if-match": '"none"' });
    expect((await events(path)).items).toHaveLength(1);
  });

  it("has pages like a list", async () => {
    const { path } = await create();
    for (const name of ["a", "b", "c", "d"]) await patch(path, { name });
    const versions: Array<number> = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page: any = await events(path, `?limit=2${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
      expect(page.items.length).toBeLessThanOrEqual(2);
      versions.push(...page.items.map((event: any) => event.versionId));
      cursor = page.nextCursor;
    }
    expect(versions).toEqual([1, 2, 3, 4, 5]);
  });

  it("has 50 events on a page without a limit, and a Link to the next", async () => {
    const { path } = await create({ stock: 100 });
    await Promise.all(Array.from({ length: 50 }, () => adjust(path, { delta: 1 })));
    const answer = await read(`${path}/events`);
    expect(answer.json.items).toHaveLength(50);
    expect(answer.headers.get("link")).toMatch(/rel="?next"?/);
  });

  it("refuses a bad limit and a bad cursor", async () => {
    const { path } = await create();
    expectBadQuery(await read(`${path}/events?limit=201&cursor=x`), "limit", "cursor");
  });

  it("stays after deletion, and the deletion is its last event", async () => {
    const { path } = await create();
    const before = (await events(path)).items;
    await remove(path);
    const after = (await events(path)).items;
    expect(after.slice(0, 1)).toEqual(before);
    expect(after.map((event: any) => event.versionId)).toEqual([1, 2]);
  });

  it("of an entity that never was is 404", async () => {
    expectProblem(await read(`/v1/products/${randomUUID()}/events`), 404, "not-found");
  });
});
