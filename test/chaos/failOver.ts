import { setTimeout as delay } from "node:timers/promises";
import type { Stand } from "./Fault.ts";
import { startPlay } from "./scenes/Play.ts";
import { readOldPrimary } from "./scenes/oldPrimary.ts";
import { type Entity, pathOf } from "./History.ts";
import { anyOf, ask } from "./requests.ts";
import type { Seeded } from "./seeded.ts";

// So long it is looked for phantoms when there can be none any more.
const AFTERWARDS_MS = 4_000;

/** How many entities a client was told of at a version that the promoted server does not have, and when none of these was served any more. */
export type Phantoms = { readonly entities: number; readonly served: number; readonly lastServedMs: number; readonly verifiedMs: number };

/**
 * The replica of Postgres hears nothing for a while, then the primary dies and the replica takes its place. What was acknowledged meanwhile is lost, by the
 * database; what counts is that nothing of it is served once the verification of the new life has ended. With `dies` later the old primary lives on for a
 * while, and one process goes on reading there.
 */
export const failOverPostgres = async (stand: Stand, random: Seeded, lagMs: number, dies: "before" | "later"): Promise<Phantoms> => {
  const { truth, history, apis, relays, actors } = stand;
  const play = dies === "later" ? await startPlay(stand).catch(() => null) : null;
  const since = history.now();
  await truth.part();
  history.log(`the replica of Postgres hears nothing for ${(lagMs / 1_000).toFixed(1)} s`);
  await delay(lagMs);
  // Versions above these are of a life that is about to end.
  const told = new Map<Entity, number>();
  for (const entity of history.entities.values()) told.set(entity, entity.floors.at(-1)?.version ?? 1);
  history.log(play === null ? "kill -9 of the primary; the replica is promoted" : `the replica is promoted; the primary lives, and ${play.patient.name} does not hear of it`);
  let began = 0;
  if (play !== null) {
    const written = await play.write(play.quick).then(() => play.evict()).then(() => true, () => false);
    stand.spared.add(play.patient);
    // Nobody else commits there any more.
    await Promise.all([...apis, ...relays, ...actors].map((member) => member === play.patient ? null : member.postgres.cut()));
    if (written) told.set(play.product, 2);
  }
  const end = await truth.failOver(play === null ? "before" : "later", () => {
    history.newLife(since);
    began = performance.now();
  });
  const rows = new Map<string, number>();
  for (const table of ["products", "orders", "customers"]) {
    for (const { id, version } of await truth.query(`select id, version_id::float8 as version from ${table}`)) rows.set(id, version);
  }
  const lost = [...told].filter(([entity, version]) => (rows.get(entity.id) ?? 0) < version).map(([entity]) => entity);
  const [{ epoch }] = await truth.query("select coalesce(max(epoch), 0)::float8 as epoch from database_epochs");
  let served = 0, lastServed = 0, verified = 0;
  const whenVerified = Promise.withResolvers<void>();
  const reading = play === null ? null : readOldPrimary(stand, play, whenVerified.promise).catch((error: unknown) => history.log(`the old primary was not read: ${String(error).slice(0, 200)}`));
  for (const until = began + 60_000; performance.now() < until; ) {
    for (const entity of lost) {
      const answer = await ask(await anyOf(apis, random), "GET", pathOf(entity), {}, 2_000);
      if (answer?.status !== 200 || !(await isPhantom(stand, entity, answer.version!, answer.body?.updatedAtNs))) continue;
      served++;
      lastServed = performance.now() - began;
      if (verified > 0) history.violate(`version ${answer.version} of a lost life was served after the verification (${answer.by}, ${answer.source})`, entity);
    }
    if (verified > 0 && performance.now() - began > verified + AFTERWARDS_MS) break;
    const done = await truth.query("select 1 from verifications where reason = 'epoch' and finished_at is not null and epoch >= $1 and asked_at > clock_timestamp() - interval '2 minutes'", [epoch]).catch(() => []);
    if (verified === 0 && done.length > 0) {
      verified = performance.now() - began;
      whenVerified.resolve();
      history.log(`the verification of the new life has ended after ${(verified / 1_000).toFixed(1)} s`);
    }
    await delay(20);
  }
  if (verified === 0) history.violate("no verification of the new life has ended within a minute");
  whenVerified.resolve();
  await reading;
  await end();
  if (play !== null) {
    stand.spared.delete(play.patient);
    play.patient.postgres.redirect(truth.primary().port);
    await play.patient.postgres.cut();
    await play.patient.postgres.restore();
    await play.over();
  }
  return { entities: lost.length, served, lastServedMs: lastServed, verifiedMs: verified };
};

/** A version that the log does not have, or that is another one there: told apart by its time. */
const isPhantom = async ({ truth }: Stand, { kind, id }: Entity, version: number, updatedAtNs: string | undefined): Promise<boolean> => {
  const found = await truth.query("select (extract(epoch from recorded_at) * 1000000)::bigint * 1000 = $4::bigint as same from outbox where kind = $1 and entity_id = $2 and version_id = $3", [kind, id, version, updatedAtNs ?? "0"]);
  return found.length === 0 || found[0].same !== true;
};
