import type { Actor, Stage, Violation } from "./stage.ts";

type Work = { readonly isOver: () => boolean; readonly finish: () => Promise<unknown> };
type Player = { readonly name: string; readonly actor: Actor; work: Work | null; begins: number; readonly begin: () => Work | null | Promise<Work | null>; dead: boolean };
type Move = { readonly label: string; readonly make: () => unknown; readonly player?: Player };

/** Nothing of it runs until something is let through: it waits at its gate, or it is over. */
const quiet = async ({ actor, work }: Player): Promise<void> => {
  for (let turns = 0; work !== null && turns < 4;) {
    await new Promise((resolve) => setImmediate(resolve));
    turns = actor.gate.held.length > 0 || work.isOver() ? turns + 1 : 0;
  }
};

/** What may go wrong in one run, and how often. */
export type Budget = { readonly evictions: number; readonly losses: number; readonly crashes: number; readonly failOvers: number; readonly checkpointsLost: number };

/** A pick is a move and, in units of `STEPS`, how many more its player makes. */
export const STEPS = 1_000, MOST_STEPS = 6;

/** Who may play beside two writers. Fewer meet more often. */
export const guests = ["a third writer", "a reader", "a reader with the entity's token", "a reader with another's token", "a relay", "a replayer", "a writer beside"] as const;
export type Guest = (typeof guests)[number];

/**
 * Plays one interleaving: of all that could happen next, each number picks one. Then everybody who lives comes to his end.
 * Answers what was violated, or null, and the steps.
 */
export const playInterleaving = async (stage: Stage, budget: Budget, cast: readonly Guest[], picks: readonly number[], report: (step: string) => void): Promise<Violation | null> => {
  const left = { ...budget };
  const players: Player[] = [];
  const add = async (name: string, begins: number, begin: (actor: Actor) => Work | null | Promise<Work | null>, actor?: Actor) => {
    const at = actor ?? (await stage.start());
    const player: Player = { name, actor: at, work: null, begins, begin: () => begin(at), dead: false };
    players.push(player);
    return player;
  };
  const shown: { readonly read: ReturnType<Actor["read"]>; readonly version: number }[] = [];
  const newest = async () => (await stage.row()).version;

  const has = (guest: Guest) => cast.includes(guest);
  for (const i of has("a third writer") ? [0, 1, 2] : [0, 1]) await add(`writer ${i}`, 1, (actor) => actor.write());
  const reader = has("a reader") ? await add("reader", 2, (actor) => actor.read()) : null;
  const addToken = (name: string, named: boolean, actor?: Actor) => add(name, 1, async (at) => {
    const version = await newest();
    if (version < 2) return null;
    const read = at.read([await stage.tokenOf(version, named)]);
    shown.push({ read, version });
    return read;
  }, actor);
  // In one process with the other reader, whose loads it shares.
  if (has("a reader with the entity's token")) await addToken("reader with the entity's token", true, reader?.actor);
  if (has("a reader with another's token")) await addToken("reader with another's token", false);
  const relay = has("a relay") ? await add("relay", 3, (actor) => actor.settle()) : null;
  if (has("a replayer")) await add("replayer", 1, (actor) => actor.replay());
  const beside = has("a writer beside") ? await stage.beside() : null;
  const slow = beside === null ? null : await add("writer beside", 1, (actor) => actor.write(beside));
  slow?.actor.holdOpen();
  await slow?.actor.gate.through(() => slow.actor.read([], beside!).finish());
  const compared = async (property: Violation["property"]) => (await stage.compared(property)) ?? (beside === null ? null : stage.compared(property, beside));

  const late: (() => Promise<unknown>)[] = [];
  let failOver: (() => Promise<void>) | null = null;
  const lose = (how: () => unknown) => {
    left.losses--;
    how();
  };
  const moves = (): Move[] => {
    const all: Move[] = [];
    for (const player of players) {
      if (player.dead) continue;
      const { name, actor, work } = player;
      if (work === null || work.isOver()) {
        if (player.begins > 0) all.push({ label: `${name} begins`, player, make: async () => {
          player.begins--;
          player.work = await player.begin();
        } });
        continue;
      }
      for (const held of actor.gate.held) {
        all.push({ label: `${name}: ${held.name}`, make: () => held.pass(), player });
        if (left.losses > 0 && (held.name === "lease" || held.name === "store")) {
          all.push({ label: `${name}: ${held.name} is lost`, make: () => lose(() => held.lose()) });
          all.push({ label: `${name}: ${held.name} is late`, make: () => lose(() => late.push(held.late())) });
        }
      }
      if (left.crashes > 0 && player !== slow && actor !== reader?.actor && actor.gate.held.length > 0) all.push({ label: `${name} dies`, make: () => {
        left.crashes--;
        player.dead = true;
      } });
    }
    for (const [i, arrive] of late.entries()) all.push({ label: "something late arrives", make: async () => {
      late.splice(i, 1);
      await arrive();
    } });
    if (left.evictions > 0) all.push({ label: "evicted", make: async () => {
      if (await stage.evict()) left.evictions--;
    } });
    if (left.checkpointsLost > 0) all.push({ label: "the checkpoint is lost", make: async () => {
      left.checkpointsLost--;
      await stage.loseCheckpoint();
    } });
    if (left.failOvers > 0) all.push(failOver === null
      ? { label: "the replica falls behind", make: async () => void (failOver = await stage.fallBehind()) }
      : { label: "fail-over", make: async () => {
        left.failOvers--;
        await failOver!();
        failOver = null;
      } });
    return all;
  };

  for (const pick of picks) {
    const all = moves();
    if (all.length === 0) break;
    const move = all[pick % all.length]!;
    // Who moves goes on for a while: to go wrong takes one who stands still while others come far, more often than a fair alternation.
    for (let steps = 1 + Math.floor(pick / STEPS) % MOST_STEPS, next: Move | undefined = move; steps > 0 && next !== undefined; steps--) {
      report(next.label);
      await next.make();
      for (const player of players) if (!player.dead) await quiet(player);
      next = move.player === undefined ? undefined : moves().find(({ player }) => player === move.player);
    }
  }
  report("everybody comes to an end");
  const others = players.filter(({ dead, name }) => !dead && name !== "relay");
  for (const { work } of others) await work?.finish();
  for (const arrive of late) await arrive();
  for (const { read, version } of shown) {
    const { entry } = await read.finish();
    if (entry.version < version) return { property: "monotonic", how: `a token of version ${version} is answered with version ${entry.version}` };
  }
  const replayer = await stage.start();
  while ((await stage.query("select 1 from sync_retry_queue")).length > 0) await replayer.replay().finish();
  const calm = left.crashes === budget.crashes && left.failOvers === budget.failOvers;
  const stale = calm ? await compared("fresh") : null;
  if (stale !== null) return stale;
  if (relay?.dead === false) await relay.work?.finish();
  return (await stage.converged(relay === null || relay.dead ? await stage.start() : relay.actor)) ?? compared("converged");
};
