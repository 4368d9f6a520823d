import { describe, expect, it } from "vitest";
import { call, wire } from "./client.ts";
import { type Change, listen } from "./changeStream.ts";
import { expectBadQuery, expectProblem } from "./problem.ts";
import { adjust, create, patch, read, remove } from "./products.ts";

const { limitedKey } = wire();
const positionOf = (change: Change): bigint => BigInt(change.id);
const versionsOf = (changes: ReadonlyArray<Change>) => changes.map((change) => change.data.versionId);

/** A product with three versions, and the changes that made them. */
const threeVersions = async () => {
  const stream = await listen();
  const { id, path } = await create();
  await patch(path, { name: "Torch" });
  await adjust(path, { delta: 1 });
  return { id, path, changes: await stream.changesOf([id], 3) };
};

describe("GET /v1/changes", () => {
  it("is a stream of server-sent events", async () => {
    expect((await listen()).headers.get("content-type")).toMatch(/^text\/event-stream\b/);
  });

  it("a change has the position as its id, the name change, and position, kind, id, versionId and type", async () => {
    const { id, changes } = await threeVersions();
    for (const [n, change] of changes.entries()) {
      expect(change.event).toBe("change");
      expect(Object.keys(change.data).sort()).toEqual(["id", "kind", "position", "type", "versionId"]);
      expect(change.data).toMatchObject({ kind: "product", id, versionId: n + 1, type: expect.stringMatching(/\S/) });
      expect(String(change.data.position)).toBe(change.id);
    }
  });

  it("tells what the history tells: the same positions, versions and types", async () => {
    const { path, changes } = await threeVersions();
    const history = (await read(`${path}/events`)).json.items;
    const told = ({ position, versionId, type }: any) => ({ position: String(position), versionId, type });
    expect(changes.map((change) => told(change.data))).toEqual(history.map(told));
  });

  it("is in order of position, which for one entity is the order of its versions, and leaves none out", async () => {
    const stream = await listen();
    const products = await Promise.all(Array.from({ length: 5 }, () => create()));
    await Promise.all(products.flatMap(({ path }) => Array.from({ length: 6 }, () => adjust(path, { delta: 1 }))));
    const ids = products.map((product) => product.id);
    const changes = await stream.changesOf(ids, 35);
    const positions = changes.map(positionOf);
    expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(new Set(positions).size).toBe(35);
    for (const id of ids) {
      expect(versionsOf(changes.filter((change) => change.data.id === id))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    }
  });

  it("tells of a deletion", async () => {
    const stream = await listen();
    const { id, path } = await create();
    await remove(path);
    const [created, deleted] = await stream.changesOf([id], 2);
    expect(deleted!.data.versionId).toBe(2);
    expect(deleted!.data.type).not.toBe(created!.data.type);
  });

  it("says nothing of a change that changed nothing", async () => {
    const stream = await listen();
    const { id, path } = await create();
    await patch(path, {});
    await patch(path, { name: "Torch" });
    expect(versionsOf(await stream.changesOf([id], 2))).toEqual([1, 2]);
  });

  it("serves several listeners alike", async () => {
    const streams = await Promise.all([listen(), listen(), listen()]);
    const { id, path } = await create();
    await patch(path, { name: "Torch" });
    const [first, ...others] = await Promise.all(streams.map((stream) => stream.changesOf([id], 2)));
    for (const other of others) expect(other).toEqual(first);
  });
});

describe("where the stream begins", () => {
  it("now: what was changed before is not in it", async () => {
    const before = await create();
    const stream = await listen();
    const after = await create();
    await patch(before.path, { name: "Torch" });
    const changes = await stream.changesOf([before.id, after.id], 2);
    expect(changes.map(({ data }) => [data.id, data.versionId])).toEqual([[after.id, 1], [before.id, 2]]);
  });

  it("after the position in ?after=, not at it", async () => {
    const { id, changes } = await threeVersions();
    const again = await (await listen(`?after=${changes[0]!.id}`)).changesOf([id], 2);
    expect(again).toEqual(changes.slice(1));
  });

  it("after the position in Last-Event-ID, and then goes on with what happens", async () => {
    const { id, path, changes } = await threeVersions();
    const stream = await listen("", { "last-event-id": changes[1]!.id });
    await patch(path, { name: "Lantern" });
    const again = await stream.changesOf([id], 2);
    expect(again[0]).toEqual(changes[2]);
    expect(versionsOf(again)).toEqual([3, 4]);
  });

  it("if both are sent, Last-Event-ID counts: a reconnecting listener repeats its URL", async () => {
    const { id, changes } = await threeVersions();
    const stream = await listen(`?after=${changes[0]!.id}`, { "last-event-id": changes[1]!.id });
    expect(versionsOf(await stream.changesOf([id], 1))).toEqual([3]);
  });

  it("a resumed stream tells exactly what the first one told after that position", async () => {
    const stream = await listen();
    const { id, path } = await create();
    const told: Array<Change> = [];
    await patch(path, { name: "Torch" });
    do told.push(await stream.change()); while (told.at(-1)!.data.id !== id || told.at(-1)!.data.versionId !== 2);
    const resumed = await listen(`?after=${told[0]!.id}`);
    for (const change of told.slice(1)) expect(await resumed.change()).toEqual(change);
  });

  it("?after=0 at the oldest kept, and from there without gaps", async () => {
    await threeVersions();
    const oldest = await listen("?after=0");
    const first = [await oldest.change(), await oldest.change(), await oldest.change()];
    expect(positionOf(first[0]!)).toBeGreaterThan(0n);
    const second = await listen(`?after=${first[0]!.id}`);
    expect([await second.change(), await second.change()]).toEqual(first.slice(1));
  });

  it("Last-Event-ID: 0 is like ?after=0", async () => {
    await threeVersions();
    const byQuery = await listen("?after=0");
    const byHeader = await listen("", { "last-event-id": "0" });
    expect(await byHeader.change()).toEqual(await byQuery.change());
  });
});

describe("a malformed position is 400", () => {
  it.each(["x", "-1", "", "1.5", "1e3", "0x1", "%00", "1%202", "9".repeat(40)])("?after=%s", async (after) => {
    expectBadQuery(await call("GET", `/v1/changes?after=${after}`), "after");
  });

  it.each(["x", "-1", "1.5", '"1"', "9".repeat(40)])("Last-Event-ID: %s", async (position) => {
    expectProblem(await call("GET", "/v1/changes", { headers: { "last-event-id": position } }), 400, "malformed");
  });
});

describe("while the stream is open", () => {
  it("a comment line comes every 15 s", async () => {
    const stream = await listen();
    await stream.comment();
    const since = performance.now();
    await stream.comment();
    // Half a minute would be too seldom for those who stand between; 15 s more are the machine's.
    expect(performance.now() - since).toBeLessThan(30_000);
  });
});

describe("who may listen", () => {
  it("nobody without a key: 401", async () => {
    expectProblem(await call("GET", "/v1/changes", { key: null }), 401, "unauthenticated");
  });

  it.runIf(limitedKey !== undefined)("nobody without the scope changes:read: 403", async () => {
    expectProblem(await call("GET", "/v1/changes", { key: limitedKey }), 403, "forbidden");
  });
});
