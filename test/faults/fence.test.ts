import { expect, onTestFinished, test } from "vitest";
import { eventually, median } from "../support/eventually.ts";
import { CHANGED_WITHOUT_STORE, createProducts, explain, type Holdfast, on, relayWorks, startCache, startHoldfast, startNetwork, startTruth, untrue } from "../support/holdfast.ts";

type Change = { readonly position: string; readonly id: string; readonly versionId: number };

/** What a listener has heard so far. */
const listen = async (api: Holdfast, after: string): Promise<readonly Change[]> => {
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const response = await fetch(`${api.url}/v1/changes?after=${after}`, { headers: { authorization: `Bearer ${api.key}` }, signal: stop.signal });
  const heard: Change[] = [];
  const pump = async () => {
    let rest = "";
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line.startsWith("data: ")) heard.push(JSON.parse(line.slice(6)) as Change);
    }
  };
  pump().catch(() => "the test is over");
  return heard;
};

test("behind an open transaction the relay repairs within 2 s and the changes wait; then they come in order and without gaps", async () => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const network = await startNetwork(redis);
  const [writer, witness] = await Promise.all([
    startHoldfast("api", on(truth, network.url("redis"))),
    startHoldfast("api", on(truth, redis)),
    startHoldfast("relay", on(truth, redis)),
  ]);
  await relayWorks(redis);
  const [early, ...products] = await createProducts(witness, 21);
  await truth.loseRetryRows();
  await network.cut();

  const heard = await listen(witness, "0");
  // A transaction that another test has open on the same server holds the fence back too.
  const fenced = { within: 60_000 };
  await eventually(() => heard.length === 1 + products.length, fenced);
  // It drew its place in the log before all that follows, and commits after it.
  const letGo = await truth.hold(CHANGED_WITHOUT_STORE, [early!.id]);

  const expected: [string, number][] = [[early!.id, 1], ...products.map(({ id }): [string, number] => [id, 1]), [early!.id, 2]];
  const took: number[] = [];
  for (let version = 2; version <= 6; version++) {
    await Promise.all(products.map(async ({ id }) => {
      const answer = await writer.call("POST", `/v1/products/${id}/stock-adjustments`, { body: { delta: 1 } });
      expect(answer.status).toBe(200);
      expected.push([id, answer.body.versionId]);
    }));
    const written = performance.now();
    for (const { id } of products) await eventually(async () => expect((await explain(witness, id)).entry?.versionId).toBe(version));
    took.push(performance.now() - written);
  }
  console.log(`last entry right ${took.map(Math.round).join(", ")} ms after the last write`);
  // What a machine that stalls adds, it adds to the one or the other; a relay that waits, to most.
  expect(median(took)).toBeLessThan(2_000);
  expect(new Set(heard.map(({ versionId }) => versionId))).toEqual(new Set([1]));
  expect((await witness.call("GET", "/ops/queue-size")).body.size).toBe(0);
  expect(await untrue(witness, products.map(({ id }) => id))).toEqual([]);

  const lately = await listen(witness, heard.at(-1)!.position);
  await letGo();
  await eventually(() => heard.length >= expected.length, fenced);
  const sorted = (all: readonly Change[]) => all.map(({ position }) => position).toSorted();
  expect(heard.map(({ position }) => position)).toEqual(sorted(heard));
  expect(new Set(heard.map(({ position }) => position)).size).toBe(heard.length);
  expect(heard.map(({ id, versionId }) => `${id} ${versionId}`).toSorted()).toEqual(expected.map(([id, version]) => `${id} ${version}`).toSorted());
  for (const { id } of products) expect(heard.filter((change) => change.id === id).map(({ versionId }) => versionId)).toEqual([1, 2, 3, 4, 5, 6]);
  // One who came while the fence stood hears the same.
  await eventually(() => expect(lately).toEqual(heard.slice(1 + products.length)), fenced);
  await eventually(async () => expect(await untrue(witness, [early!.id])).toEqual([]));
}, 240_000);
