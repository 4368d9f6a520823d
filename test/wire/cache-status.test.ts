import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cacheStatus, CHANGE, FROM_DATABASE, HISTORY, HIT, MISS, UNCHANGED } from "./cacheStatus.ts";
import { call } from "./client.ts";
import { expectStored, isLeaseBroken } from "./entries.ts";
import { DISCONTINUED, pages } from "./pages.ts";
import { directives, expectProblem } from "./problem.ts";
import { adjust, create, evict, newProduct, patch, post, read, remove } from "./products.ts";

describe("Cache-Status of a read", () => {
  it("after a change is a hit: the change has stored the entry", async () => {
    const { path } = await create();
    expect(cacheStatus(await read(path))).toEqual(HIT);
    await patch(path, { name: "Torch" });
    const answer = await read(path);
    expect(cacheStatus(answer)).toEqual(HIT);
    expect(answer.json.name).toBe("Torch");
  });

  it("of an entry that was taken out is a miss that stores it, and then a hit", async () => {
    const { id, path } = await create();
    await evict(id);
    expect(cacheStatus(await read(path))).toEqual(MISS);
    expect(cacheStatus(await read(path))).toEqual(HIT);
  });

  it("of a deleted product is a hit: the deletion is known from the cache", async () => {
    const { id, path } = await create();
    await remove(path);
    const answer = await read(path);
    expectProblem(answer, 410, "deleted");
    expect(cacheStatus(answer)).toEqual(HIT);
    await evict(id);
    expect(cacheStatus(await read(path)), "after an eviction").toEqual(MISS);
    expect(cacheStatus(await read(path))).toEqual(HIT);
  });

  it("of a UUID that nobody has is a miss that stores the absence, and then a hit", async () => {
    const path = `/v1/products/${randomUUID()}`;
    const first = await read(path);
    expectProblem(first, 404, "not-found");
    expect(cacheStatus(first)).toEqual(MISS);
    const second = await read(path);
    expectProblem(second, 404, "not-found");
    expect(cacheStatus(second)).toEqual(HIT);
  });

  it("many readers at the same moment after an eviction get the same bytes, and somebody stores them", async () => {
    const { id, path } = await create();
    const { text } = await read(path);
    await evict(id);
    const answers = await Promise.all(Array.from({ length: 30 }, () => read(path)));
    for (const answer of answers) expect(answer.text).toBe(text);
    const statuses = answers.map(cacheStatus);
    for (const status of statuses) expect(status["hit"] === true || status["fwd"] === "uri-miss").toBe(true);
    expect(statuses).toContainEqual(MISS);
    expect(cacheStatus(await read(path))).toEqual(HIT);
  });

  it("of an earlier version and of a history is a bypass", async () => {
    const { path } = await create();
    await patch(path, { name: "Torch" });
    expect(cacheStatus(await read(`${path}?version=1`))).toEqual(HISTORY);
    expect(cacheStatus(await read(`${path}/events`))).toEqual(HISTORY);
  });

  it("of a list is a hit if every body was, else a miss that says how many were", async () => {
    const mine = await create();
    await patch(mine.path, { status: "discontinued" });
    const page = (await pages(DISCONTINUED)).find(({ answer }) => answer.json.items.some((item: any) => item.id === mine.id));
    const { path, answer } = page!;
    await Promise.all(answer.json.items.map((item: any) => read(`/v1/products/${item.id}`)));
    expect(cacheStatus(await read(path))).toEqual(HIT);
    await evict(mine.id);
    const missed = await read(path);
    const count = missed.json.items.length;
    expect(cacheStatus(missed)).toEqual({ fwd: "uri-miss", detail: `${count - 1}/${count}` });
  });
});

describe("Cache-Control of a request", () => {
  it.each(["no-cache", "max-age=0", "No-Cache", "max-age=0, no-cache"])("%s reads from the database and refreshes the entry", async (directive) => {
    const { id, path } = await create();
    await evict(id);
    const answer = await read(path, { "cache-control": directive });
    expect(answer.status).toBe(200);
    expect(cacheStatus(answer)).toEqual(FROM_DATABASE);
    expect(cacheStatus(await read(path))).toEqual(HIT);
  });

  it("no-cache goes to the database although the entry is there, also for a deleted and an absent product", async () => {
    const { path } = await create();
    expect(cacheStatus(await read(path, { "cache-control": "no-cache" }))).toEqual(FROM_DATABASE);
    await remove(path);
    for (const asked of [path, `/v1/products/${randomUUID()}`]) {
      expect(cacheStatus(await read(asked, { "cache-control": "no-cache" }))).toEqual(FROM_DATABASE);
    }
  });

  it("max-age=60 is served from the cache of a service that has settled since", async () => {
    const { path } = await create();
    expect(cacheStatus(await read(path, { "cache-control": "max-age=60" }))).toEqual(HIT);
  });

  it("max-age=5 is a hit, or is read anew and stored where the entry is older than that", async () => {
    const { path } = await create();
    const changed = await patch(path, { name: "Torch" });
    const answer = await read(path, { "cache-control": "max-age=5" });
    expect([HIT, { fwd: "stale", stored: true }]).toContainEqual(cacheStatus(answer));
    expect(answer.text).toBe(changed.text);
  });

  it("max-age of an entry that is not there is a miss", async () => {
    const { id, path } = await create();
    await evict(id);
    expect(cacheStatus(await read(path, { "cache-control": "max-age=60" }))).toEqual(MISS);
  });
});

describe("Cache-Status of a change", () => {
  it("says that the cache has it", async () => {
    const created = await post();
    const path = `/v1/products/${created.json.id}`;
    await expectStored(created, "product", path);
    expect(cacheStatus(await patch(path, { name: "Torch" }))).toEqual(CHANGE);
    expect(cacheStatus(await adjust(path, { delta: 1 }))).toEqual(CHANGE);
    expect(cacheStatus(await remove(path)), "a deletion leaves a tombstone").toEqual(CHANGE);
  });

  it("of several entities is stored if all of them are", async () => {
    const batch = await call("POST", "/v1/products/batch", { body: { items: [newProduct(), newProduct()] } });
    const broken: Array<boolean> = await Promise.all(batch.json.results.map(({ id }: any) => isLeaseBroken("product", id)));
    expect(cacheStatus(batch)).toEqual(broken.every(Boolean) ? UNCHANGED : CHANGE);
    for (const [n, { id }] of batch.json.results.entries()) expect(cacheStatus(await read(`/v1/products/${id}`))).toEqual(broken[n] ? MISS : HIT);
  });

  it("that changes nothing stores nothing", async () => {
    const { path } = await create();
    expect(cacheStatus(await patch(path, {}))).toEqual(UNCHANGED);
  });
});

describe("Cache-Status of a change that is refused", () => {
  it("says that it went past the cache, whatever it is refused for", async () => {
    const { path, sku } = await create();
    const answers = [
      await patch(path, { colour: "red" }), await patch(path, { name: "x" }, { "if-match": '"none"' }), await adjust(path, { delta: -1_000_000 }),
      await post({ sku }), await patch(`/v1/products/${randomUUID()}`, { name: "x" }), await call("POST", "/v1/products/batch", { body: {} }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([422, 412, 409, 409, 404, 422]);
    for (const answer of answers) expect(cacheStatus(answer), answer.text).toEqual(UNCHANGED);
  });
});

describe("Cache-Control of an answer", () => {
  it("is private, no-cache for reads, changes, lists and histories of products", async () => {
    const created = await post();
    const path = `/v1/products/${created.json.id}`;
    const answers = [
      created, await patch(path, { name: "Torch" }), await adjust(path, { delta: 1 }), await read(path),
      await read(`${path}?version=1`), await read(`${path}/events`), await read("/v1/products?limit=1"), await remove(path),
    ];
    for (const answer of answers) expect(directives(answer)).toEqual(["no-cache", "private"]);
  });

  it("is no-store under /ops", async () => {
    const { id } = await create();
    for (const path of ["/ops/stats", "/ops/queue-size", "/ops/retry-queue", `/ops/entries/product/${id}`]) {
      expect(directives(await read(path)), path).toContain("no-store");
    }
    expect(directives(await call("DELETE", `/ops/entries/product/${id}`))).toContain("no-store");
    expect(directives(await call("POST", "/ops/retry-queue/replay", { body: { dryRun: true } }))).toContain("no-store");
  });

  it("is no-store for an error, also for one known from the cache", async () => {
    const { path } = await create();
    await remove(path);
    for (const answer of [await read(path), await read(path), await read("/v1/nothing"), await post({ name: "" })]) {
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(directives(answer)).toEqual(["no-store"]);
    }
  });
});
