import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { createProducts, explain, on, relayWorks, startCache, startHoldfast, startNetwork, startTruth, untrue } from "../support/holdfast.ts";
import { startLoad } from "../support/load.ts";

const PRODUCTS = 40;

/** Changes whose stores all go nowhere, and a relay that is killed in the middle of them; a second one waits for its work. */
const takeOver = async ({ queue }: { queue: boolean }) => {
  const [truth, redis] = await Promise.all([startTruth(), startCache()]);
  const network = await startNetwork(redis);
  const [writer, witness, holder] = await Promise.all([
    startHoldfast("api", on(truth, network.url("redis"))),
    startHoldfast("api", on(truth, redis)),
    startHoldfast("relay", on(truth, redis)),
  ]);
  await relayWorks(redis);
  // Before there is a second one, who might be given one of them.
  const held = "name like 'relay-lane-%' and state = 'active'";
  await eventually(async () => (await truth.query(`select name from pgboss.job where ${held}`)).length === 2, { within: 50_000 });
  await startHoldfast("relay", on(truth, redis));
  const products = await createProducts(witness, PRODUCTS);
  const ids = products.map(({ id }) => id);
  if (!queue) await truth.loseRetryRows();

  await network.cut();
  const load = startLoad([writer], products, { clients: 4 });
  await eventually(() => load.sent.length > 120, { within: 60_000 });
  // pg-boss would give the lanes anew after 10 s, and now does not: whoever works them then saw by himself that nobody does.
  await truth.query(`update pgboss.job set heartbeat_seconds = 3600 where ${held}`);
  await holder.kill();
  const killed = performance.now();
  await eventually(() => {
    const since = load.versionsAt(performance.now()), then = load.versionsAt(killed);
    return ids.every((id) => since.get(id)! > then.get(id)!);
  }, { within: 60_000 });
  await load.stop();
  const stopped = performance.now();
  // Nobody reads meanwhile: a read with a token or a miss would mend what only the relay is to mend.
  const right = async (id: string) => {
    const { row, entry, lease } = await explain(witness, id);
    expect([lease, entry?.versionId]).toEqual([false, row.versionId]);
  };
  for (const id of ids) await eventually(() => right(id));
  const over = performance.now();

  console.log(`last entry right ${Math.round(over - killed)} ms after the kill, ${Math.round(over - stopped)} ms after the last write`);
  expect(load.failures()).toEqual([]);
  await eventually(async () => expect(await truth.queued()).toBe(0), { within: 40_000 });
  expect(await untrue(witness, ids)).toEqual([]);
};

test("when the relay that holds the lanes is killed, another takes them over and every entry is right within seconds", async () => {
  await takeOver({ queue: true });
}, 240_000);

test("the relay alone, without a single row of the retry queue, makes every entry right after one of its processes was killed", async () => {
  await takeOver({ queue: false });
}, 240_000);
