import { describe, expect, it } from "vitest";
import { type Answer, call } from "./client.ts";
import { expectProblem } from "./problem.ts";
import { adjust, create, evict, newProduct, patch, post, read, remove } from "./products.ts";

const token = (answer: Answer): string => answer.headers.get("consistency-token") ?? "";
const WELL_FORMED = /^[\x21-\x2B\x2D-\x7E]{1,1024}$/;

const replaceAt = (text: string, at: number): string =>
  text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);

describe("a Consistency-Token", () => {
  it("stands on the answer of every change and of every read of one entity: visible, without a comma, at most 1 KiB", async () => {
    const created = await post();
    const path = `/v1/products/${created.json.id}`;
    const answers = [
      created,
      await patch(path, { name: "Torch" }),
      await patch(path, { name: "Torch" }),
      await adjust(path, { delta: 1 }),
      await read(path),
      await read(path, { "cache-control": "no-cache" }),
      await read(`${path}?version=1`),
      await call("POST", "/v1/products/batch", { body: { items: [newProduct()] } }),
      await remove(path),
    ];
    for (const answer of answers) expect(token(answer)).toMatch(WELL_FORMED);
  });

  it("of a change makes every later read at least as new", async () => {
    const { path } = await create();
    for (let version = 2; version <= 20; version++) {
      const changed = await patch(path, { name: `Lamp ${version}` });
      const answer = await read(path, { "consistency-token": token(changed) });
      expect(answer.json.versionId).toBeGreaterThanOrEqual(version);
    }
  });

  it("of a read makes the next read at least as new", async () => {
    const { path } = await create();
    await patch(path, { name: "Torch" });
    const seen = await read(path);
    expect((await read(path, { "consistency-token": token(seen) })).json.versionId).toBeGreaterThanOrEqual(seen.json.versionId);
  });

  it("holds when the cache has lost the entry", async () => {
    const { id, path } = await create();
    const changed = await patch(path, { name: "Torch" });
    await evict(id);
    expect((await read(path, { "consistency-token": token(changed) })).text).toBe(changed.text);
  });

  it("of a deletion makes the product deleted for whoever sends it", async () => {
    const { path } = await create();
    const removed = await remove(path);
    expectProblem(await read(path, { "consistency-token": token(removed) }), 410, "deleted");
  });

  it("of a batch speaks for every product that it made", async () => {
    const batch = await call("POST", "/v1/products/batch", { body: { items: Array.from({ length: 20 }, () => newProduct()) } });
    for (const { id } of batch.json.results) {
      expect((await read(`/v1/products/${id}`, { "consistency-token": token(batch) })).status).toBe(200);
    }
  });

  it("of one entity may be sent on a read of another", async () => {
    const one = await post();
    const other = await create();
    const answer = await read(other.path, { "consistency-token": token(one) });
    expect(answer.status).toBe(200);
    expect(answer.json.id).toBe(other.id);
  });

  it("may be sent with others: a comma between, with or without a space, or in headers of its own", async () => {
    const { path } = await create();
    const first = token(await patch(path, { name: "Torch" }));
    const second = token(await post());
    const third = token(await adjust(path, { delta: 1 }));
    for (const sent of [[first, second, third].join(","), [third, second, first].join(", "), [first, second, third]]) {
      const answer = await read(path, { "consistency-token": sent });
      expect(answer.status, answer.text).toBe(200);
      expect(answer.json.versionId).toBe(3);
    }
  });

  it("has its limit for itself: several together may be longer than 1 KiB", async () => {
    const created = await post();
    const many = Array.from({ length: Math.ceil(1_100 / token(created).length) }, () => token(created)).join(",");
    expect((await read(`/v1/products/${created.json.id}`, { "consistency-token": many })).status).toBe(200);
  });

  it("is taken on a list and on a history too", async () => {
    const created = await post();
    const headers = { "consistency-token": token(created) };
    expect((await read("/v1/products?limit=1", headers)).status).toBe(200);
    expect((await read(`/v1/products/${created.json.id}/events`, headers)).json.items).toHaveLength(1);
  });
});

describe("a token that the service did not make is 400", () => {
  it.each([
    ["garbage", "garbage"],
    ["longer than 1 KiB", "A".repeat(1_025)],
    ["much longer than 1 KiB", "A".repeat(4_000)],
    ["a version written as a token", '"3"'],
    ["letters outside ASCII", "é"],
  ])("%s", async (_, sent) => {
    const { path } = await create();
    expectProblem(await read(path, { "consistency-token": sent }), 400, "malformed");
  });

  it("forged: one character replaced, wherever it stands", async () => {
    const created = await post();
    const path = `/v1/products/${created.json.id}`;
    const real = token(created);
    for (const share of [0, 0.2, 0.4, 0.6, 0.8]) {
      const forged = replaceAt(real, Math.floor(real.length * share));
      expectProblem(await read(path, { "consistency-token": forged }), 400, "malformed");
    }
  });

  it("truncated, extended, or put together from two", async () => {
    const created = await post();
    const path = `/v1/products/${created.json.id}`;
    const real = token(created);
    const other = token(await patch(path, { name: "Torch" }));
    const half = Math.floor(real.length / 2);
    for (const broken of [real.slice(0, -4), real.slice(0, half), real.slice(1), `${real}AAAA`, `${real}${other}`]) {
      expectProblem(await read(path, { "consistency-token": broken }), 400, "malformed");
    }
  });

  it("also among good ones, and on a list", async () => {
    const good = token(await post());
    const { path } = await create();
    expectProblem(await read(path, { "consistency-token": `${good}, garbage` }), 400, "malformed");
    expectProblem(await read("/v1/products", { "consistency-token": "garbage" }), 400, "malformed");
  });

  it("400 comes before 404 of the entity", async () => {
    expectProblem(await read("/v1/products/x", { "consistency-token": "garbage" }), 400, "malformed");
  });
});
