import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, call } from "./client.ts";
import { DISCONTINUED, items, pages } from "./pages.ts";
import { expectBadQuery } from "./problem.ts";
import { create, newProduct, patch, read, remove } from "./products.ts";

const LIST = "/v1/products";

/** What `Link: <…>; rel="next"` points to, taken relative to the list. */
const next = (answer: Answer): URL | undefined => {
  const link = /^<([^>]*)>; *rel="?next"?$/.exec(answer.headers.get("link") ?? "");
  return link === null ? undefined : new URL(link[1]!, `http://service${LIST}`);
};

beforeAll(async () => {
  const answer = await call("POST", `${LIST}/batch`, { body: { items: Array.from({ length: 210 }, () => newProduct()) } });
  expect(answer.status).toBe(200);
});

describe("a list", () => {
  it("is items and nextCursor, 50 items without a limit", async () => {
    const answer = await read(LIST);
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.json).sort()).toEqual(["items", "nextCursor"]);
    expect(answer.json.items).toHaveLength(50);
    expect(answer.json.nextCursor).toEqual(expect.stringMatching(/./));
  });

  it.each([1, 2, 200])("has as many items as the limit says: %d", async (limit) => {
    expect((await read(`${LIST}?limit=${limit}`)).json.items).toHaveLength(limit);
  });

  it("goes on after the cursor, without an item twice", async () => {
    const first = (await read(`${LIST}?limit=20`)).json;
    const second = (await read(`${LIST}?limit=20&cursor=${encodeURIComponent(first.nextCursor)}`)).json;
    const ids = [...first.items, ...second.items].map((item) => item.id);
    expect(new Set(ids).size).toBe(40);
  });

  it("takes another limit with the cursor", async () => {
    const { nextCursor } = (await read(`${LIST}?limit=3`)).json;
    expect((await read(`${LIST}?limit=7&cursor=${encodeURIComponent(nextCursor)}`)).json.items).toHaveLength(7);
  });

  it("has a Link to the next page, which keeps limit and filter and carries nextCursor", async () => {
    const answer = await read(`${LIST}?limit=3&status=active`);
    const url = next(answer);
    expect(url?.pathname).toBe(LIST);
    expect(Object.fromEntries(url!.searchParams)).toEqual({ limit: "3", status: "active", cursor: answer.json.nextCursor });
    const page = await read(url!.pathname + url!.search);
    expect(page.status).toBe(200);
    expect(page.json.items).toHaveLength(3);
  });

  it("contains the entities as GET gives them", async () => {
    const product = await create({ description: "warm 💡" });
    await patch(product.path, { status: "discontinued" });
    const listed = items(await pages(DISCONTINUED)).find((item) => item.id === product.id);
    expect(listed).toEqual((await read(product.path)).json);
  });

  it("an unknown query parameter is ignored", async () => {
    const answer = await read(`${LIST}?limit=1&colour=red&sort=name`);
    expect(answer.status).toBe(200);
    expect(answer.json.items).toHaveLength(1);
  });
});

describe("the pages of a list together", () => {
  it("are in order of creation, the oldest first, whatever was changed since", async () => {
    const made = [await create(), await create(), await create()];
    for (const product of made.toReversed()) await patch(product.path, { status: "discontinued" });
    const ids = made.map((product) => product.id);
    const listed = items(await pages(DISCONTINUED)).map((item) => item.id).filter((id) => ids.includes(id));
    expect(listed).toEqual(ids);
  });

  it("end with nextCursor null and without a Link", async () => {
    const walked = await pages(DISCONTINUED);
    const last = walked.at(-1)!.answer;
    expect(last.json.nextCursor).toBeNull();
    expect(last.headers.has("link")).toBe(false);
  });

  it("with small pages are the same as with large ones", async () => {
    const { id, path } = await create();
    await patch(path, { status: "discontinued" });
    const ids = (walked: Awaited<ReturnType<typeof pages>>) => items(walked).map((item) => item.id);
    const large = ids(await pages(DISCONTINUED));
    const small = ids(await pages("/v1/products?status=discontinued&limit=25"));
    // Others may add or delete meanwhile: compared is what stands before this test's own product.
    const both = large.filter((each) => small.includes(each));
    expect(small.filter((each) => large.includes(each))).toEqual(both);
    expect(small.filter((each) => each === id)).toHaveLength(1);
  });

  it("do not contain what is deleted", async () => {
    const { id, path } = await create();
    await patch(path, { status: "discontinued" });
    const contains = async () => items(await pages(DISCONTINUED)).some((item) => item.id === id);
    expect(await contains()).toBe(true);
    await remove(path);
    expect(await contains()).toBe(false);
  });

  it("with the token of a change show it", async () => {
    const { id, path } = await create();
    const changed = await patch(path, { status: "discontinued" });
    const headers = { "consistency-token": changed.headers.get("consistency-token") ?? "" };
    expect(items(await pages(DISCONTINUED, headers)).map((item) => item.id)).toContain(id);
  });
});

describe("the filter", () => {
  it.each(["active", "discontinued"])("status=%s shows only such products", async (status) => {
    const { path } = await create();
    await patch(path, { status });
    const { json } = await read(`${LIST}?status=${status}&limit=200`);
    expect(json.items.length).toBeGreaterThan(0);
    for (const item of json.items) expect(item.status).toBe(status);
  });

  it("follows a change of the status", async () => {
    const { id, path } = await create();
    await patch(path, { status: "discontinued" });
    await patch(path, { status: "active" });
    expect(items(await pages(DISCONTINUED)).map((item) => item.id)).not.toContain(id);
  });
});

describe("a bad query is 400 and names the parameter", () => {
  it.each(["0", "-1", "201", "x", "", "1.5", "1e1", "%2B5", "0x10", "99999999999999999999", "%ff"])("limit=%s", async (limit) => {
    expectBadQuery(await read(`${LIST}?limit=${limit}`), "limit");
  });

  it.each(["x", "", "%00", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D", "%7B%7D", "x".repeat(2_000)])("cursor=%s", async (cursor) => {
    expectBadQuery(await read(`${LIST}?cursor=${cursor}`), "cursor");
  });

  it("a cursor that was cut", async () => {
    const { nextCursor } = (await read(`${LIST}?limit=1`)).json;
    expectBadQuery(await read(`${LIST}?cursor=${encodeURIComponent(nextCursor.slice(0, -5))}`), "cursor");
  });

  it.each(["x", "", "Active", "active,discontinued"])("status=%s", async (status) => {
    expectBadQuery(await read(`${LIST}?status=${status}`), "status");
  });

  it("all of them at once", async () => {
    expectBadQuery(await read(`${LIST}?limit=0&cursor=x&status=y`), "limit", "cursor", "status");
  });
});
