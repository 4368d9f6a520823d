import { describe, expect, it } from "vitest";
import { cacheStatus, HIT, MISS } from "./cacheStatus.ts";
import { call } from "./client.ts";
import { expectProblem } from "./problem.ts";
import { create, evict, patch, read, remove } from "./products.ts";
import { until } from "./until.ts";

const entry = async (id: string): Promise<any> => {
  const answer = await read(`/ops/entries/product/${id}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
};

/** The explanation, once it has the verdict. */
const withVerdict = (id: string, verdict: string): Promise<any> =>
  until(`verdict ${verdict}`, async () => {
    const json = await entry(id);
    return json.verdict === verdict ? json : undefined;
  });

describe("GET /ops/entries/{kind}/{id} explains one entity", () => {
  it("with all of its fields", async () => {
    const { id } = await create();
    const json = await entry(id);
    expect(Object.keys(json).sort()).toEqual(["entry", "events", "lease", "queued", "row", "transitions", "verdict"]);
    expect(Object.keys(json.row).sort()).toEqual(["deleted", "updatedAtNs", "versionId"]);
    expect(Object.keys(json.entry).sort()).toEqual(
      ["bytes", "epoch", "keyId", "present", "sequence", "tier", "tombstone", "ttlSeconds", "versionId"]);
  });

  it("the row is what the database has", async () => {
    const { id, path } = await create();
    const { versionId, updatedAtNs } = (await patch(path, { name: "Torch" })).json;
    expect((await entry(id)).row).toEqual({ versionId, updatedAtNs, deleted: false });
  });

  it("after a change the entry is the row's version, and the verdict is consistent", async () => {
    const { id, path } = await create();
    expect((await entry(id)).verdict).toBe("consistent");
    await patch(path, { name: "Torch" });
    const json = await entry(id);
    expect(json.verdict).toBe("consistent");
    expect(json.entry).toMatchObject({ present: true, versionId: 2, tier: 1, tombstone: false });
    expect(json.entry.bytes).toBeGreaterThan(0);
  });

  it("lists the events", async () => {
    const { id, path } = await create();
    await patch(path, { name: "Torch" });
    const { events } = await entry(id);
    expect(events.map((event: any) => event.versionId).sort()).toEqual([1, 2]);
  });

  it("after an eviction nothing is present, and the verdict is absent; a read makes it consistent again", async () => {
    const { id, path } = await create();
    await evict(id);
    const json = await entry(id);
    expect(json.verdict).toBe("absent");
    expect(json.entry?.present ?? false).toBe(false);
    await read(path);
    expect((await withVerdict(id, "consistent")).entry).toMatchObject({ present: true, versionId: 1 });
  });

  it("to look at an entity does not bring it into the cache", async () => {
    const { id } = await create();
    await evict(id);
    await entry(id);
    expect((await entry(id)).verdict).toBe("absent");
  });

  it("of a deleted one the row is deleted and the entry a tombstone, which is consistent", async () => {
    const { id, path } = await create();
    await remove(path);
    const json = await withVerdict(id, "consistent");
    expect(json.row).toMatchObject({ versionId: 2, deleted: true });
    expect(json.entry).toMatchObject({ versionId: 2, tombstone: true });
  });

  it("of a kind that does not exist is 404", async () => {
    const { id } = await create();
    for (const kind of ["planet", "products", "Product"]) expectProblem(await read(`/ops/entries/${kind}/${id}`), 404, "not-found");
  });
});

describe("DELETE /ops/entries/{kind}/{id}", () => {
  it("takes the entry out: 204 without a body, and the next read is a miss", async () => {
    const { id, path } = await create();
    const before = await read(path);
    expect(cacheStatus(before)).toEqual(HIT);
    const answer = await call("DELETE", `/ops/entries/product/${id}`);
    expect([answer.status, answer.text]).toEqual([204, ""]);
    const after = await read(path);
    expect(cacheStatus(after)).toEqual(MISS);
    expect(after.text).toBe(before.text);
  });

  it("of an entry that is not there is 204 too", async () => {
    const { id } = await create();
    await evict(id);
    await evict(id);
  });

  it("changes nothing of the entity itself: no version, no event", async () => {
    const { id, path } = await create();
    await evict(id);
    expect((await read(path)).json.versionId).toBe(1);
    expect((await read(`${path}/events`)).json.items).toHaveLength(1);
  });

  it("a change after an eviction is what the next reader sees", async () => {
    const { id, path } = await create();
    await evict(id);
    const changed = await patch(path, { name: "Torch" });
    expect((await read(path)).text).toBe(changed.text);
  });

  it("of a deleted product does not bring it back", async () => {
    const { id, path } = await create();
    await remove(path);
    await evict(id);
    expectProblem(await read(path), 410, "deleted");
  });

  it("of a kind that does not exist is 404", async () => {
    const { id } = await create();
    expectProblem(await call("DELETE", `/ops/entries/planet/${id}`), 404, "not-found");
  });
});
